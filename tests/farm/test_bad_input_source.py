"""Sources, objects and stores that make trouble: the user sees what the compiler alone would have shown."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.farm.farmside import Farm, sources, until
from tests.waiting import CEILING_S

MIB = 1024 * 1024
BLOB = 64 * MIB


def of_size(path: Path, size: int) -> Path:
    """A C source of so many bytes."""
    head = b"int f(void) { return 3; }\n"
    line = b"/" * 2 + b" " + b"x" * 1020 + b"\n"
    filler = line * ((size - len(head)) // len(line))
    rest = size - len(head) - len(filler)
    path.write_bytes(head + filler + b"\n" * rest)
    assert path.stat().st_size == size
    return path


def locally(source: Path, *options: str) -> bytes:
    """The object that the compiler alone makes."""
    path = source.with_suffix(".local.o")
    subprocess.run(["gcc", "-c", source.name, "-o", path.name, *options], cwd=source.parent, check=True)
    return path.read_bytes()


@pytest.mark.parametrize(("size", "remote"), [(BLOB + 1, False), (BLOB - MIB, True)], ids=["over", "under"])
def test_64_mib_of_source(farm: Farm, tmp_path: Path, size: int, remote: bool) -> None:
    source = of_size(tmp_path / "large.c", size)
    before = len(farm.audit(kind="job-end", outcome="done"))
    done = farm.compile(source)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert source.with_suffix(".o").read_bytes() == locally(source)
    assert len(farm.audit(kind="job-end", outcome="done")) == before + remote
    if not remote:
        assert farm.counts("input")


def test_a_header_that_changes_while_it_is_being_sent(farm: Farm, tmp_path: Path) -> None:
    """The server is held still between the client's look at the header and its sending of it."""
    other = farm.apart("changes")
    first, second = sources(tmp_path, 2)
    assert other.compile(first).returncode == 0
    header = tmp_path / "h.h"
    header.write_text("#define VALUE 1111111\n")
    second.write_text('#include "h.h"\nint value = VALUE;\n')
    os.kill(farm.server.pid, signal.SIGSTOP)
    try:
        process = other.begin("securecc", "gcc", "-c", second.name, "-o", "s1.o", cwd=tmp_path)
        until(lambda: unread(farm.server.port), what="the Ask")
        header.write_text("#define VALUE 2222222\n")
    finally:
        os.kill(farm.server.pid, signal.SIGCONT)
    assert process.communicate(timeout=CEILING_S) == ("", "")
    assert process.returncode == 0
    assert second.with_suffix(".o").read_bytes() == locally(second)
    assert (2222222).to_bytes(4, "little") in second.with_suffix(".o").read_bytes()
    assert other.counts("changed")
    other.end_agents()


def unread(port: int) -> bool:
    """Whether bytes wait at an established connection of the server's, as /proc/net/tcp shows it."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(
        words[1].endswith(f":{port:04X}") and words[3] == "01" and int(words[4].partition(":")[2], 16) > 0
        for words in lines
    )


def test_a_header_that_goes_away_while_it_is_being_sent(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("goes")
    first, second = sources(tmp_path, 2)
    assert other.compile(first).returncode == 0
    header = tmp_path / "h.h"
    header.write_text("#define VALUE 3333333\n")
    second.write_text('#include "h.h"\nint value = VALUE;\n')
    os.kill(farm.server.pid, signal.SIGSTOP)
    try:
        process = other.begin("securecc", "gcc", "-c", second.name, "-o", "s1.o", cwd=tmp_path)
        until(lambda: unread(farm.server.port), what="the Ask")
        header.unlink()
    finally:
        os.kill(farm.server.pid, signal.SIGCONT)
    _, err = process.communicate(timeout=CEILING_S)
    assert process.returncode == 1
    assert "h.h: No such file or directory" in err
    assert not second.with_suffix(".o").exists()
    other.end_agents()


def blobs(farm: Farm) -> list[Path]:
    return [path for path in (farm.server.folder / "state/store").rglob("*") if path.is_file() and path.stat().st_size]


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def alter(path: Path) -> None:
    """Other content of the same size and time."""
    kept = path.stat()
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content.replace(b"4444444", b"5555555"))
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("damage", [remove, cut, alter])
def test_files_that_are_missing_or_damaged_on_the_server(
    farm: Farm, tmp_path: Path, damage: Callable[[Path], None], restart: bool
) -> None:
    """Whatever has become of the store, the object is the right one, and the server is well again at once."""
    source = tmp_path / "stored.c"
    source.write_text("int value = 4444444;\n")
    assert farm.compile(source).returncode == 0
    if restart:
        farm.server.stop()
    for path in blobs(farm):
        damage(path)
    if restart:
        farm.server.start()
    for number in range(3):
        source.with_suffix(".o").unlink()
        done = farm.compile(source, f"-DN={number}")  # another job with the same inputs
        assert done.returncode == 0
        assert source.with_suffix(".o").read_bytes() == locally(source)
    before = len(farm.audit(kind="job-end", outcome="done"))
    until(lambda: farm.compile(source).returncode == 0 and len(farm.audit(kind="job-end", outcome="done")) > before)
    assert source.with_suffix(".o").read_bytes() == locally(source)


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a tmpfs with options at tmp_path/out."""
    folder = tmp_path / "out"
    folder.mkdir()

    def mount(options: str) -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], check=False)


