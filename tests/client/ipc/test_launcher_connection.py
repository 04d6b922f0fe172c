"""One launcher at the agent's door, over a real socket pair; what it may and may not do."""

import asyncio
import contextlib
import ctypes
import gc
import os
import socket
import sys
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.ipc import launcher_connection as connection_module
from securecc.client.ipc.frames import (
    Capture,
    Captured,
    CaptureDone,
    CommandReader,
    Commit,
    Committed,
    Data,
    Execute,
    Exit,
    Failed,
    Frame,
    Input,
    Keep,
    Keepalive,
    Output,
    Print,
    Request,
    Spawn,
    Spawned,
    encode,
)
from securecc.client.ipc.launcher import LauncherGoneError, MadeFile
from securecc.client.ipc.launcher_connection import LauncherConnection
from securecc.client.spool import CHUNK, Content, Spool
from securecc.model.errors import AgentError
from tests.client.farm_stub import request
from tests.waiting import CEILING_S

Serve = Callable[[LauncherConnection, Request], Awaitable[None]]


class PlayedLauncher:
    """The other end: says what it is told, keeps what it hears."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.end.setblocking(False)
        self._reader = CommandReader()
        self._heard: list[Frame] = []

    def say(self, *frames: Frame | bytes) -> None:
        data = b"".join(frame if isinstance(frame, bytes) else encode(frame) for frame in frames)
        with contextlib.suppress(BrokenPipeError):  # the agent may have hung up
            self.end.send(data)

    async def hears(self) -> Frame | None:
        """The next order; None when the agent has hung up."""
        async with asyncio.timeout(CEILING_S):
            while not self._heard:
                try:
                    data = await asyncio.get_running_loop().sock_recv(self.end, 65536)
                except ConnectionResetError:
                    return None
                if not data:
                    return None
                self._heard += self._reader.feed(data)
            return self._heard.pop(0)


Body = Callable[[LauncherConnection, PlayedLauncher], Awaitable[None]]


def received(connection: LauncherConnection, data: bytes) -> None:
    """As the event loop does it."""
    connection.get_buffer(-1)[: len(data)] = data
    connection.buffer_updated(len(data))


def with_connection(serve: Serve, body: Body, kind: type[LauncherConnection] = LauncherConnection) -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        connection = kind(serve)
        done = asyncio.get_running_loop().create_future()
        connection.done = done.set_result
        await asyncio.get_running_loop().create_unix_connection(lambda: connection, sock=ours)
        launcher = PlayedLauncher(theirs)
        try:
            await body(connection, launcher)
        finally:
            theirs.close()
            assert await asyncio.wait_for(done, CEILING_S) is connection

    asyncio.run(run())


REQUEST = request("/")


def test_a_request_is_served_and_then_hung_up_on() -> None:
    async def serve(connection: LauncherConnection, said: Request) -> None:
        assert said == REQUEST
        connection.execute(said)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        assert connection.process == os.getpid()
        launcher.say(REQUEST)
        assert await launcher.hears() == Execute(b"/usr/bin/gcc", REQUEST.arguments)
        assert await launcher.hears() is None

    with_connection(serve, body)


def test_standard_input_is_asked_for_once() -> None:
    async def serve(connection: LauncherConnection, said: Request) -> None:
        assert await connection.input() == b"int a;"
        assert await connection.input() == b"int a;"
        connection.exit(0)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        assert await launcher.hears() == Input()
        launcher.say(Captured(0, b"int "), Captured(2, b"no"), Captured(0, b"a;"), CaptureDone(0))
        assert await launcher.hears() == Exit(0)

    with_connection(serve, body)


@pytest.mark.parametrize("answer", [CaptureDone(0, truncated=True), Failed(22, b"")])
def test_standard_input_that_is_none_for_servers(answer: Frame) -> None:
    async def serve(connection: LauncherConnection, said: Request) -> None:
        assert await connection.input() is None
        connection.exit(0)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        await launcher.hears()
        launcher.say(Captured(0, b"int "), answer)
        assert await launcher.hears() == Exit(0)

    with_connection(serve, body)


def test_a_command_is_run_in_the_launchers_place() -> None:
    async def serve(connection: LauncherConnection, said: Request) -> None:
        assert await connection.capture((b"gcc", b"-M")) == (0, b"a.o: a.c")
        assert await connection.capture((b"gcc", b"-M")) == (1 << 8, b"much")
        assert await connection.capture((b"none",)) == (127 << 8, b"")
        assert await connection.capture_all((b"gcc", b"-v")) == (0, b"a.o:", b"looks here")
        assert await connection.spawn((b"gcc",)) == 256
        assert await connection.spawn((b"none",)) == 127 << 8
        connection.exit(0)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        assert await launcher.hears() == Capture((b"gcc", b"-M"))
        launcher.say(Captured(1, b"a.o: "), Captured(1, b"a.c"), CaptureDone(0))
        await launcher.hears()
        launcher.say(Spawned(9), Captured(1, b"much"), CaptureDone(9, truncated=True))
        await launcher.hears()
        launcher.say(Failed(2, b"none"))
        assert await launcher.hears() == Capture((b"gcc", b"-v"), {b"LANGUAGE": b"C"}, errors=True)
        launcher.say(Captured(2, b"looks "), Captured(1, b"a.o:"), Captured(2, b"here"), CaptureDone(0))
        assert await launcher.hears() == Spawn((b"gcc",))
        launcher.say(Committed(), Spawned(256))
        await launcher.hears()
        launcher.say(Failed(2, b"none"))
        assert await launcher.hears() == Exit(0)

    with_connection(serve, body)


def test_outputs_are_written_all_or_none() -> None:
    made = (
        MadeFile(b"/p/a.o", Content.of(b"object"), Keep.IF_EMPTY),
        MadeFile(b"/p/a.d", Content.of(b""), Keep.ALWAYS),
    )

    async def serve(connection: LauncherConnection, said: Request) -> None:
        assert await connection.finish(made, (), b"") is None
        assert await connection.finish(made, (Content.of(b"out"),), b"err") == Failed(28, b"/p/a.d")
        assert await connection.finish((), (Content.of(b""),), b"err") is None
        connection.write(1, b"out")
        connection.write(2, b"")
        connection.exit(1)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        assert [await launcher.hears() for _ in range(5)] == [
            Output(b"/p/a.o", 6, keep=False),
            Data(b"object"),
            Output(b"/p/a.d", 0, keep=True),
            Commit(),
            Exit(0),
        ]
        launcher.say(Spawned(0), Committed())
        said = [await launcher.hears() for _ in range(7)]
        assert said[3:] == [Print(2, b"err"), Print(1, b"out"), Commit(), Exit(0)]
        launcher.say(Spawned(0), Failed(28, b"/p/a.d"))
        assert [await launcher.hears() for _ in range(3)] == [Commit(), Print(2, b"err"), Exit(0)]
        launcher.say(Committed())
        assert [await launcher.hears(), await launcher.hears()] == [Print(1, b"out"), Exit(1)]

    with_connection(serve, body)


def large_file() -> MadeFile:
    return MadeFile(b"/p/a.o", Content.of(os.urandom(20 * CHUNK + 1)), Keep.IF_EMPTY)


async def drained(launcher: PlayedLauncher) -> list[Frame]:
    """Everything that the launcher is sent, until the agent hangs up."""
    found: list[Frame] = []
    while (frame := await launcher.hears()) is not None:
        found.append(frame)
        if frame == Commit():
            launcher.say(Committed())
    return found


def test_a_large_result_goes_as_fast_as_the_launcher_takes_it() -> None:
    made = large_file()
    held_back = []

    class Slow(LauncherConnection):
        def pause_writing(self) -> None:
            super().pause_writing()
            held_back.append(True)

    async def serve(connection: LauncherConnection, said: Request) -> None:
        assert await connection.finish((made,), (), b"") is None

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        heard = await drained(launcher)
        assert heard[0] == Output(b"/p/a.o", made.content.size, Keep.IF_EMPTY)
        assert b"".join(frame.data for frame in heard if isinstance(frame, Data)) == made.content.read()
        assert heard[-2:] == [Commit(), Exit(0)]

    with_connection(serve, body, Slow)
    assert len(held_back) > 1


def test_a_launcher_that_gives_up_a_large_result_is_sent_no_more_of_it() -> None:
    made = large_file()

    async def serve(connection: LauncherConnection, said: Request) -> None:
        assert await connection.finish((made,), (), b"") == Failed(28, b"/p/a.o")
        connection.execute(said)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        await launcher.hears()
        launcher.say(Failed(28, b"/p/a.o"))
        heard = await drained(launcher)
        assert Commit() not in heard
        assert heard[-1] == Execute(b"/usr/bin/gcc", REQUEST.arguments)

    with_connection(serve, body)


def test_a_launcher_that_goes_in_the_middle_of_a_large_result_ends_its_compile() -> None:
    ends = []

    async def serve(connection: LauncherConnection, said: Request) -> None:
        try:
            await connection.finish((large_file(),), (), b"")
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        await launcher.hears()

    with_connection(serve, body)
    assert ends == ["cancelled"]


def test_nothing_more_of_a_large_result_is_read_once_a_write_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[str] = []
    tried = asyncio.Event()
    there: list[PlayedLauncher] = []

    async def serve(connection: LauncherConnection, said: Request) -> None:
        there[0].end.close()
        try:
            await connection.finish((large_file(),), (), b"")
        except LauncherGoneError as error:
            ends.append(error.message)
        finally:
            tried.set()

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        there.append(launcher)
        launcher.say(REQUEST)
        await asyncio.wait_for(tried.wait(), CEILING_S)

    with_connection(serve, body)
    assert ends == ["the launcher has gone"]
    assert not caplog.records


def test_a_launcher_that_has_written_everything_may_go() -> None:
    ends = []

    async def serve(connection: LauncherConnection, said: Request) -> None:
        ends.append(await connection.finish((), (), b""))

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        await launcher.hears()
        received(connection, encode(Committed()))
        connection.connection_lost(None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert ends == [None]

    with_connection(serve, body)


def test_a_launcher_that_goes_ends_its_compile() -> None:
    ends = []

    async def serve(connection: LauncherConnection, said: Request) -> None:
        try:
            await connection.spawn((b"gcc",))
        except asyncio.CancelledError:
            ends.append("cancelled")
            with pytest.raises(LauncherGoneError):
                connection.exit(0)
            with pytest.raises(LauncherGoneError):
                await connection.finish((), (), b"")
            connection.write(1, b"to nobody")
            connection.keep_alive()
            connection.close()
            raise

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        await launcher.hears()

    with_connection(serve, body)
    assert ends == ["cancelled"]


def test_a_compile_that_is_cancelled_leaves_nothing_for_the_garbage_collector() -> None:
    kept: list[weakref.ref[Spool]] = []
    freed = asyncio.Event()

    async def serve(connection: LauncherConnection, said: Request) -> None:
        content = Content.of(b"large")
        kept.append(weakref.ref(content.spool, lambda _: freed.set()))
        await connection.spawn((content.read(),))

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        await launcher.hears()
        launcher.end.close()
        await asyncio.wait_for(freed.wait(), CEILING_S)

    gc.disable()
    try:
        with_connection(serve, body)
    finally:
        gc.enable()


def test_a_compile_that_nobody_waits_for_is_abandoned() -> None:
    async def serve(connection: LauncherConnection, said: Request) -> None:
        connection.abandon()
        await asyncio.sleep(5)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        connection.abandon()
        launcher.say(REQUEST)
        assert await launcher.hears() is None

    with_connection(serve, body)


def test_the_launcher_hears_that_the_agent_is_at_work() -> None:
    async def serve(connection: LauncherConnection, said: Request) -> None:
        connection.keep_alive()  # it has only just asked
        with contextlib.suppress(LauncherGoneError):
            await connection.spawn((b"first",))
        connection.keep_alive()
        await connection.spawn((b"x",))

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        assert await launcher.hears() == Spawn((b"first",))
        launcher.say(Spawned(0))
        assert [await launcher.hears(), await launcher.hears()] == [Keepalive(), Spawn((b"x",))]

    with_connection(serve, body)


@pytest.mark.parametrize("error", [LauncherGoneError("gone"), KeyError("a defect")])
def test_whatever_happens_the_launcher_is_let_go(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def serve(connection: LauncherConnection, said: Request) -> None:
        raise error

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        assert await launcher.hears() is None

    with_connection(serve, body)
    assert ("internal error" in caplog.text) == isinstance(error, KeyError)


async def never(connection: LauncherConnection, said: Request) -> None:
    raise AssertionError("served")


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 40,
        encode(Committed()),
        b"\x05\0\0\0\x01\x63\0\0\0?",  # a version that nobody speaks
        (0xFFFFFFFF).to_bytes(4, "little") + b"\x01",
    ],
)
def test_garbage_is_hung_up_on(said: bytes) -> None:
    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(said)
        assert await launcher.hears() is None

    with_connection(never, body)


def test_a_second_request_ends_the_first() -> None:
    ends = []

    async def serve(connection: LauncherConnection, said: Request) -> None:
        try:
            await connection.spawn((b"x",))
        finally:
            ends.append(said)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        await launcher.hears()
        launcher.say(REQUEST)
        assert await launcher.hears() is None

    with_connection(serve, body)
    assert ends == [REQUEST]


@pytest.mark.parametrize("door", ["another user", "another world", "nobody"])
def test_only_our_own_user_in_our_own_world_is_served(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served = []

    async def serve(connection: LauncherConnection, said: Request) -> None:
        served.append(said)

    def refuse(_connection: socket.socket) -> tuple[int, int]:
        raise AgentError("cannot tell who is connected")

    if door == "another user":
        monkeypatch.setattr(connection_module, "peer", lambda _: (1, os.getuid() + 1))
    elif door == "another world":
        monkeypatch.setattr(connection_module, "same_world", lambda _: False)
    else:
        monkeypatch.setattr(connection_module, "peer", refuse)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        assert await launcher.hears() is None
        received(connection, encode(REQUEST))
        await asyncio.sleep(0)

    with_connection(serve, body)
    assert served == []


ATTACK = """
import ctypes, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
if sys.argv[2] == "user":
    os.setgid(65534); os.setuid(65534)
