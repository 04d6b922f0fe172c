"""The compiled launcher and standard input: told once, and there again for whatever is run afterwards."""

import os
import pty
import select
import signal
import subprocess
from pathlib import Path

import pytest

from securecc.client.ipc.frames import Captured, CaptureDone, Execute, Exit, Failed, Frame, Input, Spawn, Spawned
from securecc.model import limits
from tests.client.launcher.launcher_rig import Agent, Rig, finish
from tests.waiting import CEILING_S

ALL = b"int a;\n" * 1000
MUCH = b"x" * (limits.INPUT + 100_000)


def told(agent: Agent) -> tuple[bytes, Frame | None]:
    """What the launcher tells of its standard input, and how that ended."""
    agent.command(Input())
    parts = []
    while isinstance(frame := agent.report(), Captured):
        assert frame.stream == 0
        parts.append(frame.data)
    return b"".join(parts), frame


def piped(agent: Agent, content: bytes, *, more: bytes = b"") -> subprocess.Popen[bytes]:
    process, _ = agent.serve("gcc", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(content)
    process.stdin.flush()
    if not more:
        process.stdin.close()
        process.stdin = None
    return process


@pytest.fixture
def show(rig: Rig) -> bytes:
    return os.fsencode(rig.script(rig.bin / "show", "cat; echo end"))


@pytest.mark.parametrize("content", [b"", ALL])
def test_what_was_told_is_there_again(rig: Rig, agent: Agent, show: bytes, content: bytes) -> None:
    process = piped(agent, content)
    assert told(agent) == (content, CaptureDone(0))
    agent.command(Spawn((show,)))
    assert agent.report() == Spawned(0)
    agent.command(Execute(show, (b"show",)))
    assert finish(process).stdout == (content + b"end\n") * 2


def test_a_file_is_told_and_there_again(rig: Rig, agent: Agent, show: bytes, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(ALL)
    with (tmp_path / "source").open("rb") as source:
        process, _ = agent.serve("gcc", stdin=source)
        assert told(agent) == (ALL, CaptureDone(0))
        assert os.lseek(source.fileno(), 0, os.SEEK_CUR) == len(ALL), "the compiler would have read it"
    agent.command(Execute(show, (b"show",)))
    assert finish(process).stdout == ALL + b"end\n"


def test_what_is_too_much_to_tell_is_handed_on_whole(rig: Rig, agent: Agent, show: bytes, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(MUCH)
    producer = subprocess.Popen(["cat", tmp_path / "source"], stdout=subprocess.PIPE)
    assert producer.stdout is not None
    process, _ = agent.serve("gcc", stdin=producer.stdout)
    producer.stdout.close()
    content, end = told(agent)
    assert end == CaptureDone(0, truncated=True)
    assert limits.INPUT < len(content) <= limits.INPUT + 65536
    agent.command(Execute(show, (b"show",)))
    assert finish(process).stdout == MUCH + b"end\n"
    assert producer.wait(CEILING_S) == 0


def test_an_agent_that_goes_away_meanwhile_loses_nothing(rig: Rig, agent: Agent) -> None:
    rig.script(rig.bin / "gcc", "cat; echo end")
    process = piped(agent, ALL, more=b"int b;\n")
    agent.command(Input())
    assert agent.report() == Captured(0, ALL)
    agent.hang_up()
    out, _ = process.communicate(b"int b;\n", timeout=CEILING_S)
    assert out == ALL + b"int b;\n" + b"end\n"


def test_whoever_feeds_a_compiler_ends_with_it(rig: Rig, agent: Agent) -> None:
    rig.script(rig.bin / "gcc", "exit 3")
    reader, writer = os.pipe()
    process, _ = agent.serve("gcc", stdin=reader)
    os.close(reader)
    try:
        os.write(writer, ALL)
        agent.command(Input())
        assert agent.report() == Captured(0, ALL)
        agent.hang_up()
        assert finish(process).returncode == 3
        watch = select.poll()
        watch.register(writer, 0)
        assert watch.poll(int(CEILING_S * 1000)) == [(writer, select.POLLERR)], "somebody holds the other end"
    finally:
        os.close(writer)


@pytest.mark.parametrize("kind", ["null", "terminal", "middle", "closed", "nonblocking"])
def test_what_only_a_compiler_should_read_is_left_alone(
    rig: Rig, agent: Agent, show: bytes, tmp_path: Path, kind: str
) -> None:
    primary, terminal = pty.openpty()
    (tmp_path / "source").write_bytes(b"int a;\nint b;\n")
    source = os.open(tmp_path / "source", os.O_RDONLY)
    os.lseek(source, 7, os.SEEK_SET)
    empty, end = os.pipe()
    os.set_blocking(empty, False)
    os.close(end)
    given = {"null": subprocess.DEVNULL, "terminal": terminal, "middle": source, "nonblocking": empty}
    options = {"preexec_fn": lambda: os.close(0)} if kind == "closed" else {"stdin": given[kind]}
    try:
        process, _ = agent.serve("gcc", **options)
        assert isinstance(told(agent)[1], Failed)
        agent.command(Execute(show, (b"show",)) if kind == "middle" else Exit(0))
        assert finish(process).stdout == (b"int b;\nend\n" if kind == "middle" else b"")
    finally:
        for descriptor in (primary, terminal, source, empty):
            os.close(descriptor)


def test_it_is_told_once(rig: Rig, agent: Agent) -> None:
    process = piped(agent, ALL)
    assert told(agent)[0] == ALL
    assert isinstance(told(agent)[1], Failed)
    agent.command(Exit(0))
    assert finish(process).returncode == 0


def test_a_signal_ends_who_waits_for_input(rig: Rig, agent: Agent) -> None:
    process = piped(agent, ALL, more=b"never")
    agent.command(Input())
    assert agent.report() == Captured(0, ALL)
    process.send_signal(signal.SIGINT)
    assert process.wait(CEILING_S) == -signal.SIGINT
    assert agent.report() is None
