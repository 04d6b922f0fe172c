import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securecc.audit.log import AuditLog
from securecc.audit.records import daemon_events
from securecc.cli.audit import follow
from securecc.cli.audit.follow import Tail
from securecc.model.errors import AuditError
from tests.waiting import CEILING_S


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Any]:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append(daemon_events.daemon("start"))
    yield log
    log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def tail(log: AuditLog, path: Path) -> Iterator[Any]:
    with contextlib.closing(Tail(path)) as tail:
        yield tail


def seqs(lines: Any) -> list[int]:
    return [json.loads(line)["seq"] for line in lines]


def test_what_is_there_and_what_comes(log: AuditLog, path: Path, tail: Tail) -> None:
    assert seqs(tail.recent()) == [1]
    assert list(tail.lines()) == []
    log.append(daemon_events.daemon("reload"))
    assert seqs(tail.lines()) == [2]


def test_half_a_line_is_waited_for(log: AuditLog, path: Path, tail: Tail) -> None:
    assert seqs(tail.recent()) == [1]
    log.append(daemon_events.daemon("reload"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert list(tail.lines()) == []
    with path.open("ab") as file:
        file.write(whole[-20:])
    assert seqs(tail.lines()) == [2]


def test_over_a_renamed_file_nothing_is_missed(log: AuditLog, path: Path, tail: Tail) -> None:
    tail.recent()
    log.append(daemon_events.daemon("reload"))  # not seen before the renaming
    path.rename(path.with_name("audit.jsonl.1"))
    assert seqs(tail.lines()) == [2]
    log.append(daemon_events.daemon("reload"))  # still into the old file
    log.reopen()
    log.append(daemon_events.daemon("reload"))
    assert seqs(tail.lines()) == [3, 4]
    log.append(daemon_events.daemon("stop"))
    assert seqs(tail.lines()) == [5]


def test_files_that_came_and_went_between_two_looks(log: AuditLog, path: Path, tail: Tail) -> None:
    tail.recent()
    for _ in range(4):
        log.append(daemon_events.daemon("reload"))
        log.rotate()
    log.append(daemon_events.daemon("stop"))
    assert seqs(tail.lines()) == [2, 3, 4, 5, 6]


def test_a_file_that_has_gone_meanwhile_is_told(
    log: AuditLog, path: Path, tail: Tail, capsys: pytest.CaptureFixture[str]
) -> None:
    tail.recent()
    log.rotate()
    log.append(daemon_events.daemon("reload"))
    log.rotate().unlink()
    log.append(daemon_events.daemon("reload"))
    assert seqs(tail.lines()) == [3]
    assert "missed: records 2 to 2" in capsys.readouterr().err


def test_a_file_that_was_cut_is_begun_anew(log: AuditLog, path: Path, tail: Tail) -> None:
    log.append(daemon_events.daemon("reload"))
    tail.recent()
    first = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(first[:-5])
    with path.open("ab") as file:
        file.write(first[-5:])
    assert seqs(tail.lines()) == [1]


def test_only_the_end_of_a_long_log_is_read_first(log: AuditLog, tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(50):
        log.append(daemon_events.daemon("reload"))
    monkeypatch.setattr(follow, "_RECENT", 2000)
    recent = seqs(tail.recent())
    assert 1 < len(recent) < 12
    assert recent[-1] == 51


def test_no_log_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no such file"):
        Tail(tmp_path / "none")


def test_the_command_follows_until_it_is_interrupted(log: AuditLog, path: Path) -> None:
    command = [sys.executable, "-m", "securecc.cli.securecctl", "audit", "follow", str(path), "--kind", "daemon"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline().startswith("TIME")
            assert "start" in process.stdout.readline()
            log.append(daemon_events.daemon("reload", detail="by \x1b[2J hand"))
            assert "by \\x1b[2J hand" in process.stdout.readline()
            log.rotate()
            log.append(daemon_events.daemon("stop"))
            assert "stop" in process.stdout.readline()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(CEILING_S) == 130
        assert process.stderr.read() == ""
