"""Files that the launcher writes: all or nothing, and where the compiler would write them."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securecc.client.ipc.frames import (
    Capture,
    CaptureDone,
    Commit,
    Committed,
    Data,
    Execute,
    Exit,
    Failed,
    Frame,
    Keep,
    Output,
    Print,
    data_frames,
)
from tests.client.launcher.launcher_rig import Agent, Rig, finish, modes

BARRIER = Capture((b"/bin/true",))
TRUE = Execute(b"/bin/true", (b"true",))


def write(agent: Agent, *files: tuple[str, bytes, int], **options: Any) -> Frame | None:
    """Has each (path, content, keep) written; the launcher's answer to Commit, and how it ended after Exit(0)."""
    process, _ = agent.serve("gcc", **options)
    for path, content, keep in files:
        agent.command(Output(os.fsencode(path), len(content), keep), data_frames(content))
    agent.command(Commit(), Print(1, b"all written"), Exit(0))
    answer = agent.report()
    if isinstance(answer, Failed):  # all that was on its way is void, the end included
        agent.command(TRUE)
    done = finish(process)
    assert done.returncode == 0
    assert done.stdout == (b"all written" if answer == Committed() else b"")
    return answer


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_new_files(rig: Rig, agent: Agent) -> None:
    big = os.urandom(1_000_000)
    (rig.cwd / "sub").mkdir()
    assert write(agent, ("a.o", big, False), ("sub/a.d", b"x", True), ("e.su", b"", True), umask=0o026) == Committed()
    assert (rig.cwd / "a.o").read_bytes() == big
    assert (rig.cwd / "sub/a.d").read_bytes() == b"x"
    assert {modes(rig.cwd / name) for name in ("a.o", "sub/a.d", "e.su")} == {0o640}
    assert names(rig.cwd) == ["a.o", "e.su", "sub"]


def target_plain(path: Path) -> None:
    path.write_text("old")
    path.chmod(0o604)


def target_empty(path: Path) -> None:
    path.touch(0o604)
    path.chmod(0o604)


def target_link(path: Path) -> None:
    path.with_name("real").write_text("old")
    path.symlink_to("real")


def target_link_to_empty(path: Path) -> None:
    path.with_name("real").touch()
    path.symlink_to("real")


def target_link_to_nowhere(path: Path) -> None:
    path.symlink_to("real")


def target_two_names(path: Path) -> None:
    path.with_name("real").write_text("old")
    path.hardlink_to(path.with_name("real"))


TARGETS = [target_plain, target_empty, target_link, target_link_to_empty, target_link_to_nowhere, target_two_names]


def state(folder: Path) -> dict[str, tuple[bool, int, int]]:
    return {
        name: (os.path.islink(folder / name), modes(folder / name), os.stat(folder / name).st_nlink)
        for name in names(folder)
        if name != "source.c"
    }


@pytest.mark.parametrize(
    "command",
    [
        ("gcc", "-c", Keep.IF_EMPTY),
        ("gcc", "-S", Keep.ALWAYS),
        ("clang", "-c", Keep.NEVER),
        ("clang", "-S", Keep.NEVER),
    ],
)
@pytest.mark.parametrize("target", TARGETS)
def test_targets_end_as_the_compiler_leaves_them(
    rig: Rig, agent: Agent, tmp_path: Path, target: Callable[[Path], None], command: tuple[str, str, Keep]
) -> None:
    """gcc's assembler makes objects anew, its compiler proper truncates; clang makes everything anew."""
    compiler, option, keep = command
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "source.c").write_text("int x;\n")
    target(theirs / "out")
    subprocess.run([f"/usr/bin/{compiler}", option, "source.c", "-o", "out"], cwd=theirs, check=True, umask=0o022)
    target(rig.cwd / "out")
    content = (theirs / "out").read_bytes()
    assert write(agent, ("out", content, keep), umask=0o022) == Committed()
    assert state(rig.cwd) == state(theirs)
    assert (rig.cwd / "out").read_bytes() == content
    if (theirs / "real").exists():
        assert (rig.cwd / "real").read_bytes() == (theirs / "real").read_bytes()


def test_device_and_fifo_are_written_in_place(rig: Rig, agent: Agent) -> None:
    fifo = rig.cwd / "fifo"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    assert write(agent, ("/dev/null", b"x", False), ("fifo", b"y" * 100_000, True)) == Committed()
    reader.join()
    assert read == [b"y" * 100_000]
    assert fifo.is_fifo()
    assert os.stat("/dev/null").st_rdev == os.makedev(1, 3)


def test_nothing_stands_before_commit(rig: Rig, agent: Agent) -> None:
    process, _ = agent.serve("gcc")
    (rig.cwd / "a.o").write_text("old")
    agent.command(Output(b"a.o", 3), Data(b"new"), BARRIER)
    assert agent.report() == CaptureDone(0)
    assert (rig.cwd / "a.o").read_text() == "old"
    agent.command(Commit(), Exit(0))
    assert agent.report() == Committed()
    finish(process)
    assert (rig.cwd / "a.o").read_text() == "new"


