import logging
import socket
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securecc.audit.append_file import AppendFile
from securecc.audit.chain import unseal
from securecc.audit.checkpoint import parse_anchor
from securecc.audit.collectors.destination import Destination
from securecc.audit.log import AuditLog
from securecc.audit.records.daemon_events import daemon
from securecc.audit.settings import AuditSettings
from securecc.audit.signed_log import SignedAuditLog
from securecc.audit.signing import proves
from securecc.audit.verification import ChainVerifier, Expected, Verdict, choose_anchors
from securecc.model.errors import AuditError
from tests.audit.chains import lines_of
from tests.waiting import CEILING_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def opened(path: Path, **changes: Any) -> SignedAuditLog:
    return SignedAuditLog(AuditSettings(path, **changes), path.parent, host="farm1")


def kinds(path: Path) -> list[str]:
    return [msgspec.json.decode(line)["kind"] for line in lines_of(path.read_bytes())]


def verdict(trail: SignedAuditLog, *paths: Any, anchors: Any = ()) -> Verdict:
    keys = frozenset([trail.public_key])
    chain = ChainVerifier(Expected(keys=keys, anchors=choose_anchors(anchors, keys, proves)[0]), proves)
    for path in paths:
        chain.new_file(path.name)
        for line in lines_of(path.read_bytes()):
            if not chain.feed(line):
                break
    return chain.verdict()


def test_a_day_of_a_log(path: Path) -> None:
    trail = opened(path, every=2)
    for _ in range(5):
        trail.append(daemon("reload"))
    trail.close()
    trail.close()
    assert kinds(path) == [
        "checkpoint", "daemon", "daemon", "checkpoint", "daemon", "daemon", "checkpoint", "daemon", "checkpoint",
    ]  # fmt: skip
    found = verdict(trail, path)
    assert (found.problem, found.signed) == ("", 8)


def test_the_key_stays_and_the_last_checkpoint_is_kept(path: Path) -> None:
    public = []
    for _ in range(2):
        trail = opened(path)
        trail.append(daemon("start"))
        trail.close()
        public.append(trail.public_key)
    assert public[0] == public[1]
    assert (path.with_name("audit.key").stat().st_mode & 0o777) == 0o600
    kept = parse_anchor(path.with_name("audit.checkpoint").read_text())
    assert kept is not None
    assert kept.link.seq == len(kinds(path)) - 1
    assert kept.link == unseal(lines_of(path.read_bytes())[-2]).link


