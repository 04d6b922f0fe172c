"""Those who stand where a server should: a relay with a certificate of its own, and a server that proves nothing."""

import asyncio
from typing import Any

from securecc.channel import tls
from securecc.wire import handshake
from securecc.wire.framing import FrameReader


class Relay:
    """A man in the middle with a certificate of his own: plain bytes of either side pass through his hands."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen = b""

    async def start(self) -> Any:
        self.server = await asyncio.get_running_loop().create_server(lambda: self.Half(self), "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    class Half(asyncio.Protocol):
        def __init__(self, relay: Any, pipe: Any = None, other: Any = None) -> None:
            self.relay, self.other = relay, other
            self.pipe = pipe or tls.TlsPipe(tls.server_context(), server=True)
            self.held = b""

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.push()
            if self.other is None:
                self.dialing = asyncio.ensure_future(self.join())

        async def join(self) -> None:
            pipe = tls.TlsPipe(tls.client_context(), server=False)
            loop = asyncio.get_running_loop()
            make = lambda: Relay.Half(self.relay, pipe, self)  # noqa: E731
            _, self.other = await loop.create_connection(make, "127.0.0.1", self.relay.port)
            self.pass_on()

        def data_received(self, data: Any) -> None:
            self.pipe.feed(data)
            self.held += self.pipe.take_incoming()
            self.push()
            self.pass_on()
            if self.other is not None:
                self.other.pass_on()

        def pass_on(self) -> None:
            if self.other is not None and self.other.pipe.secured and self.held:
                self.relay.seen += self.held
                self.other.pipe.send(self.held)
                self.held = b""
                self.other.push()

        def push(self) -> None:
            self.transport.write(self.pipe.take_outgoing())

        def connection_lost(self, exc: Any) -> None:
            if self.other is not None:
                self.other.transport.close()


class Liar:
    """A server's `Authenticator` and its `Exchange`: says yes to everything and proves nothing."""

    def __init__(self) -> None:
        self.skewed = False

    def start(self, exporter: bytes) -> "Liar":
        return self

    def step(self, token: bytes | None) -> tuple[bytes | None, handshake.Facts | None]:
        return b"trust me", handshake.Facts(b"x@Y", 100.0)

    def mic(self, message: bytes) -> bytes:
        return b"trust me"

    def verify(self, message: bytes, mic: bytes) -> bool:
        return True


def frames_of(data: Any) -> Any:
    """The handshake frames that passed."""
    reader, frames = FrameReader(), []
    while found := reader.feed(data):
        frames += found
        data = b""
    return frames
