import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securecc.audit import log as log_module
from securecc.audit.append_file import AppendFile
from securecc.audit.chain import Link, unseal
from securecc.audit.log import AuditLog
from securecc.audit.records import job_events
from securecc.audit.records.daemon_events import daemon
from securecc.audit.records.job_events import JobRefused, JobStart
from securecc.audit.signing import proves
from securecc.audit.verification import ChainVerifier, Expected, Verdict
from securecc.model import limits
from securecc.model.errors import AuditError
from tests.audit.chains import DAEMON, signed
from tests.audit.disks import fill, needs_root, small_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def verdict(path: Path) -> Verdict:
    chain = ChainVerifier()
    for line in lines(path):
        if not chain.feed(line):
            break
    return chain.verdict()


def write(path: Path, *events: Any) -> AuditLog:
    log = AuditLog(path)
    for event in events:
        log.append(daemon(event))
    log.close()
    return log


def test_a_line_holds_what_was_recorded(path: Path) -> None:
    log = AuditLog(path, clock=lambda: 1_700_000_000_123_456_789)
    assert log.append(daemon("start", detail="port 3643")) == 1
    log.close()
    found = msgspec.json.decode(lines(path)[0])
    assert found["time"] == "2023-11-14T22:13:20.123456Z"
    assert (found["seq"], found["prev"], found["kind"], found["event"]) == (1, "0" * 64, "daemon", "start")
    assert path.stat().st_mode & 0o777 == 0o640


def test_prev_is_what_sha256sum_says_of_the_line_before(path: Path) -> None:
    write(path, "start", "stop")
    first, second = lines(path)
    assert msgspec.json.decode(second)["prev"] == hashlib.sha256(first).hexdigest()


def test_a_restart_continues_the_chain(path: Path) -> None:
    write(path, "start", "stop")
    assert write(path, "start").last.seq == 3
    assert verdict(path).records == 3
    assert not verdict(path).problem


def test_a_restart_reads_the_end_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, *["reload"] * 50)
    monkeypatch.setattr(log_module, "_TAIL", 1000)
    assert write(path, "start").last.seq == 51


