from pathlib import Path

import pytest

from securecc.audit.collectors.destination import Destination
from securecc.audit.settings import AuditSettings, read_audit
from securecc.config_file.yaml_nodes import compose
from securecc.model import limits
from securecc.model.errors import PolicyError


def read(text):
    node = compose(text.encode(), "config.yaml").items["audit"]
    return read_audit(lambda node: Path("/srv") / node.text)(node)


def test_a_path_alone():
    assert read("audit: audit.jsonl") == AuditSettings(Path("/srv/audit.jsonl"))
    assert read("audit: {file: audit.jsonl}") == read("audit: audit.jsonl")


def test_all_of_it():
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
        ("{file: a, send: [loghost]}", "no collector"),
        ("{file: a, send: []}", "an empty list"),
        (f"{{file: a, send: [{', '.join(['journald'] * 9)}]}}", "9 collectors"),
        (f"{{file: a, redact: [{', '.join(['a'] * 65)}]}}", "65 patterns"),
        ("{file: a, checkpoint: {records: 0}}", "no whole number"),
        ("{file: a, checkpoint: {time: 1ms}}", "out of bounds"),
        ("{file: a, rotate: 1KiB}", "out of bounds"),
        ("[a]", "a list where a map"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text, said):
    with pytest.raises(PolicyError, match=said) as caught:
        read(f"audit: {text}")
    assert str(caught.value).startswith("config.yaml:1:")
