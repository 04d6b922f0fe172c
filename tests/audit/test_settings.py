from pathlib import Path

import pytest

from securecc.audit.collectors.destination import Destination
from securecc.audit.settings import AuditSection, AuditSettings, audit_settings
from securecc.config_file.section import Section, read_section
from securecc.config_file.words import FilePath
from securecc.config_file.yaml_nodes import compose
from securecc.model import limits
from securecc.model.errors import PolicyError


class Document(Section, frozen=True):
    audit: FilePath | AuditSection


def read(text: str) -> AuditSettings | None:
    return audit_settings(read_section(compose(text.encode(), "config.yaml"), Document).audit, Path("/srv"))


def test_a_path_alone() -> None:
    assert read("audit: audit.jsonl") == AuditSettings(Path("/srv/audit.jsonl"))
    assert read("audit: {file: audit.jsonl}") == read("audit: audit.jsonl")


def test_all_of_it() -> None:
    found = read("""\
audit:
  file: /var/log/securecc/audit.jsonl
  key: /etc/securecc/audit.key
  redact: ['-D\\w*TOKEN=(.*)', "AKIA[0-9A-Z]{16}"]
  send: [/dev/log, journald, "udp:loghost:5514"]
  checkpoint: {records: 100, time: 5min}
  rotate: 256MiB
""")
    assert found == AuditSettings(
        file=Path("/var/log/securecc/audit.jsonl"),
        key=Path("/etc/securecc/audit.key"),
        redact=("-D\\w*TOKEN=(.*)", "AKIA[0-9A-Z]{16}"),
        send=(
            Destination("local", "/dev/log"),
            Destination("journald", "/run/systemd/journal/socket"),
            Destination("udp", "loghost", 5514),
        ),
        every=100,
        seconds=300.0,
        rotate=256 * limits.MIB,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{key: a}", '"file" is missing'),
        ("{file: a, redakt: []}", 'did you mean "redact"'),
        ("{file: a, send: [loghost]}", "is not a collector"),
        ("{file: a, send: []}", "an empty list"),
        (f"{{file: a, send: [{', '.join(['journald'] * 9)}]}}", "a list of 9 is too long; the limit is 8"),
        (f"{{file: a, redact: [{', '.join(['a'] * 65)}]}}", "a list of 65 is too long; the limit is 64"),
        ("{file: a, checkpoint: {records: 0}}", "not a whole number"),
        ("{file: a, checkpoint: {time: 1ms}}", "out of bounds"),
        ("{file: a, rotate: 1KiB}", "out of bounds"),
        ("[a]", "a list where a map"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said) as caught:
        read(f"audit: {text}")
    assert str(caught.value).startswith("config.yaml:1:")