def test_the_key_may_lie_elsewhere(path: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    opened(path, key=tmp_path / "keys" / "k").close()
    assert (tmp_path / "keys" / "k").exists()
    assert not path.with_name("audit.key").exists()


def test_a_log_removed_with_its_head_leaves_a_gap(path: Path) -> None:
    trail = opened(path)
    trail.append(daemon("start"))
    trail.close()
    path.unlink()
    path.with_name("audit.jsonl.head").unlink()
    trail = opened(path)
    trail.append(daemon("start"))
    trail.close()
    assert "are missing before record" in verdict(trail, path).problem


def test_a_kept_checkpoint_of_somebody_else_is_not_believed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = opened(tmp_path / "other" / "log")
    other.append(daemon("start"))
    other.close()
    (tmp_path / "audit.checkpoint").write_bytes((tmp_path / "other" / "audit.checkpoint").read_bytes())
    trail = opened(path)
    trail.append(daemon("start"))
    trail.close()
    assert not verdict(trail, path).problem
    (tmp_path / "audit.checkpoint").write_bytes(b"\xff" * 5000)
    opened(path).close()


def test_time_signs_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    trail = opened(path, seconds=60.0)
    trail.append(daemon("start"))
    trail.tick()
    assert len(kinds(path)) == 2
    now[0] += 61
    trail.tick()
    trail.tick()
    assert kinds(path) == ["checkpoint", "daemon", "checkpoint"]
    trail.close()


def test_size_rotates(path: Path) -> None:
    trail = opened(path, rotate=1500)
    for number in range(5):
        trail.append(daemon("reload", detail="x" * 500 + str(number)))
        trail.tick()
    trail.close()
    parts = sorted(path.parent.glob("audit.jsonl.[0-9]*"), key=lambda part: int(part.name.split(".")[2].split("-")[0]))
    assert len(parts) >= 2
    assert not verdict(trail, *parts, path).problem
    assert {kinds(part)[0] for part in (*parts, path)} == {"checkpoint"}


def test_a_log_that_cannot_be_looked_at_is_said_and_the_open_one_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    trail = opened(folder / "audit.jsonl")
    folder.rename(tmp_path / "away")
    folder.write_text("in its place")
    trail.tick()
    trail.tick()
    trail.append(daemon("reload"))
    folder.unlink()
    (tmp_path / "away").rename(folder)
    trail.close()
    said = [record.getMessage() for record in caplog.records]
    assert said.count(f"audit log {folder / 'audit.jsonl'}: Not a directory") == 1
    assert kinds(folder / "audit.jsonl") == ["checkpoint", "daemon", "checkpoint"]


def test_a_renamed_file_is_followed_by_a_new_one(path: Path) -> None:
    trail = opened(path)
    trail.append(daemon("start"))
    path.rename(path.with_name("audit.jsonl.1"))
    trail.tick()
    trail.append(daemon("reload"))
    path.rename(path.with_name("audit.jsonl.2"))
    trail.reopen()
    trail.append(daemon("stop"))
    trail.close()
    parts = [path.with_name("audit.jsonl.1"), path.with_name("audit.jsonl.2"), path]
    assert not verdict(trail, *parts).problem


def test_what_cannot_be_done_at_the_time_is_said_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trail = opened(path, rotate=100)
    trail.append(daemon("start"))
    first = len(kinds(path)) + 1
    path.with_name(f"audit.jsonl.1-{first}").touch()
    for _ in range(3):
        trail.tick()
    assert caplog.text.count("exists already") == 1
    trail.close()


def test_checkpoints_reach_a_collector_and_show_a_cut_tail_and_a_new_log(path: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "dev-log"))
        server.settimeout(CEILING_S)
        trail = opened(path, every=2, send=(Destination("local", str(tmp_path / "dev-log")),))
        for _ in range(6):
            trail.append(daemon("reload"))
        trail.close()
        anchors = [parse_anchor(server.recv(2000).decode(), number) for number in range(1, 5)]
    assert [anchor and anchor.link.seq for anchor in anchors] == [0, 3, 6, 9]
    found = verdict(trail, path, anchors=anchors)
    assert (found.problem, found.anchored) == ("", 9)
    whole = lines_of(path.read_bytes())
    path.write_bytes(b"".join(whole[:7]))
    assert "records 8 to 9 are cut off the end (line 4 of the anchors" in verdict(trail, path, anchors=anchors).problem


def test_what_never_got_room_is_in_the_daemon_s_log(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trail = opened(path)
    trail.append(daemon("start"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AppendFile, "append", full)
    with pytest.raises(AuditError):
        trail.append(daemon("stop", detail="why\x1b"))
    caplog.set_level(logging.ERROR)
    trail.close()
    assert 'not in the audit log: {"kind":"daemon","event":"stop","detail":"why\\\\x1b"' in caplog.text


def test_a_checkpoint_that_cannot_be_sent_refuses_no_record(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trail = opened(path, every=1)

    def none(_log: AuditLog) -> None:
        raise AuditError("no descriptor is left")

    monkeypatch.setattr(AuditLog, "descriptor", none)
    for _ in range(3):
        trail.append(daemon("reload"))
    trail.close()
    assert kinds(path).count("daemon") == 3
    assert caplog.text.count("no descriptor is left") == 1


def test_no_thread_and_no_descriptor_stays(path: Path) -> None:
    import os
    import threading

    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
    trail = opened(path, send=(Destination("udp", "127.0.0.1", 9),))
    trail.append(daemon("start"))
    trail.close()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
