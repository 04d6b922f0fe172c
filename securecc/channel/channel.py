"""A channel: both ends are proven, and messages of jobs flow."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from securecc.channel.tls_connection import TlsConnection
from securecc.model import limits
from securecc.model.errors import ChannelError, DeadlineError, ProtocolError, SecureccError
from securecc.model.messages import FromClient, FromServer, Goodbye, Ping, Pong
from securecc.wire.framing import (
    Frame,
    Kind,
    decode_bulk,
    decode_from_client,
    decode_from_server,
    encode_bulk,
    encode_control,
)
from securecc.wire.session import Session


class Listener(Protocol):
    """Who uses a channel."""

    def on_message(self, message: Any) -> None:
        """A message that is legal at this point; Ping and Pong are the channel's own affair."""

    def on_bulk(self, job: int, data: bytes) -> None:
        """A chunk of what is due for `job`, decompressed."""

    def on_lost(self, error: SecureccError) -> None:
        """The channel has ended, for whatever reason, `close` included. Called once; nothing follows."""


class Channel:
    """One authenticated connection, at either end. Made by `securecc.channel.transport`.

    `principal` is the client's, on both sides. `grant` is what the judge gave (server; None on a client). `peer` is
    (address, port); `proxy` is the address of the proxy that named it, or that named nobody and is the peer itself.
    `lifetime_end` is where the ticket ends, on time.monotonic()'s clock. A server's channels take turns: `pace` is told
    of the seconds that a full turn took, and says for how many this channel has to wait.
    """

    def __init__(
        self,
        link: TlsConnection,
        session: Session,
        *,
        principal: bytes,
        lifetime: float,
        reference: str,
        grant: Any = None,
    ) -> None:
        self._link = link
        self.session = session
        self.principal = principal
        self.grant = grant
        self.pace: Callable[[float], float] = lambda _seconds: 0.0
        self.lifetime_end = time.monotonic() + lifetime
        self.peer = link.peer
        self.proxy = link.proxy
        self.reference = reference
        self._listener: Listener | None = None
        self._decode: Callable[[bytes], FromClient | FromServer]
        self._decode = decode_from_client if session.server else decode_from_server
        self._ended: asyncio.Future[SecureccError] = link.loop.create_future()
        self._last_heard = link.loop.time()
        self._beat: asyncio.TimerHandle | None = None
        self._pings = 0
        self._goodbye: Goodbye | None = None
        self._waiting: deque[Frame] = deque()
        self._held = self._behind = False
        self._frames = self._frames_before = 0
        self._part_since = 0.0
        link.open(self._take, self._lost, self._illegal)

    def attach(self, listener: Listener) -> None:
        """Frames flow from now on. If the channel has ended already, `on_lost` follows at once."""
        self._listener = listener
        if self._ended.done():
            listener.on_lost(self._ended.result())
            return
        self._last_heard = self._part_since = self._link.loop.time()
        self._beat = self._link.loop.call_later(limits.HEARTBEAT_S, self._heartbeat)
        self._link.resume()

    @property
    def closed(self) -> bool:
        """Whether it takes no more messages."""
        return self._link.error is not None

    async def wait_closed(self) -> SecureccError:
        """Waits for the end; its reason."""
        return await asyncio.shield(self._ended)

    def when_closed(self, callback: Callable[[], None]) -> None:
        """`callback` is called, soon, once the channel has ended."""
        self._ended.add_done_callback(lambda _ended: callback())

    # --- out --------------------------------------------------------------------------------------------------

    def send(self, message: FromClient | FromServer) -> bool:
        """Sends with the other messages of this turn of the loop. False if nobody wants it any more: the channel is
        closed, or its job has ended meanwhile. Raises ProtocolError for what must not be said at this point.
        """
        if self._link.error is not None or not self.session.sent(message):
            return False
        self._link.write(encode_control(message))
        return True

    def send_bulk(self, job: int, data: bytes | memoryview) -> bool:
        """Sends in chunks of at most FRAME_BULK bytes, compressed where that pays. As `send`."""
        view = memoryview(data)
        for start in range(0, len(view), limits.FRAME_BULK):
            chunk = view[start : start + limits.FRAME_BULK]
            if self._link.error is not None or not self.session.sent_bulk(job, len(chunk)):
                return False
            self._link.write(encode_bulk(job, chunk))
        return True

    async def drain(self) -> None:
        """Waits while more than WRITE_HIGH bytes wait for the peer. Raises the channel's error once it has ended."""
        await self._link.drain()

    def hold(self, seconds: float) -> None:
        """Takes no more messages for so long: what comes waits, at the peer in the end."""
        if not self._held:
            self._held = True
            self._link.loop.call_later(seconds, self._let_go)

    def close(self, goodbye: Goodbye | None = None) -> None:
        """Says goodbye, sends what is still held (CLOSE_S at most) and ends; `on_lost` follows."""
        if goodbye is not None:
            self.send(goodbye)
        self._link.finish(ChannelError(f"closed: {goodbye.reason}" if goodbye else "closed"))

    # --- in ---------------------------------------------------------------------------------------------------

    def _take(self, frames: list[Frame]) -> None:
        self._frames += len(frames)
        self._waiting += frames
        if not self._behind:
            self._turn()

    def _turn(self) -> None:
        """Takes frames until TURN is used up, the channel is held, or the client does not read what it has asked for.

        A client takes all that comes: it has nobody else to be fair to, and if both sides waited for the other to read,
        both would wait for ever.
        """
        link, waiting, server = self._link, self._waiting, self.session.server
        listener = self._listener
        assert listener is not None
        spent, began = 0, link.loop.time()
        try:
            while link.error is None:
                if server and (spent >= limits.TURN or self._held or link.room.crowded):
                    self._fall_behind(link.loop.time() - began)
                    return
                if not waiting:
                    break
                spent += self._frame(listener, waiting.popleft())
        except ProtocolError as error:
            self._illegal(error)
        if self._behind:
            self._behind = False
            link.read_on()

    def _illegal(self, error: ProtocolError) -> None:
        """What must not be said ends the channel with a word: a frame or a message, whoever of us finds it."""
        self._waiting.clear()
        self._link.write(encode_control(Goodbye("protocol", error.message, self.reference)))
        self._link.finish(error, hear_out=True)

    def _frame(self, listener: Listener, frame: Frame) -> int:
        """Takes one frame; what it counts for in a turn."""
        if frame.kind == Kind.CONTROL:
            self._message(listener, self._decode(frame.payload))
            return limits.TURN_FRAME
        data = decode_bulk(frame)
        if self.session.received_bulk(frame.job, len(data)):
            listener.on_bulk(frame.job, data)
        return max(len(data), limits.TURN_FRAME)

    def _fall_behind(self, seconds: float) -> None:
        """After a turn of so many seconds nothing more is read. Goes on when all others had their turn, a held channel
        when it is let go, one whose peer does not read when it has.
        """
        if not self._behind:
            self._behind = True
            self._link.pause_reading()
        if not self._held and (wait := self.pace(seconds)):
            self.hold(wait)
        if self._held:
            return
        if self._link.room.crowded:
            self._link.room.when(self._go_on)
        else:
            self._link.loop.call_soon(self._go_on)

    def _let_go(self) -> None:
        self._held = False
        self._go_on()

    def _go_on(self) -> None:
        if self._behind and not self._held:
            self._link.work(self._turn)

    def _message(self, listener: Listener, message: FromClient | FromServer) -> None:
        if not self.session.received(message):
            return
        if isinstance(message, Ping):
            self._link.write(encode_control(Pong(message.number)))
        elif not isinstance(message, Pong):
            if isinstance(message, Goodbye):
                self._goodbye = message
            listener.on_message(message)

    def _lost(self, error: SecureccError) -> None:
        if self._beat is not None:
            self._beat.cancel()
        if self._goodbye is not None and isinstance(error, ChannelError):
            said = self._goodbye
            error = ChannelError(f"{self.peer[0]} ended the channel: {said.reason} (reference {said.reference})")
        if not self._ended.done():
            self._ended.set_result(error)
        if self._listener is not None:
            self._listener.on_lost(error)

    def _heartbeat(self) -> None:
        """Every HEARTBEAT_S: a Ping unless something was said, the end if nothing was heard for HEARTBEAT_LOST_S, and
        for who is too slow: nothing that is sent bit by bit, or taken so, keeps a channel alive.
        """
        link, now = self._link, self._link.loop.time()
        if (slow := self._too_slow(now)) is not None:
            link.fail(slow)
            return
        if link.heard or self._behind:
            link.heard = False
            self._last_heard = now
        elif now - self._last_heard >= limits.HEARTBEAT_LOST_S:
            link.fail(DeadlineError(f"nothing heard from {self.peer[0]} for {limits.HEARTBEAT_LOST_S:g} s"))
            return
        if not link.spoke:
            self._pings += 1
            link.write(encode_control(Ping(self._pings)))
        link.spoke = False
        self._beat = link.loop.call_later(limits.HEARTBEAT_S, self._heartbeat)

    def _too_slow(self, now: float) -> DeadlineError | None:
        """An error for a frame that has been coming for FRAME_S, or for bytes that nobody has taken for READER_S."""
        if not self._link.has_part or self._frames != self._frames_before or self._behind:
            self._frames_before, self._part_since = self._frames, now
        peer = self.peer[0]
        if now - self._part_since >= limits.FRAME_S:
            return DeadlineError(f"{peer} sends too slowly: one frame takes more than {limits.FRAME_S:g} s")
        if self._link.room.crowded_for >= limits.READER_S:
            return DeadlineError(
                f"{peer} reads too slowly: {limits.WRITE_HIGH} bytes have waited for {limits.READER_S:g} s"
            )
        return None
