"""One end of a channel without a network: what is legal the session judges, the other end is the test."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from securecc.channel.channel import Listener, Peer
from securecc.model.errors import ChannelError, ProtocolError, SecureccError
from securecc.model.messages import FromClient, FromServer, Goodbye
from securecc.wire.session import Session
from tests.waiting import CEILING_S

_M = TypeVar("_M")


class StubChannel:
    """A `securecc.channel.channel.Channel`. `said` and `bulk` are what this end sent; `hear` and
    `hear_bulk` are what the other end says, as far as the protocol lets it.
    """

    def __init__(self, peer: Peer, *, server: bool) -> None:
        self.session = Session(server=server)
        self.peer = peer
        self.principal = b"alice@EXAMPLE.COM"
        self.proxy = ""
        self.reference = "ref"
        self.grant: Any = None
        self.lifetime_end = float("inf")
        self.pace: Callable[[float], float] = lambda _seconds: 0.0
        self.closed = False
        self.error: SecureccError | None = None
        self.listener: Listener | None = None
        self.said: list[Any] = []
        self.bulk: dict[int, bytes] = {}
        self.room = asyncio.Event()
        self.room.set()
        self.news = asyncio.Event()

    def attach(self, listener: Listener) -> None:
        self.listener = listener
        if self.error is not None:
            listener.on_lost(self.error)

    def send(self, message: FromClient | FromServer) -> bool:
        if self.closed or not self.session.sent(message):
            return False
        self.said.append(message)
        self.news.set()
        return True

    def send_bulk(self, job: int, data: bytes | memoryview) -> bool:
        if self.closed or not self.session.sent_bulk(job, len(data)):
            return False
        self.bulk[job] = self.bulk.get(job, b"") + bytes(data)
        self.news.set()
        return True

    async def drain(self) -> None:
        """Returns while `room` is set, as where the peer reads."""
        await self.room.wait()
        if self.closed:
            assert self.error is not None
            raise self.error

    def close(self, goodbye: Goodbye | None = None) -> None:
        if goodbye is not None:
            self.send(goodbye)
        self.lose(ChannelError("closed"))

    async def wait_closed(self) -> SecureccError:
        """As the real one."""
        async with asyncio.timeout(CEILING_S):
            while self.error is None:
                self.news.clear()
                await self.news.wait()
        return self.error

    def lose(self, error: SecureccError) -> None:
        """The connection ends."""
        if not self.closed:
            self.closed, self.error = True, error
            self.room.set()
            self.news.set()
            if self.listener is not None:
                self.listener.on_lost(error)

    def hear(self, *messages: FromClient | FromServer) -> None:
        for message in messages:
            try:
                if not self.closed and self.session.received(message):
                    assert self.listener is not None
                    self.listener.on_message(message)
            except ProtocolError as error:
                self.lose(error)

    def hear_bulk(self, job: int, data: bytes) -> None:
        try:
            if not self.closed and self.session.received_bulk(job, len(data)):
                assert self.listener is not None
                self.listener.on_bulk(job, data)
        except ProtocolError as error:
            self.lose(error)

    async def until(self, kind: type[_M]) -> _M:
        """The first message of this kind that was sent; it and what came before it are taken out."""
        async with asyncio.timeout(CEILING_S):
            while True:
                for number, message in enumerate(self.said):
                    if isinstance(message, kind):
                        del self.said[: number + 1]
                        return message
                self.news.clear()
                await self.news.wait()

    async def until_bulk(self) -> None:
        """Returns when a byte of bulk was sent."""
        async with asyncio.timeout(CEILING_S):
            while not self.bulk:
                self.news.clear()
                await self.news.wait()
