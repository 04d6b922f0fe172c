import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from securecc.audit import signed_log as signed_log_module
from securecc.audit.collectors.destination import Destination
from securecc.audit.log import AuditLog
from securecc.audit.records import daemon_events
from securecc.audit.settings import AuditSettings
from securecc.audit.signed_log import SignedAuditLog
from securecc.cli.audit import log_parts
from securecc.cli.securecctl import main
from securecc.model import limits


def test_verify_says_what_stands(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(audit_log)]) == 0
    assert capsys.readouterr().out.startswith("verified: 6 records, the last is 6:")


def test_verify_names_the_first_bad_line(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit_log.write_bytes(audit_log.read_bytes().replace(b"no rule matches", b"as it should"))
    assert main(["audit", "verify", str(audit_log)]) == 1
    out = capsys.readouterr().out
    assert f"{audit_log}:3: record 3 was edited" in out
    assert "2 records before it in order" in out


def test_verify_misses_no_removed_end(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = audit_log.read_bytes().splitlines(keepends=True)
    audit_log.write_bytes(b"".join(lines[:-1]))
    assert main(["audit", "verify", str(audit_log)]) == 1
    assert f"{audit_log}:6: record 6 is cut off the end" in capsys.readouterr().out


def test_verify_a_rotated_log(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = audit_log.read_bytes().splitlines(keepends=True)
    old = audit_log.with_name("audit.jsonl.1")
    old.write_bytes(b"".join(lines[:4]))
    audit_log.write_bytes(b"".join(lines[4:]))
    assert main(["audit", "verify", str(old), str(audit_log)]) == 0
    assert main(["audit", "verify", str(old)]) == 0
    last = capsys.readouterr().out.split()[-1]
    assert main(["audit", "verify", str(audit_log), "--after", last]) == 0
    assert main(["audit", "verify", str(audit_log)]) == 1
    assert "name its older parts as well (beside it: " in capsys.readouterr().out
    assert main(["audit", "verify", str(audit_log), "--after", "x"]) == 1
    assert "not SEQ:HASH" in capsys.readouterr().err


def test_verify_waits_for_a_line_that_is_being_written(
    audit_log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = audit_log.read_bytes()
    audit_log.write_bytes(whole[:-30])

    def finish(_seconds: float) -> None:
        with audit_log.open("ab") as file:
            file.write(whole[-30:])

    monkeypatch.setattr(time, "sleep", finish)
    assert main(["audit", "verify", str(audit_log)]) == 0


def test_a_torn_end_is_told(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit_log.write_bytes(audit_log.read_bytes()[:-30])
    assert main(["audit", "verify", str(audit_log)]) == 1
    assert f"{audit_log}:6: is torn" in capsys.readouterr().out


def test_repairs_are_told(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with audit_log.open("ab") as file:
        file.write(b'{"seq":7,')
    AuditLog(audit_log).close()
    writer = AuditLog(audit_log)
    writer.append(daemon_events.daemon("start"))
    writer.close()
    assert main(["audit", "verify", str(audit_log)]) == 0


def test_a_line_without_end_needs_no_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (3 * limits.AUDIT_RECORD))
    assert main(["audit", "verify", str(path)]) == 1
    assert "longer than any record" in capsys.readouterr().out


@pytest.fixture
def signed_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A signed log of three parts, with its public key in a file and its checkpoints as a collector has them."""
    path = tmp_path / "audit.jsonl"
    anchors = tmp_path / "collected"
    lines = []

    class Collector:
        def __init__(self, destination: Destination) -> None:
            self.destination = destination

        def send(self, message: Any) -> None:
            lines.append(message.decode())

        def close(self) -> None:
            pass

    monkeypatch.setattr(signed_log_module, "CollectorConnection", Collector)
    log = SignedAuditLog(AuditSettings(path, every=3, send=(Destination("local", "/dev/log"),)), tmp_path, host="farm1")
    for part in range(3):
        for number in range(4):
            log.append(daemon_events.daemon("reload", detail=f"{part}.{number}"))
        if part < 2:
            log.rotate()
    log.close()
    anchors.write_text("".join(f"{line}\n" for line in lines))
    return path


def beside(path: Path) -> list[Path]:
    return [part.path for part in log_parts.in_order([path, *log_parts.rotated_beside(path)])]


def verified(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[Any, ...]:
    status = main(["audit", "verify", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_parts_in_any_order_compressed_or_not(
    signed_log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second, last = beside(signed_log)
    packed = tmp_path / "audit.jsonl.1.gz"
    packed.write_bytes(gzip.compress(first.read_bytes()))
    first.unlink()
    for order in ([last, packed, second], [second, last, packed, last]):
        status, out = verified(capsys, *order)
        assert (status, out.splitlines()[0].startswith("verified: 2")) == (0, True), out


def test_a_pattern_that_names_what_lies_beside_the_log_too(
    signed_log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the page on the audit log has it: verify audit.jsonl*."""
    given = sorted(signed_log.parent.glob("audit.jsonl*"))
    assert signed_log.with_name("audit.jsonl.head") in given
    assert verified(capsys, *given)[0] == 0
    assert verified(capsys, signed_log.with_name("audit.jsonl.head"))[0] == 1, "alone it is looked at"


def test_the_server_s_own_log_with_all_its_parts(
    signed_log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("keytab: k\npolicy: p\naudit: audit.jsonl\nstate: .\nscratch: s\n")
    status, out = verified(capsys, "--config", config)
    assert status == 0
    records = sum(len(part.read_bytes().splitlines()) for part in beside(signed_log))
    assert f"verified: {records} records" in out
    assert main(["audit", "key", "--config", str(config)]) == 0
    key = capsys.readouterr().out.strip()
    status, out = verified(capsys, "--config", config, "--key", key)
    assert status == 0
    assert "with the given key" in out


def test_a_part_that_is_missing_is_spoken_of(signed_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, last = beside(signed_log)
    status, out = verified(capsys, first, last)
    assert status == 1
    assert f"{last}:1: records " in out
    assert "their file is not among those given" in out
    status, out = verified(capsys, second, last)
    assert f"name its older parts as well (beside it: {first})" in out


def test_a_copy_beside_the_log_is_spoken_of(
    signed_log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "copy").write_bytes(signed_log.read_bytes())
    status, out = verified(capsys, *beside(signed_log), tmp_path / "copy")
    assert (status, "both begin with record" in out) == (1, True)


def test_keys_and_anchors(signed_log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    parts = beside(signed_log)
    collected = tmp_path / "collected"
    status, out = verified(capsys, *parts, "--key", tmp_path / "audit.key.pub", "--anchor", collected)
    assert status == 0, out
    assert "with the given key; 1 record after it not signed yet" in out
    assert "anchored up to record " in out
    status, out = verified(capsys, *parts, "--anchor", collected)
    assert "according to the log itself: no --key was given" in out
    (tmp_path / "other").mkdir()
    SignedAuditLog(AuditSettings(tmp_path / "other" / "log"), tmp_path / "other").close()
    status, out = verified(capsys, *parts, "--key", tmp_path / "other" / "audit.key.pub")
    assert status == 1
    assert "the checkpoint at record 1 is signed by another key" in out
    status, out = verified(capsys, *parts, "--key", tmp_path / "other" / "audit.key.pub", "--anchor", collected)
    assert (status, "none of the given anchors belongs to this log" in out) == (1, True)


def test_anchors_show_a_cut_tail_even_where_head_was_cut_as_well(
    signed_log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second, last = beside(signed_log)
    lines = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(b"".join(lines[:3]))
    seq = json.loads(lines[2])["seq"]
    last.with_name("audit.jsonl.head").unlink()
    assert verified(capsys, first, second, last)[0] == 0
    status, out = verified(capsys, first, second, last, "--anchor", tmp_path / "collected")
    assert status == 1
    assert "cut off the end (line " in out
    assert f"{last}:4: record" in out
    assert f" {seq + 1} " in out


def test_a_digest_from_elsewhere(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = verified(capsys, audit_log)
    link = out.split()[-1]
    for wanted in (link, link.partition(":")[2]):
        assert verified(capsys, audit_log, "--head", wanted)[0] == 0
    lines = audit_log.read_bytes().splitlines(keepends=True)
    audit_log.write_bytes(b"".join(lines[:-1]))
    audit_log.with_name("audit.jsonl.head").unlink()
    assert verified(capsys, audit_log)[0] == 0
    status, out = verified(capsys, audit_log, "--head", link)
    assert (status, f"no record is {link}" in out) == (1, True)


def test_records_that_the_log_itself_misses_are_no_success(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = audit_log.read_bytes().splitlines(keepends=True)
    audit_log.write_bytes(b"".join(lines[:-2]))
    writer = AuditLog(audit_log)
    writer.append(daemon_events.daemon("start"))
    writer.close()
    status, out = verified(capsys, audit_log)
    assert status == 1
    assert "note: missing: records 5 to 6 were written, but" in out
    assert "but 2 records missing, as the log itself reports" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--key", "nowhere"], "No such file"),
        (["--key", "ed25519:AAAA"], "not a public key"),
        (["--key", "/dev/null"], "the file has no key"),
        (["--anchor", "nowhere"], "No such file"),
        (["--head", "x\x1b"], "not SEQ:HASH"),
        (["--after", "5"], "not SEQ:HASH"),
    ],
)
def test_what_cannot_be_understood_is_told(
    audit_log: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["audit", "verify", str(audit_log), *arguments]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.rstrip("\n").isprintable()


def test_a_forged_anchor_is_noted(signed_log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    collected = tmp_path / "collected"
    lines = collected.read_text().splitlines()
    collected.write_text("\n".join([*lines, lines[1].replace("host=farm1", "host=farm2")]))
    status, out = verified(capsys, *beside(signed_log), "--anchor", collected)
    assert (status, f"note: line {len(lines) + 1} of the anchors is forged" in out) == (0, True)


def test_half_a_gzip_file_is_told(signed_log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "half.gz").write_bytes(gzip.compress(beside(signed_log)[0].read_bytes())[:-20])
    assert main(["audit", "verify", str(tmp_path / "half.gz")]) == 1
    assert "not a complete gzip file" in capsys.readouterr().err
    (tmp_path / "none.gz").write_bytes(b"\x1f\x8bnothing")
    assert main(["audit", "verify", str(tmp_path / "none.gz")]) == 1
    assert "securecctl: " in capsys.readouterr().err


def test_a_young_log_says_that_nothing_is_signed_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trail = SignedAuditLog(AuditSettings(tmp_path / "log"), tmp_path, host="farm1")
    trail.append(daemon_events.daemon("start"))
    status, out = verified(capsys, tmp_path / "log", "--key", tmp_path / "audit.key.pub")
    assert (status, "signed up to record 0 with the given key; 2 records after it not signed yet" in out) == (0, True)
    trail.close()
