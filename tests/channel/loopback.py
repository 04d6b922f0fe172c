"""Whole channels over loopback, with a stub in the place of Kerberos."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from securecc.channel import dialer, tls
from securecc.channel.channel import Channel
from securecc.channel.client_handshake import authenticate
from securecc.channel.connection_gate import ConnectionGate
from securecc.channel.server import Server, serve
from securecc.model.errors import ChannelError
from securecc.model.messages import (
    Hello,
    Submit,
    Terminal,
    Welcome,
)
from securecc.wire.framing import encode_control
from tests.gss_stub import StubAcceptor, StubInitiator
from tests.waiting import CEILING_S

CONTEXT = tls.server_context()


class Listener:
    def __init__(self, channel: Any = None) -> None:
        self.channel = channel
        self.said: list[Any] = []
        self.lost: list[Any] = []
        self.news = asyncio.Event()

    def on_message(self, message: Any) -> None:
        self.said.append(message)
        self.news.set()

    def on_bulk(self, job: int, data: Any) -> None:
        self.said.append((job, data))
        self.news.set()

    def on_lost(self, error: Any) -> None:
        self.lost.append(error)
        self.news.set()

    async def until(self, test: Any) -> None:
        async with asyncio.timeout(CEILING_S):
            while not test():
                self.news.clear()
                await self.news.wait()


async def grant_all(principal: Any, peer: Any, indicators: Any) -> Any:
    return ("grant", principal, peer[0], indicators)


class LoopbackServer:
    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.fronts: list[Listener] = []
        self.noticed: list[tuple[str, Any]] = []
        self.port = 0
        self.server: Server
        self.event = asyncio.Event()

    def on_channel(self, channel: Any) -> Any:
        self.channels.append(channel)
        self.fronts.append(Listener(channel))
        self.event.set()
        return self.fronts[-1]

    def on_event(self, event: str, peer: Any, detail: Any) -> None:
        self.noticed.append((event, detail))
        self.event.set()

    async def until_noticed(self, event: str) -> None:
        async with asyncio.timeout(CEILING_S):
            while event not in [known for known, _ in self.noticed]:
                self.event.clear()
                await self.event.wait()


@asynccontextmanager
async def loopback(**changes: Any) -> AsyncIterator[Any]:
    some = LoopbackServer()
    settings = {
        "gate": ConnectionGate(),
        "authenticator": StubAcceptor,
        "context": CONTEXT,
        "authorise": grant_all,
        "on_channel": some.on_channel,
        "on_event": some.on_event,
        **changes,
    }
    server = await serve([("127.0.0.1", 0)], **settings)
    some.port = server.addresses[0][1]
    some.server = server
    try:
        yield some
    finally:
        await server.close()
        for channel in some.channels:
            channel.close()
            await channel.wait_closed()


async def dial(port: int, host: str = "127.0.0.1", **options: Any) -> Any:
    """A channel to a server of this module's."""
    return await dialer.dial(host, port, **{"initiate": StubInitiator, **options})


@asynccontextmanager
async def greeted(some: LoopbackServer) -> AsyncIterator[Any]:
    """A greeted channel: the client's listener and the server's."""
    channel = await dial(some.port)
    client = Listener(channel)
    channel.attach(client)
    channel.send(Hello((1,), "test"))
    front = some.fronts[-1]
    await front.until(lambda: front.said)
    front.channel.send(Welcome(1, "test", "alice", "ref", 1, ()))
    await client.until(lambda: client.said)
    try:
        yield client, front
    finally:
        channel.close()
        await channel.wait_closed()


@asynccontextmanager
async def muted(some: LoopbackServer, heard: Callable[[Any], None] = lambda _frames: None) -> AsyncIterator[Any]:
    """A greeted client's connection that says nothing by itself, not even that it lives; and the server's listener.
    `heard` gets the frames that come.
    """
    connection = await dialer.connect(tls.client_context(), "127.0.0.1", some.port)
    await authenticate(connection, StubInitiator(), "the server")
    connection.open(heard, lambda _error: None, lambda _error: None)
    connection.start_reading()
    connection.write(encode_control(Hello((1,), "test")))
    async with asyncio.timeout(CEILING_S):
        while not some.fronts:
            some.event.clear()
            await some.event.wait()
    front = some.fronts[-1]
    await front.until(lambda: front.said)
    front.channel.send(Welcome(1, "test", "alice", "ref", 1, ()))
    try:
        yield connection, front
    finally:
        connection.fail(ChannelError("done"))


def submit(job: int) -> Any:
    return Submit(job, b"t", (b"gcc",), b"/", {}, 0o22, Terminal(), b"m")


async def raw(port: int) -> Any:
    return await asyncio.open_connection("127.0.0.1", port)


async def ends(reader: Any) -> Any:
    """Whatever comes, until the end of it."""
    try:
        async with asyncio.timeout(CEILING_S):
            return await reader.read(-1)
    except ConnectionResetError:
        return b""