ENDS = {
    "exit": lambda agent, process: agent.command(Exit(1)),
    "execute": lambda agent, process: agent.command(Execute(b"/bin/true", (b"true",))),
    "lost": lambda agent, process: agent.hang_up(),
    "garbage": lambda agent, process: agent.command(b"\0\0\0\0\0"),
    "too much data": lambda agent, process: agent.command(Data(b"more than announced")),
    "too little data": lambda agent, process: agent.command(Commit()),
    "term": lambda agent, process: process.send_signal(signal.SIGTERM),
    "int": lambda agent, process: process.send_signal(signal.SIGINT),
    "hup": lambda agent, process: process.send_signal(signal.SIGHUP),
}


@pytest.mark.parametrize("end", ENDS)
def test_unfinished_files_vanish(rig: Rig, agent: Agent, end: str) -> None:
    process, _ = agent.serve("gcc")
    agent.command(Output(b"a.o", 5), Data(b"half"), Output(b"a.d", 5, keep=True), Data(b"half"), BARRIER)
    assert agent.report() == CaptureDone(0)
    assert len(names(rig.cwd)) == 2
    ENDS[end](agent, process)
    result = finish(process)
    assert names(rig.cwd) == []
    expected = {"exit": 1, "term": -signal.SIGTERM, "int": -signal.SIGINT, "hup": -signal.SIGHUP}
    assert result.returncode == expected.get(end, 0)


def test_ignored_signal_stays_ignored(rig: Rig, agent: Agent) -> None:
    process, _ = agent.serve("-c", 'trap "" HUP; exec "$0" gcc', rig.launcher, command="/bin/sh")
    agent.command(Output(b"a.o", 1), BARRIER)
    agent.report()
    process.send_signal(signal.SIGHUP)
    agent.command(Data(b"x"), Commit(), Exit(0))
    assert agent.report() == Committed()
    assert finish(process).returncode == 0


@pytest.mark.parametrize("path", ["absent/a.o", "file/a.o", "x" * 256])
def test_target_that_cannot_be(rig: Rig, agent: Agent, path: str) -> None:
    (rig.cwd / "file").touch()
    process, _ = agent.serve("gcc")
    # What follows on its way is void, the second file included.
    agent.command(Output(b"ok.o", 1), Data(b"x"), Output(path.encode(), 1), Data(b"x"), Output(b"b", 1), Data(b"x"))
    agent.command(Commit())
    failed = agent.report()
    assert isinstance(failed, Failed)
    assert failed.path == path.encode()
    agent.command(Exit(1), TRUE)
    assert finish(process).returncode == 0
    assert names(rig.cwd) == ["file"]


def test_file_too_large(rig: Rig, agent: Agent) -> None:
    shell = f'trap "" XFSZ; ulimit -f 8; exec {rig.launcher} gcc'
    process, _ = agent.serve("-c", shell, command="/bin/sh")
    agent.command(Output(b"a.o", 100_000), data_frames(bytes(100_000)), Commit())
    answer = agent.report()
    agent.command(TRUE)
    finish(process)
    assert answer == Failed(27, b"a.o")
    assert names(rig.cwd) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_full_disk(rig: Rig, agent: Agent) -> None:
    small = rig.cwd / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", small], check=True)
    try:
        answer = write(agent, ("a.o", b"x", False), ("small/a.d", bytes(100_000), True))
        assert answer == Failed(28, b"small/a.d")
        assert names(rig.cwd) == ["small"]
        assert names(small) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_full_device(rig: Rig, agent: Agent) -> None:
    assert write(agent, ("a.o", b"x", False), ("/dev/full", b"x", False)) == Failed(28, b"/dev/full")
    assert names(rig.cwd) == []


def test_directory_in_the_way(rig: Rig, agent: Agent) -> None:
    (rig.cwd / "a.o").mkdir()
    assert write(agent, ("b.o", b"x", False), ("a.o", b"x", False)) == Failed(21, b"a.o")
    assert names(rig.cwd) == ["a.o"]


def test_too_many(rig: Rig, agent: Agent) -> None:
    files = [(f"{number}.o", b"", False) for number in range(65)]
    assert write(agent, *files) == Failed(7, b"64.o")
    assert names(rig.cwd) == []


def test_reader_of_our_output_has_gone(rig: Rig, agent: Agent) -> None:
    ours, theirs = socket.socketpair()
    process, _ = agent.serve("gcc", stdout=theirs)
    theirs.close()
    ours.close()
    agent.command(Output(b"a.o", 1), BARRIER)
    agent.report()
    agent.command(Print(1, b"x"))
    assert finish(process).returncode == -signal.SIGPIPE
    assert names(rig.cwd) == []
