"""The compiled launcher against an agent played by the test: requests, commands, and doing without."""

import errno
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from securecc.client.ipc import frames
from securecc.client.ipc.frames import (
    Capture,
    Captured,
    CaptureDone,
    Commit,
    Data,
    Die,
    Execute,
    Exit,
    Failed,
    Keepalive,
    Output,
    Print,
    Spawn,
)
from securecc.compiler.command_line import environment
from securecc.model.messages import Terminal
from tests.client.launcher.launcher_rig import ROOT, Agent, Rig, finish

VECTORS = json.loads((ROOT / "tests/vectors/launcher.json").read_text())


# --- the request ------------------------------------------------------------------------------------------------


def test_request_is_the_vector(rig: Rig, agent: Agent) -> None:
    del rig.environment["SECURECC_AGENT_TIMEOUT"]
    vector = VECTORS["request"]
    rig.environment |= vector["environment"] | {"EDITOR": "vi", "S": ""}
    compiler = rig.script(rig.bin / "cc", "")
    process, request = agent.serve(str(compiler), *vector["arguments"], cwd="/", umask=vector["umask"])
    agent.command(Exit(0))
    assert finish(process).returncode == 0
    variable = {"PATH", "XDG_RUNTIME_DIR", "HOME"}
    expected = bytes.fromhex(vector["hex"])
    told = frames.RequestReader().feed(expected)[0]
    assert isinstance(told, frames.Request)
    same = {name: value for name, value in request.environment.items() if name.decode() not in variable}
    assert same == told.environment
    here = frames.Request(
        arguments=(os.fsencode(compiler), *told.arguments[1:]),
        compiler=os.fsencode(compiler),
        cwd=told.cwd,
        umask=told.umask,
        environment=request.environment,
        parent=os.getpid(),
        terminal=told.terminal,
        others=told.others,
    )
    assert agent.raw == frames.encode(here)


def test_environment_is_listed(rig: Rig, agent: Agent) -> None:
    del rig.environment["SECURECC_AGENT_TIMEOUT"]
    wanted = {"LC_ALL": "C", "GCC_COLORS": "", "SECURECC_X": "1", "KRB5CCNAME": "FILE:/x", "TZ": "UTC"}
    rig.environment |= wanted | {"PASSWORD": "x", "LC": "no", "GCC": "no", "TZX": "no", "AWS_KEY": "x"}
    _, request = agent.serve("gcc")
    names = {name.decode() for name in request.environment}
    assert names == set(wanted) | {"PATH", "HOME", "XDG_RUNTIME_DIR"}
    assert {*request.environment, *request.others.split(b"=")[:-1]} == {name.encode() for name in rig.environment}
    assert b"x" not in request.others


def test_whatever_the_agent_judges_is_listed(rig: Rig, agent: Agent) -> None:
    judged = environment._SENT | environment.SEARCHES | environment._LOCAL
    judged |= {family + b"X" for family in environment._LOCAL_FAMILIES}
    rig.environment |= {name.decode(): "1" for name in judged}
    _, request = agent.serve("gcc")
    assert judged <= set(request.environment)


@pytest.mark.parametrize("descriptors", [(0,), (2,), (0, 2)])
def test_terminal(rig: Rig, agent: Agent, descriptors: tuple[int, ...]) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 31, 97, 0, 0))
    process, request = agent.serve("gcc", **{{0: "stdin", 2: "stderr"}[fd]: theirs for fd in descriptors})
    agent.command(Exit(0))
    finish(process)
    os.close(ours)
    os.close(theirs)
    assert request.terminal == Terminal(0 in descriptors, 2 in descriptors, 97, 31)


def test_closed_standard_descriptors(rig: Rig, agent: Agent) -> None:
    shell: list[str | Path] = ["/bin/sh", "-c", 'exec "$0" gcc <&- >&- 2>&-', rig.launcher]
    process, _ = agent.serve(*shell[1:], command=shell[0])
    agent.command(Print(2, b"into nowhere"), Exit(7))
    assert finish(process).returncode == 7


def test_a_standard_output_that_is_closed_fails_as_a_file_does(rig: Rig, agent: Agent) -> None:
    shell: list[str | Path] = ["/bin/sh", "-c", 'exec "$0" gcc >&-', rig.launcher]
    process, _ = agent.serve(*shell[1:], command=shell[0])
    agent.command(Output(b"a.o", 1), Data(b"x"), Print(1, b"into nowhere"), Commit(), Exit(0))
    assert agent.report() == Failed(errno.EBADF, b"standard output")
    assert list(rig.cwd.iterdir()) == []
    agent.command(Die(signal.SIGTERM))
    assert finish(process).returncode == -signal.SIGTERM


