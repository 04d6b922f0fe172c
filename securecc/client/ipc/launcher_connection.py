"""The agent's end of the connection to one launcher: its request, commands to it, its replies."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence

from securecc.client.ipc import frames
from securecc.client.ipc.agent_socket import peer, same_world
from securecc.client.ipc.frames import (
    Captured,
    CaptureDone,
    Commit,
    Committed,
    Execute,
    Exit,
    Failed,
    FromAgent,
    Output,
    Request,
    RequestReader,
    Spawned,
)
from securecc.client.ipc.launcher import LauncherGoneError, MadeFile
from securecc.client.spool import Content
from securecc.model import limits
from securecc.model.errors import AgentError, SecureccError

log = logging.getLogger("securecc.agent")

Reply = Captured | CaptureDone | Spawned | Committed | Failed

_KEEPALIVE = frames.encode(frames.Keepalive())
_AT_ONCE = 64 * limits.KIB

_BATCH = 1 * limits.MIB
"""Bytes of a delivery that are written without checking whether the launcher takes them: most are smaller."""


_incoming = memoryview(bytearray(_AT_ONCE))
"""The read buffer for all launchers: bytes are taken out before others arrive."""


class LauncherConnection(asyncio.BufferedProtocol):
    """See `securecc.client.ipc.launcher.Launcher`. `serve` is called with the request, in its own task, which is
    cancelled when the launcher goes away.
    """

    def __init__(self, serve: Callable[["LauncherConnection", Request], Awaitable[None]]) -> None:
        self._serve = serve
        self._reader = RequestReader()
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._input: tuple[bytes | None, ...] = ()
        self._quiet = True
        self._held_back = False
        self._all_sent = False
        self.process = 0
        self.done: Callable[[LauncherConnection], None] = lambda _: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BufferedProtocol."""
        assert isinstance(transport, asyncio.Transport)
        try:
            self.process, user = peer(transport.get_extra_info("socket"))
        except AgentError:
            user = -1
        if user != os.getuid() or not same_world(self.process):
            transport.abort()
            return
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """See asyncio.BufferedProtocol."""
        return _incoming

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol. A launcher that breaks the protocol is disconnected, and compiles locally."""
        if self._transport is None:
            return
        try:
            for frame in self._reader.feed(bytes(_incoming[:nbytes])):
                if isinstance(frame, Request):
                    self._task = asyncio.create_task(self._run(frame))
                elif isinstance(frame, Captured | CaptureDone | Spawned | Committed | Failed):
                    self._replies.append(frame)
                    self._wake()
        except SecureccError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See asyncio.Protocol."""
        self._transport = None
        self._wake()
        # A launcher that has written everything exits without another command: its outputs still count.
        if self._task is not None and not any(isinstance(reply, Committed) for reply in self._replies):
            self._task.cancel()
        self.done(self)

    def pause_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self._held_back = True

    def resume_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self._held_back = False
        self._wake()

    async def _run(self, request: Request) -> None:
        try:
            await self._serve(self, request)
        except LauncherGoneError:
            pass
        except Exception:
            log.exception("internal error: compiling locally")
        finally:
            self._task = None  # a task that is cancelled has its traceback, which has this connection and the result
            self.close()

    def abandon(self) -> None:
        """Ends a compile that no one is waiting for any more."""
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Hangs up; the launcher compiles locally unless it was told to end."""
        if self._transport is not None:
            self._transport.close()

    def keep_alive(self) -> None:
        """Tells the launcher that the agent is still working; call every AGENT_KEEPALIVE_S. A launcher whose request is
        newer than the last call is not told yet.
        """
        if not (self._quiet or self._all_sent) and self._transport is not None and self._task is not None:
            self._transport.write(_KEEPALIVE)
        self._quiet = False

    def command(self, frame: FromAgent) -> None:
        """Sends one command.

        Raises:
            LauncherGoneError: the launcher has ended.
        """
        if self._transport is None:
            raise LauncherGoneError("the launcher has gone")
        self._transport.write(frames.encode(frame))

    def execute(self, request: Request) -> None:
        """Makes the launcher become the compiler that it found, with the user's arguments."""
        self.command(Execute(request.compiler, request.arguments))

    def write(self, stream: int, content: bytes) -> None:
        """Writes to the user's descriptor 1 or 2."""
        if content and self._transport is not None:
            self._transport.write(frames.print_frames(stream, content))

    def exit(self, status: int) -> None:
        """Ends the launcher with this exit status."""
        self.command(Exit(status))

    async def capture(self, arguments: Sequence[bytes]) -> tuple[int, bytes]:
        """Runs a command in the launcher's place; returns its wait status and standard output."""
        status, output, _ = await self._captured(frames.Capture(tuple(arguments)))
        return status, output

    async def capture_all(self, arguments: Sequence[bytes]) -> tuple[int, bytes, bytes]:
        """As `capture`, with the standard error too, which is in English."""
        return await self._captured(frames.Capture(tuple(arguments), {b"LANGUAGE": b"C"}, errors=True))

    async def input(self) -> bytes | None:
        """All of the user's standard input; None if only the compiler itself should read it. It is read only once."""
        if not self._input:
            status, content, _ = await self._captured(frames.Input(), 0)
            self._input = (content if status == 0 else None,)
        return self._input[0]

    async def _captured(self, command: frames.Capture | frames.Input, main: int = 1) -> tuple[int, bytes, bytes]:
        self.command(command)
        parts: dict[int, list[bytes]] = {main: [], 2: []}
        while True:
            reply = await self._reply()
            if isinstance(reply, Captured):
                parts.get(reply.stream, []).append(reply.data)
            elif isinstance(reply, CaptureDone):
                status = reply.status if not reply.truncated else 1 << 8
                return status, b"".join(parts[main]), b"".join(parts[2])
            elif isinstance(reply, Failed):
                return 127 << 8, b"", b""

    async def spawn(self, arguments: Sequence[bytes]) -> int:
        """Runs a command with the user's own descriptors; returns its wait status."""
        self.command(frames.Spawn(tuple(arguments)))
        while True:
            reply = await self._reply()
            if isinstance(reply, Spawned):
                return reply.status
            if isinstance(reply, Failed):
                return 127 << 8

    async def finish(self, outputs: Sequence[MadeFile], stdout: Sequence[Content], stderr: bytes) -> Failed | None:
        """Writes all outputs or none. When all are written, prints and ends the launcher with success, without waiting
        for a reply in between; otherwise returns why they could not be written, and the launcher waits for another
        command. Standard output is one of the outputs: it is written after the diagnostics, as compilers do, and before
        the files get their names.

        Raises:
            LauncherGoneError: the launcher has ended.
            AgentError: the result cannot be read from where it is kept.
        """
        batch: list[bytes] = []
        size = 0
        for frame in _delivery(outputs, stdout, stderr):
            batch.append(frame)
            size += len(frame)
            if size >= _BATCH:
                self._write(batch)
                batch, size = [], 0
                await self._drain()
                if self._failed():
                    break
        self._write(batch)
        self._all_sent = True
        while True:
            reply = await self._reply()
            self._all_sent = False
            if isinstance(reply, Committed):
                return None
            if isinstance(reply, Failed):
                return reply

    def _write(self, pieces: Sequence[bytes]) -> None:
        if self._transport is None or self._transport.is_closing():  # a write that fails shows at once, the loss later
            raise LauncherGoneError("the launcher has gone")
        self._transport.write(b"".join(pieces))

    def _failed(self) -> bool:
        """Whether the launcher has given up on what is being sent."""
        return any(isinstance(reply, Failed) for reply in self._replies)

    async def _drain(self) -> None:
        """Waits until the launcher has read most of what was written, or has given up."""
        while self._held_back and self._transport is not None and not self._failed():
            await self._woken()

    async def _reply(self) -> Reply:
        while not self._replies:
            if self._transport is None:
                raise LauncherGoneError("the launcher has gone")
            await self._woken()
        return self._replies.popleft()

    async def _woken(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _delivery(outputs: Sequence[MadeFile], stdout: Sequence[Content], stderr: bytes) -> Iterator[bytes]:
    """The frames that write a result and end the launcher."""
    for output in outputs:
        yield frames.encode(Output(output.path, output.content.size, output.keep))
        for chunk in output.content.chunks():
            yield frames.data_frames(chunk)
    commit, said = frames.encode(Commit()), frames.print_frames(2, stderr)
    printed = any(content.size for content in stdout)
    if not printed:
        yield commit
    yield said
    for content in stdout:
        for chunk in content.chunks():
            yield frames.print_frames(1, chunk)
    if printed:
        yield commit
    yield frames.encode(Exit(0))
