"""The agent as a process, with a launcher that the test plays; no farm."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from securecc.client import agent as agent_module
from securecc.client.agent import Agent, listen
from securecc.client.ipc.frames import CommandReader, Execute, Exit, Frame, Keepalive, Print, Request, encode
from securecc.client.ipc.launcher import Launcher
from securecc.model import limits
from securecc.model.errors import AgentError
from tests.client.farm_stub import request
from tests.waiting import CEILING_S


class Running:
    """One agent process and its folder."""

    def __init__(self, *options: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="agent-"))  # short, for sun_path is
        self.path = self.folder / "a.sock"
        ours, theirs = os.pipe()
        command = (sys.executable, "-I", "-m", "securecc.client", "--socket", self.path, "--ready-fd", theirs)
        environment = {name: os.environ[name] for name in os.environ if name.startswith("COVERAGE")}
        self.process = subprocess.Popen(
            [*map(str, command), *options],
            pass_fds=(theirs,),
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **environment},
            stderr=subprocess.PIPE,
            cwd="/",
        )
        os.close(theirs)
        self.ready = os.read(ours, 9)
        os.close(ours)

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(CEILING_S)
        connection.connect(str(self.path))
        return connection

    def ask(self, *frames: Frame | bytes) -> list[Frame]:
        """All that the agent says to these frames, keepalives aside, until it hangs up."""
        with self.connect() as connection:
            connection.sendall(b"".join(frame if isinstance(frame, bytes) else encode(frame) for frame in frames))
            return heard(connection)

    def end(self) -> int:
        """The exit status, asked for by nobody."""
        _, errors = self.process.communicate(timeout=CEILING_S)
        self.errors = errors.decode()
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=CEILING_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        for path in sorted(self.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.folder.rmdir()


def heard(connection: socket.socket) -> list[Frame]:
    reader, frames = CommandReader(), []
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            frames += reader.feed(data)
    return [frame for frame in frames if frame != Keepalive()]


@pytest.fixture
def running() -> Iterator[Running]:
    agent = Running()
    try:
        assert agent.ready == b"1"
        yield agent
    finally:
        agent.close()


def test_an_agent_serves_until_it_is_told_to_end(running: Running) -> None:
    link = request("/", "gcc", "a.o", "-o", "a")
    assert running.ask(link) == [Execute(b"/usr/bin/gcc", link.arguments)]
    assert stat.S_ISSOCK(running.path.stat().st_mode)
    with running.connect() as waiting:
        running.process.send_signal(signal.SIGTERM)
        assert heard(waiting) == []
    assert running.end() == 0
    assert running.errors == ""
    assert not running.path.exists()


def test_many_launchers_at_once(running: Running) -> None:
    connections = [running.connect() for _ in range(100)]
    for number, connection in enumerate(connections):
        connection.sendall(encode(request("/", "gcc", f"{number}.o")))
    for number, connection in enumerate(connections):
        assert heard(connection) == [Execute(b"/usr/bin/gcc", (b"gcc", b"%d.o" % number))]
        connection.close()


def test_without_a_server_a_compile_is_local_or_forbidden(running: Running) -> None:
    compile_ = request("/", "gcc", "-c", "a.c")
    assert running.ask(compile_) == [Execute(b"/usr/bin/gcc", compile_.arguments)]
    forbidden = request("/", "gcc", "-c", "a.c", environment={b"SECURECC_FALLBACK": b"0"})
    said, ended = running.ask(forbidden)
    assert isinstance(said, Print)
    assert (said.stream, ended) == (2, Exit(116))


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", bytes(4096), b"\xff" * 4096, b"\x05\0\0\0\x01\x63\0\0\0?"],
    ids=["http", "zeros", "ones", "version"],
)
def test_garbage_at_the_door_harms_nobody_else(running: Running, garbage: bytes) -> None:
    assert running.ask(garbage) == []
    link = request("/", "gcc", "a.o")
    assert running.ask(link) == [Execute(b"/usr/bin/gcc", link.arguments)]


def test_an_agent_leaves_when_another_stands_in_its_place(running: Running) -> None:
    running.path.unlink()
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(running.path))
    assert running.end() == 0
    assert running.path.exists()
    other.close()


def test_an_agent_leaves_when_it_is_idle() -> None:
    agent = Running("--idle", "0")
    try:
        assert agent.end() == 0
        assert not agent.path.exists()
    finally:
        agent.close()


def test_a_folder_that_others_can_write_to_is_no_place(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    command = [sys.executable, "-m", "securecc.client", "--socket", str(tmp_path / "a.sock")]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=CEILING_S)
    assert ended.returncode == 1
    assert ended.stderr.decode().startswith(f"securecc: {tmp_path} is not private")


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "a.sock").write_text("what a crash left")
    listen(tmp_path / "a.sock").close()
    (tmp_path / "folder").mkdir()
    for name in ("x" * 200, "folder"):
        with pytest.raises(AgentError, match="cannot listen on"):
            listen(tmp_path / name)


class Parts:
    """Handler, farms and journal at once, for an agent in this very process."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self.flushed = 0
        self.told: list[tuple[str, str]] = []

    def local(self, reason: str, detail: str, arguments: Iterable[bytes] = ()) -> None:
        self.told.append((reason, detail))

    async def serve(self, launcher: Launcher, said: Request) -> None:
        launcher.execute(said)

    def close(self, reason: str = "") -> None:
        self.closed.append(reason)

    def flush(self) -> None:
        self.flushed += 1

    def check_tickets(self) -> None:
        pass