elif ctypes.CDLL(None, use_errno=True).unshare(0x00020000):
    sys.exit("no namespaces here")
connection.connect(sys.argv[1])
try:
    connection.send(bytes.fromhex(sys.argv[3]))
    answer = connection.recv(100)
except OSError:
    answer = b""
sys.exit("served" if answer else 0)
"""


def may_unshare() -> bool:
    child = os.fork()
    if child == 0:
        os._exit(ctypes.CDLL(None).unshare(0x00020000) != 0)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("attack", ["user", "world"])
def test_a_stranger_at_the_door_is_not_served(tmp_path: Path, attack: str) -> None:
    """Attack: a process of another uid, or in a mount namespace of its own, sends a request."""
    if os.getuid() != 0 or not may_unshare():
        pytest.skip("becoming somebody else needs root")
    path = f"/tmp/door-{os.getpid()}-{attack}"  # a place that the other user can reach
    served = []

    async def serve(connection: LauncherConnection, said: Request) -> None:
        served.append(said)
        connection.execute(said)

    async def run() -> int:
        server = await asyncio.get_running_loop().create_unix_server(lambda: LauncherConnection(serve), path)
        os.chmod(path, 0o777)
        command = (sys.executable, "-c", ATTACK, path, attack, encode(REQUEST).hex())
        process = await asyncio.create_subprocess_exec(*command, cwd="/")
        status = await asyncio.wait_for(process.wait(), CEILING_S)
        server.close()
        return status

    try:
        assert asyncio.run(run()) == 0
    finally:
        os.unlink(path)
    assert served == []


frames = st.sampled_from(
    [Captured(1, b"x"), CaptureDone(0), CaptureDone(1), Spawned(0), Committed(), Failed(5, b"/x"), REQUEST]
)


@settings(max_examples=60)
@given(st.lists(frames | st.binary(min_size=1, max_size=9), max_size=8))
def test_any_reports_end_in_orders_or_in_a_hang_up(said: list[Frame | bytes]) -> None:
    async def serve(connection: LauncherConnection, _: Request) -> None:
        await connection.capture((b"x",))
        await connection.spawn((b"y",))
        await connection.finish((MadeFile(b"/a", Content.of(b"b"), Keep.IF_EMPTY),), (), b"")
        connection.exit(0)

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST, *said)
        for _ in range(12):
            await asyncio.sleep(0)

    with_connection(serve, body)


def test_a_request_is_not_a_report() -> None:
    assert Request not in connection_module.Reply.__args__


def test_a_launcher_that_has_everything_hears_nothing_more() -> None:
    """It may end at any moment, and to write to it then would lose its last word."""

    async def serve(connection: LauncherConnection, said: Request) -> None:
        assert await connection.finish((MadeFile(b"/a", Content.of(b"b"), Keep.NEVER),), (), b"") is None

    async def body(connection: LauncherConnection, launcher: PlayedLauncher) -> None:
        launcher.say(REQUEST)
        while not isinstance(await launcher.hears(), Exit):
            pass
        for _ in range(2):
            connection.keep_alive()
        launcher.say(Committed())
        assert await launcher.hears() is None

    with_connection(serve, body)