def test_compiler_is_found_in_path(rig: Rig, agent: Agent) -> None:
    _, request = agent.serve("gcc", "-c", "a.c")
    assert (request.arguments, request.compiler) == ((b"gcc", b"-c", b"a.c"), os.fsencode(rig.bin / "gcc"))


def test_masquerade_skips_itself(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "gcc").symlink_to(rig.launcher)
    rig.environment["PATH"] = f"{links}:{rig.environment['PATH']}"
    compiler = os.fsencode(rig.bin / "gcc")
    for command, arguments in ((links / "gcc", ["-c", "a.c"]), (rig.launcher, ["gcc", "-c", "a.c"])):
        process, request = agent.serve(*arguments, command=command)
        agent.command(Exit(0))
        assert finish(process).returncode == 0
        assert (request.arguments, request.compiler) == ((compiler, b"-c", b"a.c"), compiler)


# --- commands ---------------------------------------------------------------------------------------------------


def test_execute(rig: Rig, agent: Agent) -> None:
    show = rig.script(rig.bin / "show", 'echo "$0 $1 ${GONE-unset} $SECURECC_RECURSION"')
    rig.environment["GONE"] = "there"
    process, _ = agent.serve("gcc")
    agent.command(Keepalive(), Execute(os.fsencode(show), (b"gcc", b"one"), (b"GONE",)))
    assert agent.report() is None
    assert finish(process).stdout == f"{show} one unset 1\n".encode()


def test_capture(rig: Rig, agent: Agent) -> None:
    made = rig.script(rig.bin / "made", 'cat; echo "out $X"; echo err >&2; exit 3')
    process, _ = agent.serve("gcc", stdin=subprocess.PIPE)
    for errors, streams in ((False, {1: b"out y\n"}), (True, {1: b"out y\n", 2: b"err\n"})):
        agent.command(Capture((os.fsencode(made),), {b"X": b"y"}, errors), Keepalive())
        seen: dict[int, bytes] = {}
        while isinstance(frame := agent.report(), Captured):
            seen[frame.stream] = seen.get(frame.stream, b"") + frame.data
        assert (seen, frame) == (streams, CaptureDone(3 << 8))
    agent.command(Exit(0))
    result = finish(process)
    assert (result.stdout, result.stderr) == (b"", b"")


def test_capture_of_nothing_to_run(rig: Rig, agent: Agent) -> None:
    process, _ = agent.serve("gcc")
    agent.command(Capture((b"/absent",)), Spawn((b"/absent",)), Exit(0))
    assert [agent.report(), agent.report()] == [Failed(2, b"/absent")] * 2
    assert finish(process).returncode == 0


def test_capture_is_bounded(rig: Rig, agent: Agent) -> None:
    process, _ = agent.serve("gcc")
    agent.command(Capture((b"/usr/bin/yes",)))
    while isinstance(frame := agent.report(), Captured):
        pass
    assert frame == CaptureDone(signal.SIGKILL, truncated=True)
    agent.command(Exit(0))
    finish(process)


def test_captured_child_dies_with_the_connection(rig: Rig, agent: Agent) -> None:
    held, hold = os.pipe()
    child = rig.script(rig.bin / "child", "echo started; sleep 60 & wait")
    process, _ = agent.serve("gcc", pass_fds=(hold,))
    os.close(hold)
    agent.command(Capture((os.fsencode(child),)))
    assert agent.report() == Captured(1, b"started\n")
    agent.hang_up()
    assert finish(process).stdout.startswith(b"compiled")
    assert select.select([held], [], [], 5)[0], "something that the child started is still there"
    os.close(held)


def test_spawn_reports_and_goes_on(rig: Rig, agent: Agent) -> None:
    process, _ = agent.serve("gcc")
    agent.command(Spawn((os.fsencode(rig.script(rig.bin / "x", "echo seen $V; exit 4")),), {b"V": b"1"}))
    assert agent.report() == frames.Spawned(4 << 8)
    agent.command(Exit(4))
    result = finish(process)
    assert (result.returncode, result.stdout) == (4, b"seen 1\n")


def test_agent_lost_after_spawn_ends_as_the_child(rig: Rig, agent: Agent) -> None:
    process, _ = agent.serve("gcc")
    agent.command(Spawn((os.fsencode(rig.script(rig.bin / "x", "kill -TERM $$")),)))
    assert agent.report() == frames.Spawned(signal.SIGTERM)
    agent.hang_up()
    result = finish(process)
    assert (result.returncode, result.stdout) == (-signal.SIGTERM, b"")