Act = Callable[[Agent], Awaitable[None]]


def in_process(path: Path, act: Act, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Parts:
    """Runs an Agent here, `act` beside it; its parts."""
    monkeypatch.setattr(limits, "AGENT_KEEPALIVE_S", 0.01)
    parts = Parts()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        listening = listen(path)
        ready = loop.create_future()
        agent = Agent(path, parts, parts, parts, options.get("idle", 60.0))
        task = asyncio.create_task(agent.run(listening, lambda: ready.set_result(None)))
        await ready
        await act(agent)
        await asyncio.wait_for(task, CEILING_S)

    path.parent.chmod(0o700)
    asyncio.run(run())
    return parts


def test_all_ends_with_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(agent: Agent) -> None:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "a")
        writer.write(encode(request("/")))
        assert await reader.read()
        writer.close()
        agent.stop()

    parts = in_process(tmp_path / "a", act, monkeypatch)
    assert parts.closed == ["the agent ends", ""]
    assert not (tmp_path / "a").exists()


def test_what_should_never_happen_is_told_and_ends_no_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(self: Parts, launcher: Launcher, said: Request) -> None:
        raise ZeroDivisionError("what nobody thought of")

    async def act(agent: Agent) -> None:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "a")
        writer.write(encode(request("/")))
        assert await reader.read() == b""  # a launcher that hears no more compiles by itself
        writer.close()
        agent.stop()

    monkeypatch.setattr(Parts, "serve", fails)
    parts = in_process(tmp_path / "a", act, monkeypatch)
    assert parts.told == [("internal", "ZeroDivisionError: what nobody thought of")]


def test_a_launcher_that_is_connected_keeps_it_from_leaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(agent: Agent) -> None:
        _, writer = await asyncio.open_unix_connection(tmp_path / "a")
        await asyncio.sleep(0.15)
        assert (tmp_path / "a").exists()
        writer.close()

    parts = in_process(tmp_path / "a", act, monkeypatch, idle=0.05)
    assert parts.flushed


def test_its_place_taken_away_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(agent: Agent) -> None:
        (tmp_path / "a").unlink()

    in_process(tmp_path / "a", act, monkeypatch)


def test_an_agent_is_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    async def body() -> Agent:
        return agent_module.compose(tmp_path / "a", 1.0)

    assert asyncio.run(body()).idle_s == 1.0


def test_the_entry_says_when_it_is_ready_and_why_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o700)
    ours, theirs = os.pipe()
    words = ["agent", "--socket", str(tmp_path / "a.sock"), "--ready-fd", str(theirs), "--idle", "0"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(limits, "AGENT_KEEPALIVE_S", 0.01)
    monkeypatch.setattr(agent_module, "log_beside", lambda _path: None)
    monkeypatch.setenv("KRB5CCNAME", "FILE:/of/the/first/launcher")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert agent_module.main() == 0
    assert "KRB5CCNAME" not in os.environ
    assert os.read(ours, 9) == b"1"
    os.close(ours)
    tmp_path.chmod(0o777)
    monkeypatch.setattr(sys, "argv", words[:3])
    assert agent_module.main() == 1
    assert "not private" in capsys.readouterr().err


def test_what_should_never_happen_is_kept_beside_the_socket(tmp_path: Path) -> None:
    script = (
        "import logging, pathlib, sys\nfrom securecc.client import agent\n"
        "agent.log_beside(pathlib.Path(sys.argv[1]))\nlogging.getLogger('securecc.agent').error('what')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.sock")], check=True, timeout=CEILING_S)
    assert (tmp_path / "a.log").read_text().endswith("what\n")