def test_one_record_is_one_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(path)
    calls = []
    real = os.write

    def counted(fd: int, data: bytes) -> int:
        calls.append(data)
        return real(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", counted)
        log.append(daemon("start"))
    assert calls == lines(path)
    log.close()


@pytest.mark.parametrize("tail", [b'{"seq":3,"pre', b"\0" * 4096, b"x", b'{"seq":3,"prev":"\0\0\0\0\0"}\n'])
def test_a_torn_tail_is_cut_kept_and_noted(path: Path, tail: bytes) -> None:
    write(path, "start", "stop")
    with path.open("ab") as file:
        file.write(tail)
    write(path, "start")
    result = verdict(path)
    assert (result.problem, result.records) == ("", 4)
    assert result.notes == (
        f"torn: {len(tail)} bytes of an incomplete record were cut off the end and moved to audit.jsonl.torn",
    )
    assert path.with_name("audit.jsonl.torn").read_bytes() == tail
    assert msgspec.json.decode(lines(path)[2])["sha256"] == hashlib.sha256(tail).hexdigest()


def test_a_first_record_that_was_torn(path: Path) -> None:
    path.touch(mode=0o640)
    path.write_bytes(b'{"seq":1,"pr')
    write(path, "start")
    assert (verdict(path).problem, verdict(path).records) == ("", 2)


def test_what_is_no_audit_log_is_left_alone(path: Path) -> None:
    for content in (b"root:x:0:0\n", b"hello", b"a\nb\nc\n", b"x" * 2_000_000):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(AuditError):
            AuditLog(path)
        assert path.read_bytes() == content


def test_records_gone_at_start_are_noted(path: Path) -> None:
    write(path, "start", "reload", "stop")
    os.truncate(path, len(lines(path)[0]))
    write(path, "start")
    assert verdict(path).notes == ("missing: records 2 to 3 were written, but were missing at start",)


def test_rotation_while_running_and_while_down(path: Path) -> None:
    log = AuditLog(path)
    log.append(daemon("start"))
    log.reopen()
    path.rename(path.with_name("1"))
    log.reopen()
    log.append(daemon("reload"))
    log.close()
    path.rename(path.with_name("2"))
    assert write(path, "start").last.seq == 3
    chain = ChainVerifier()
    for name in ("1", "2", "audit.jsonl"):
        chain.new_file()
        assert all(chain.feed(line) for line in lines(path.with_name(name)))
    assert chain.verdict().records == 3


def test_rotation_onto_another_log_is_refused(path: Path) -> None:
    log = AuditLog(path)
    log.append(daemon("start"))
    path.rename(path.with_name("1"))
    path.write_bytes(b"something\n")
    with pytest.raises(AuditError, match="another log"):
        log.reopen()
    log.append(daemon("reload"))
    log.close()
    assert len(lines(path.with_name("1"))) == 2


def test_a_link_a_fifo_a_shared_or_a_second_name_is_refused(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.touch(mode=0o600)
    path.symlink_to(real)
    with pytest.raises(AuditError):
        AuditLog(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(AuditError, match="regular"):
        AuditLog(path)
    path.unlink()
    path.hardlink_to(real)
    with pytest.raises(AuditError, match="a single link"):
        AuditLog(path)
    path.unlink()
    real.chmod(0o666)
    with pytest.raises(AuditError, match="others may write"):
        AuditLog(real)
    assert real.read_bytes() == b""


def test_a_log_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch(mode=0o600)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(AuditError, match="another user"):
        AuditLog(path)


def test_two_daemons_cannot_share_a_log(path: Path) -> None:
    log = AuditLog(path)
    with pytest.raises(AuditError, match="another daemon"):
        AuditLog(path)
    log.close()
    log.close()
    AuditLog(path).close()


def test_a_missing_folder_is_an_audit_error(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="No such file"):
        AuditLog(tmp_path / "no" / "audit.jsonl")


def test_a_bad_head_is_no_obstacle(path: Path) -> None:
    write(path, "start")
    path.with_name("audit.jsonl.head").write_bytes(b"\xff" * 500)
    assert write(path, "stop").last.seq == 2


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from securecc.audit.records.daemon_events import daemon
from securecc.audit.log import AuditLog
from securecc.model.errors import AuditError
path = Path(sys.argv[1])
log = AuditLog(path)
log.append(daemon("start"))
whole = path.stat().st_size
# The file may grow by half a record: the kernel writes that much and then no more.
resource.setrlimit(resource.RLIMIT_FSIZE, (whole + 100, resource.RLIM_INFINITY))
for _ in range(3):
    try:
        log.append(daemon("reload"))
    except AuditError as error:
        print(error)
    assert path.stat().st_size == whole
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append(daemon("stop"))
log.close()
"""


def test_a_full_disk_in_the_middle_of_a_line_leaves_no_half_and_recovers(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cannot be written: No space left on device; free space on that disk") == 3
    result = verdict(path)
    assert (result.problem, result.records) == ("", 5)


def test_half_a_line_that_could_not_be_taken_back_is_taken_back_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(path)
    log.append(daemon("start"))
    real = os.write

    def broken(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: real(fd, data[:50]))
        patch.setattr(os, "ftruncate", broken)
        for _ in range(2):
            with pytest.raises(AuditError, match="Input/output"):
                log.append(daemon("reload"))
    assert not path.read_bytes().endswith(b"\n")
    log.append(daemon("stop"))
    log.close()
    assert (verdict(path).problem, verdict(path).records) == ("", 4)


def test_a_record_over_its_limit_is_refused(path: Path) -> None:
    log = AuditLog(path)
    record = daemon("start", layers=["x" * 4000] * 100)
    with pytest.raises(AuditError, match="the limit is"):
        log.append(record)
    log.append(daemon("stop"))
    log.close()
    assert verdict(path).records == 1


KILLED = """
import sys
from pathlib import Path
from securecc.audit.records.daemon_events import daemon
from securecc.audit.log import AuditLog
log = AuditLog(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    log.append(daemon("reload"))
"""


def test_sigkill_at_any_moment_leaves_a_log_that_continues(path: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        before = path.stat().st_size
        while path.stat().st_size < before + 20_000:
            pass
        process.kill()
        process.wait()
        process.stdout.close()
    write(path, "start")
    assert not verdict(path).problem
    assert unseal(lines(path)[-1]).link.seq == len(lines(path))


def test_the_head_follows_each_record(path: Path) -> None:
    log = write(path, "start", "stop")
    seq, digest = path.with_name("audit.jsonl.head").read_text().split()
    assert Link(int(seq), digest) == log.last


def test_nothing_stays_open(path: Path) -> None:
    before = sum(1 for _ in os.scandir("/proc/self/fd"))
    write(path, "start")
    path.write_bytes(b"no log\n")
    with pytest.raises(AuditError):
        AuditLog(path)
    assert sum(1 for _ in os.scandir("/proc/self/fd")) == before


# A disk that is full for a while.


class FullDisk:
    """write(2) and fallocate(2) as a full disk answers them, but for `room` bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int = 0) -> None:
        self.room = room
        real = AppendFile.append

        def append(file: AppendFile, line: bytes, *, leaving: int = 0) -> None:
            if len(line) + leaving > self.room:
                raise OSError(28, "No space left on device")
            self.room -= len(line)
            real(file, line, leaving=0)

        monkeypatch.setattr(AppendFile, "append", append)


def job(number: int) -> JobStart:
    return job_events.job_start(
        peer="10.0.0.1:1", principal="alice@EXAMPLE.COM", rule="team", reference="r1", job=number, attempt=1,
        toolchain="gcc-12", toolchain_digest=b"t" * 32, arguments=[b"gcc"], cwd=b"/", manifest_digest=b"m" * 32,
        layers=(),
    )  # fmt: skip


def refused(number: int) -> JobRefused:
    return job_events.job_refused(
        peer="10.0.0.1:1", principal="alice@EXAMPLE.COM", rule="team", reference="r1", job=number, code="server",
        reason="no record",
    )  # fmt: skip


def told(path: Path) -> list[Any]:
    records = [msgspec.json.decode(line) for line in lines(path)]
    return [(record["kind"], record.get("job", record.get("problem", record.get("event")))) for record in records]


def test_nothing_that_happened_is_lost_on_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would permit something is refused; ends use the room that was kept, then wait; refusals wait."""
    times = iter(range(1_700_000_000_000_000_000, 1_800_000_000_000_000_000, 1_000_000_000))
    log = AuditLog(path, clock=lambda: next(times))
    for number in range(3):
        log.append(job(number))
    ends = [job_events.job_end(job(number), "done", status=0) for number in range(3)]
    size = len(lines(path)[-1])
    with monkeypatch.context() as patch:
        disk = FullDisk(patch, room=2 * size)
        with pytest.raises(AuditError, match="No space"):
            log.append(job(3))
        with pytest.raises(AuditError, match="No space"):
            log.append(refused(3))
        log.append(ends[0])
        disk.room = 0
        for end in ends[1:]:
            with pytest.raises(AuditError, match="No space"):
                log.append(end)
        with pytest.raises(AuditError, match="No space"):
            log.append(job(4))
    log.append(job(5))
    log.close()
    assert not verdict(path).problem
    assert told(path) == [
        ("job-start", 0), ("job-start", 1), ("job-start", 2), ("job-end", 0),
        ("job-refused", 3), ("job-end", 1), ("job-end", 2), ("repair", "unwritten"), ("job-start", 5),
    ]  # fmt: skip
    written = [msgspec.json.decode(line)["time"][17:19] for line in lines(path)]
    assert written[4:7] == ["24", "27", "28"]  # the times of what they tell, not of the writing


def test_records_that_wait_are_bounded_and_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUDIT_OWED", 5000)
    log = AuditLog(path)
    with monkeypatch.context() as patch:
        FullDisk(patch)
        for number in range(50):
            with pytest.raises(AuditError):
                log.append(refused(number))
    log.append(job(99))
    log.close()
    kinds = told(path)
    waited = len(kinds) - 2
    assert 0 < waited < 10
    assert kinds[-2:] == [("repair", "unwritten"), ("job-start", 99)]
    assert msgspec.json.decode(lines(path)[-2])["count"] == 50 - waited
    assert log.close() == []


def test_what_still_waits_at_the_end_is_given_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(path)
    FullDisk(monkeypatch)
    with pytest.raises(AuditError):
        log.append(refused(1))
    assert [msgspec.to_builtins(record)["job"] for record in log.close()] == [1]


@needs_root
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        log = AuditLog(disk / "log")
        running = [job(number) for number in range(20)]
        for start in running:
            log.append(start)
        fill(disk / "ballast")
        refusals = 0
        for number in range(20, 1000):
            try:
                log.append(job(number))
            except AuditError:
                refusals += 1
        assert refusals > 500
        for start in running:
            log.append(job_events.job_end(start, "done", status=0))  # there is room for these
        (disk / "ballast").unlink()
        log.append(job(2000))
        log.close()
        assert not verdict(disk / "log").problem
        assert [number for kind, number in told(disk / "log") if kind == "job-end"] == list(range(20))


# Checkpoints and rotation.


def test_every_so_many_records_are_signed_and_each_file_begins_with_it(path: Path) -> None:
    said: list[Any] = []
    log = AuditLog(path, sign=lambda link, _now: signed(link), every=3, told=said.append)
    for _ in range(7):
        log.append(daemon("reload"))
    log.close()
    kinds = ["checkpoint" if kind == "checkpoint" else "-" for kind, _ in told(path)]
    assert kinds == ["checkpoint", "-", "-", "-", "checkpoint", "-", "-", "-", "checkpoint", "-", "checkpoint"]
    assert [record.signed_seq for record in said] == [0, 4, 8, 10]
    assert not check_signed(path).problem


def check_signed(*paths: Any) -> Verdict:
    chain = ChainVerifier(Expected(keys=frozenset([DAEMON.public])), proves)
    for part in paths:
        chain.new_file(part.name)
        assert all(chain.feed(line) for line in lines(part)), chain.verdict()
    return chain.verdict()


def test_a_checkpoint_when_asked_for(path: Path) -> None:
    log = AuditLog(path, sign=lambda link, _now: signed(link), every=100)
    log.append(daemon("start"))
    assert log.unsigned == 1
    log.checkpoint()
    log.checkpoint()
    assert (log.unsigned, len(lines(path))) == (0, 3)
    log.close()
    assert len(lines(path)) == 3


def test_rotation_by_renaming_names_the_records(path: Path) -> None:
    log = AuditLog(path, sign=lambda link, _now: signed(link), every=100)
    log.append(daemon("start"))
    old = log.rotate()
    assert old.name == "audit.jsonl.1-3"
    log.append(daemon("reload"))
    second = log.rotate()
    assert second.name == "audit.jsonl.4-6"
    log.append(daemon("stop"))
    log.close()
    parts = (old, second, path)
    assert check_signed(*parts).records == 9
    assert [msgspec.json.decode(lines(part)[at])["kind"] for part in parts for at in (0, -1)] == ["checkpoint"] * 6


def test_rotation_does_not_write_over_a_file(path: Path) -> None:
    log = AuditLog(path)
    log.append(daemon("start"))
    path.with_name("audit.jsonl.1-1").write_text("precious")
    with pytest.raises(AuditError, match="exists already"):
        log.rotate()
    log.append(daemon("stop"))
    log.close()
    assert path.with_name("audit.jsonl.1-1").read_text() == "precious"
    assert verdict(path).records == 2


def test_a_log_that_has_gone_although_a_checkpoint_names_it_goes_on_behind_it(path: Path) -> None:
    """Not only the log but its head as well was removed: the gap in the numbers shows it."""
    log = AuditLog(path, known=Link(7, "a" * 64))
    log.append(daemon("start"))
    log.close()
    assert log.last.seq == 8
    assert "records 1 to 7 are missing" in verdict(path).problem


def test_a_tail_cut_below_the_last_checkpoint_is_noted_at_start(path: Path) -> None:
    write(path, "start", "reload")
    last = Link(9, "a" * 64)
    log = AuditLog(path, known=last)
    log.append(daemon("start"))
    log.close()
    assert verdict(path).notes == ("missing: records 3 to 9 were written, but were missing at start",)
    assert verdict(path).lost == 7