def test_signal_reaches_the_spawned_child(rig: Rig, agent: Agent) -> None:
    child = rig.script(rig.bin / "x", "trap 'kill $!; echo cleaned; exit 1' TERM; sleep 60 & echo up; wait")
    process, _ = agent.serve("gcc")
    agent.command(Spawn((os.fsencode(child),)))
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.terminate()
    assert process.stdout.readline() == b"cleaned\n"
    assert process.wait() == -signal.SIGTERM


def test_print_and_exit(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        process, _ = agent.serve("gcc", stdout=out)
    agent.command(frames.print_frames(1, b"o" * 600_000), Print(2, b"e"), Exit(5))
    result = finish(process)
    assert (result.returncode, result.stderr) == (5, b"e")
    assert (tmp_path / "out").read_bytes() == b"o" * 600_000


def test_die(rig: Rig, agent: Agent) -> None:
    process, _ = agent.serve("gcc")
    agent.command(Die(signal.SIGSEGV))
    assert finish(process).returncode == -signal.SIGSEGV


@pytest.mark.parametrize("vector", VECTORS["commands"], ids=lambda vector: vector["name"])
def test_every_order_of_the_vectors_is_legal(rig: Rig, agent: Agent, vector: dict[str, Any]) -> None:
    process, _ = agent.serve("gcc")
    agent.command(bytes.fromhex(vector["hex"]), Exit(0))
    result = finish(process)
    assert (b"compiled" in result.stdout) is vector["local"]


# --- doing without ----------------------------------------------------------------------------------------------

GARBAGE = {
    "unknown kind": b"\0\0\0\0\x77",
    "too long": b"\xff\xff\xff\xff\x85",
    "string over the end": b"\x04\0\0\0\x81\xff\0\0\0",
    "list over the end": b"\x05\0\0\0\x83\xff\xff\xff\xff\0",
    "zero in a string": frames.encode(frames.Output(b"a\0b", 1)),
    "no arguments": frames.encode(Execute(b"/bin/true", ())),
    "bytes too many": b"\x01\0\0\0\x86x",
    "stream": frames.encode(Print(7, b"x")),
    "signal": frames.encode(Die(99)),
    "status": frames.encode(Exit(256)),
    "data without output": frames.encode(frames.Data(b"x")),
    "cut short": b"\x05\0\0\0\x87",
    "nothing": b"",
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_compiles_locally(rig: Rig, agent: Agent, case: str) -> None:
    process, _ = agent.serve("gcc", "-c", "a.c")
    agent.command(GARBAGE[case])
    assert agent.connection is not None
    agent.connection.shutdown(1)
    assert finish(process).stdout == f"compiled {rig.bin}/gcc -c a.c\n".encode()


def test_an_agent_on_a_very_busy_machine_may_be_given_more_time(rig: Rig, agent: Agent) -> None:
    process, _ = agent.serve("gcc")
    time.sleep(5.5)  # usually it would have been given up by now
    agent.command(Exit(3))
    assert finish(process).returncode == 3


def test_silence_compiles_locally_and_is_remembered(rig: Rig, agent: Agent) -> None:
    rig.environment["SECURECC_AGENT_TIMEOUT"] = "no number"
    began = time.monotonic()
    process, _ = agent.serve("gcc")
    assert finish(process).stdout.startswith(b"compiled")
    assert time.monotonic() - began > 4.5
    rig.environment["SECURECC_VERBOSE"] = "1"
    assert b"compiling locally: the agent failed a moment ago" in rig.run("gcc").stderr


def test_without_fallback_says_so(rig: Rig, agent: Agent) -> None:
    rig.environment["SECURECC_FALLBACK"] = "0"
    process, _ = agent.serve("gcc")
    agent.hang_up()
    result = finish(process)
    assert (result.returncode, result.stdout) == (107, b"")
    assert result.stderr.count(b"\n") == 1


# --- by itself --------------------------------------------------------------------------------------------------


def test_no_compiler(rig: Rig) -> None:
    result = rig.run("no-such-compiler")
    assert result.returncode == 110
    assert b"no-such-compiler" in result.stderr


def test_only_ourselves_is_no_compiler(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "odd").symlink_to(rig.launcher)
    rig.environment["PATH"] = str(tmp_path)
    assert rig.run("odd").returncode == 110


def test_wrapper_of_a_wrapper_compiles_and_a_loop_ends(rig: Rig) -> None:
    rig.script(rig.bin / "once", f"exec {rig.launcher} gcc -c")
    rig.script(rig.bin / "loop", f"exec {rig.launcher} loop")
    rig.agent_script("")
    assert rig.run("once").stdout == f"compiled {rig.bin}/gcc -c\n".encode()
    assert rig.run("loop").returncode == 111


def test_usage(rig: Rig) -> None:
    assert rig.run().returncode == 101
    assert rig.run("--version").stdout.startswith(b"securecc ")