def test_a_full_disk_where_the_object_goes(farm: Farm, tmp_path: Path, tmpfs: Callable[[str], Path]) -> None:
    """The compiler's own error, no half-written object, and an old one stays (the compiler would have lost it)."""
    folder = tmpfs("size=64k")
    source = tmp_path / "big.c"
    source.write_text("char big[200000] = {1};\n")
    command = ("gcc", "-c", source.name, "-o", "out/big.o")
    alone = farm.run(*command, cwd=tmp_path)
    assert alone.returncode == 1
    (folder / "big.o").unlink(missing_ok=True)
    done = farm.run("securecc", *command, cwd=tmp_path)
    assert done.returncode == 1
    assert "No space left on device" in alone.stderr
    assert "No space left on device" in done.stderr
    assert "securecc: " not in done.stderr
    assert [path.name for path in folder.iterdir()] in ([], ["big.o"])
    assert not (folder / "big.o").exists() or (folder / "big.o").stat().st_size == 0
    assert farm.counts("output")
    source.write_text("char big[2000] = {1};\n")
    assert farm.run("securecc", *command, cwd=tmp_path).returncode == 0


def test_an_object_directory_that_is_read_only(farm: Farm, tmp_path: Path, tmpfs: Callable[[str], Path]) -> None:
    folder = tmpfs("size=64k,ro")
    (source,) = sources(tmp_path, 1)
    command = ("gcc", "-c", source.name, "-o", "out/s0.o")
    alone = farm.run(*command, cwd=tmp_path)
    done = farm.run("securecc", *command, cwd=tmp_path)
    assert done.returncode == alone.returncode == 1
    assert "Read-only file system" in done.stderr
    assert "securecc: " not in done.stderr
    assert list(folder.iterdir()) == []
    assert farm.counts("output")


def test_an_object_directory_of_somebody_elses(farm: Farm, tmp_path: Path) -> None:
    """Without the privilege to pass over permissions, root has to keep to them like everybody else."""
    other = farm.apart("no-privilege")
    (source,) = sources(tmp_path, 1)
    folder = tmp_path / "out"
    folder.mkdir(mode=0o755)
    os.chown(folder, 65534, 65534)
    plain = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "securecc", "gcc", "-c", source.name)
    done = other.run(*plain, "-o", "s0.o", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: other.journal()["remote"] == 1)
    done = other.run(*plain, "-o", "out/s0.o", cwd=tmp_path)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "securecc: " not in done.stderr
    assert list(folder.iterdir()) == []
    assert other.counts("output")
    other.end_agents()


def test_nothing_half_written_whoever_is_killed_when(farm: Farm, tmp_path: Path) -> None:
    """Launcher, agent and front are killed at many moments, while an old object stands: it is always the old one or
    the new one, whole. (A compiler that runs here writes in place; nobody can help that.)
    """
    other = farm.apart("killed")
    source = tmp_path / "o.c"
    target = source.with_suffix(".o")
    versions = []
    for number in range(2):
        source.write_text(f"char content[150000] = {{{number + 1}}};\n")
        versions.append(locally(source))
    target.write_bytes(versions[0])
    moments = {"launcher": 21, "agent": 8, "front": 3}
    for number, victim in ((number, victim) for victim, count in moments.items() for number in range(count)):
        version = (number + 1) % 2
        warm(other, tmp_path)
        source.write_text(f"char content[150000] = {{{version + 1}}};\n")
        process = other.begin("securecc", "gcc", "-c", source.name, "-o", target.name, cwd=tmp_path)
        deadline = time.monotonic() + 0.08 * number / moments[victim]
        while time.monotonic() < deadline:
            assert whole(target, versions, process.pid)
        strike(other, victim, process.pid)
        while process.poll() is None:
            assert whole(target, versions, process.pid)
        process.communicate()
        until(lambda: not working_in(tmp_path), what="the end of what the launcher began")
        assert target.read_bytes() in versions
        if victim != "launcher":
            assert process.returncode == 0
            assert target.read_bytes() == versions[version]
        if victim == "front":
            other.server.process.wait(CEILING_S)
            other.server.start()
    other.end_agents()


def warm(farm: Farm, folder: Path) -> None:
    """An agent with a channel, so that the next compile is a remote one."""
    for mark in farm.runtime.glob("*.failed"):
        mark.unlink()
    source = folder / "warm.c"
    source.write_text("int warm;\n")
    before = len(farm.audit(kind="job-end"))
    until(lambda: farm.compile(source).returncode == 0 and len(farm.audit(kind="job-end")) > before)


def whole(target: Path, versions: list[bytes], launcher: int) -> bool:
    try:
        content = target.read_bytes()
    except FileNotFoundError:
        content = b""
    return content in versions or Path(f"/proc/{launcher}/comm").read_text() != "securecc\n"


def working_in(folder: Path) -> list[str]:
    """Processes with that working directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "cwd").readlink() == folder:
                found.append(entry.name)
        except OSError:
            continue
    return found


def strike(farm: Farm, victim: str, launcher: int) -> None:
    pids = {"launcher": [launcher], "agent": farm.agents(), "front": [farm.server.pid]}[victim]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
