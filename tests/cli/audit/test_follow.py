import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

from securecc.audit.log import AuditLog
from securecc.audit.records import daemon_events
from securecc.cli.audit import follow
from securecc.cli.audit.follow import Tail
from securecc.model.errors import AuditError
from tests.waiting import CEILING_S


@pytest.fixture
def log(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append(daemon_events.daemon("start"))
    yield log
    log.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def tail(log, path):
    with contextlib.closing(Tail(path)) as tail:
        yield tail


def seqs(lines):
    return [json.loads(line)["seq"] for line in lines]


def test_what_is_there_and_what_comes(log, path, tail):
    assert seqs(tail.recent()) == [1]
    assert list(tail.lines()) == []
    log.append(daemon_events.daemon("reload"))
    assert seqs(tail.lines()) == [2]


def test_half_a_line_is_waited_for(log, path, tail):
    assert seqs(tail.recent()) == [1]
    log.append(daemon_events.daemon("reload"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert list(tail.lines()) == []
    with path.open("ab") as file:
        file.write(whole[-20:])
    assert seqs(tail.lines()) == [2]


def test_over_a_renamed_file_nothing_is_missed(log, path, tail):
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


def test_files_that_came_and_went_between_two_looks(log, path, tail):
    tail.recent()
    for _ in range(4):
        log.append(daemon_events.daemon("reload"))
        log.rotate()
    log.append(daemon_events.daemon("stop"))
    assert seqs(tail.lines()) == [2, 3, 4, 5, 6]


def test_a_file_that_has_gone_meanwhile_is_told(log, path, tail, capsys):
    tail.recent()
    log.rotate()
    log.append(daemon_events.daemon("reload"))
    log.rotate().unlink()
    log.append(daemon_events.daemon("reload"))
    assert seqs(tail.lines()) == [3]
    assert "missed: records 2 to 2" in capsys.readouterr().err


def test_a_file_that_was_cut_is_begun_anew(log, path, tail):
    log.append(daemon_events.daemon("reload"))
    tail.recent()
    first = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(first[:-5])
    with path.open("ab") as file:
        file.write(first[-5:])
    assert seqs(tail.lines()) == [1]


def test_only_the_end_of_a_long_log_is_read_first(log, tail, monkeypatch):
    for _ in range(50):
        log.append(daemon_events.daemon("reload"))
    monkeypatch.setattr(follow, "_RECENT", 2000)
    recent = seqs(tail.recent())
    assert 1 < len(recent) < 12
    assert recent[-1] == 51


def test_no_log_at_all_is_told(tmp_path):
    with pytest.raises(AuditError, match="no such file"):
        Tail(tmp_path / "none")


def test_the_command_follows_until_it_is_interrupted(log, path):
    command = [sys.executable, "-m", "securecc.cli.securecctl", "audit", "follow", str(path), "--kind", "daemon"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
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
