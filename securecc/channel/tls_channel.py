"""A channel over TLS: frames, turns, heartbeats, and what the protocol allows next."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from securecc.channel.channel import Listener
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


class TlsChannel:
    """One authenticated connection, at either end. Made by `securecc.channel.dialer` and `securecc.channel.server`.

    A server's channels take turns, so that none keeps the event loop to itself.

    Attributes:
        connection: The TLS connection below.
        session: Which messages are legal next.
        principal: The client's, on both sides.
        grant: What `authorise` gave; None on a client.
        pace: Given the seconds that a full turn took, returns for how many seconds the channel must wait.
        peer: Address and port.
        proxy: The address of the proxy that connects for `peer`, or that named no client and is the peer itself.
        lifetime_end: When the ticket ends, on time.monotonic()'s clock.
        reference: The reference by which the server's audit log finds the channel.
    """

    def __init__(
        self,
        connection: TlsConnection,
        session: Session,
        *,
        principal: bytes,
        lifetime: float,
        reference: str,
        grant: Any = None,
    ) -> None:
        self.connection = connection
        self.session = session
        self.principal = principal
        self.grant = grant
        self.pace: Callable[[float], float] = lambda _seconds: 0.0
        self.lifetime_end = time.monotonic() + lifetime
        self.peer = connection.peer
        self.proxy = connection.proxy
        self.reference = reference
        self._listener: Listener | None = None
        self._decode: Callable[[bytes], FromClient | FromServer]
        self._decode = decode_from_client if session.server else decode_from_server
        self._ended: asyncio.Future[SecureccError] = connection.loop.create_future()
        self._last_heard = connection.loop.time()
        self._beat: asyncio.TimerHandle | None = None
        self._pings = 0
        self._goodbye: Goodbye | None = None
        self._waiting: deque[Frame] = deque()
        self._held = self._behind = False
        self._frames = self._frames_before = 0
        self._part_since = 0.0
        connection.open(self._take, self._lost, self._illegal)

    def attach(self, listener: Listener) -> None:
        """Starts delivering frames. If the channel has ended already, `on_lost` is called at once."""
        self._listener = listener
        if self._ended.done():
            listener.on_lost(self._ended.result())
            return
        self._last_heard = self._part_since = self.connection.loop.time()
        self._beat = self.connection.loop.call_later(limits.HEARTBEAT_S, self._heartbeat)
        self.connection.start_reading()

    @property
    def closed(self) -> bool:
        """Whether it has stopped taking messages."""
        return self.connection.error is not None

    async def wait_closed(self) -> SecureccError:
        """Waits for the end; returns its reason."""
        return await asyncio.shield(self._ended)

    def when_closed(self, callback: Callable[[], None]) -> None:
        """`callback` is called, soon, once the channel has ended."""
        self._ended.add_done_callback(lambda _ended: callback())

    # --- out --------------------------------------------------------------------------------------------------

    def send(self, message: FromClient | FromServer) -> bool:
        """Sends with the other messages of this turn of the loop. False if it is no longer of use: the channel is
        closed, or its job has ended meanwhile.

        Raises:
            ProtocolError: the protocol does not allow this message now.
        """
        if self.connection.error is not None or not self.session.sent(message):
            return False
        self.connection.write(encode_control(message))
        return True

    def send_bulk(self, job: int, data: bytes | memoryview) -> bool:
        """Sends data in chunks of at most FRAME_BULK bytes, compressed where that pays. Returns the same as `send`.

        Raises:
            ProtocolError: the protocol does not allow data for this job now, or not that much.
        """
        view = memoryview(data)
        for start in range(0, len(view), limits.FRAME_BULK):
            chunk = view[start : start + limits.FRAME_BULK]
            if self.connection.error is not None or not self.session.sent_bulk(job, len(chunk)):
                return False
            self.connection.write(encode_bulk(job, chunk))
        return True

    async def drain(self) -> None:
        """Waits while more than WRITE_HIGH bytes wait for the peer.

        Raises:
            SecureccError: the channel has ended, for this reason.
        """
        await self.connection.drain()

    def hold(self, seconds: float) -> None:
        """Takes no messages for so many seconds: they wait in buffers, and finally at the peer."""
        if not self._held:
            self._held = True
            self.connection.loop.call_later(seconds, self._end_hold)

    def close(self, goodbye: Goodbye | None = None) -> None:
        """Says goodbye, sends what is still held, for CLOSE_S at most, and ends; `on_lost` follows."""
        if goodbye is not None:
            self.send(goodbye)
        self.connection.finish(ChannelError(f"closed: {goodbye.reason}" if goodbye else "closed"))

    # --- in ---------------------------------------------------------------------------------------------------

    def _take(self, frames: list[Frame]) -> None:
        self._frames += len(frames)
        self._waiting += frames
        if not self._behind:
            self._turn()

    def _turn(self) -> None:
        """Takes frames until TURN is used up, the channel is held, or the client stops reading what it asked for.

        A client takes everything at once: it has no other peers to be fair to, and if both sides waited for the other
        to read, they would wait forever.
        """
        connection, waiting, server = self.connection, self._waiting, self.session.server
        listener = self._listener
        assert listener is not None
        spent, began = 0, connection.loop.time()
        try:
            while connection.error is None:
                if server and (spent >= limits.TURN or self._held or connection.backpressure.paused):
                    self._fall_behind(connection.loop.time() - began)
                    return
                if not waiting:
                    break
                spent += self._frame(listener, waiting.popleft())
        except ProtocolError as error:
            self._illegal(error)
        if self._behind:
            self._behind = False
            connection.resume_reading()

    def _illegal(self, error: ProtocolError) -> None:
        """An illegal frame or message ends the channel, with a Goodbye."""
        self._waiting.clear()
        self.connection.write(encode_control(Goodbye("protocol", error.message, self.reference)))
        self.connection.finish(error, hear_out=True)

    def _frame(self, listener: Listener, frame: Frame) -> int:
        """Takes one frame; returns the bytes that it counts for in a turn."""
        if frame.kind == Kind.CONTROL:
            self._message(listener, self._decode(frame.payload))
            return limits.TURN_FRAME
        data = decode_bulk(frame)
        if self.session.received_bulk(frame.job, len(data)):
            listener.on_bulk(frame.job, data)
        return max(len(data), limits.TURN_FRAME)

    def _fall_behind(self, seconds: float) -> None:
        """Stops reading after a turn of so many seconds. Reading resumes when all others have had their turn; on a held
        channel when the time is over; if the peer does not read, once it does.
        """
        if not self._behind:
            self._behind = True
            self.connection.pause_reading()
        if not self._held and (wait := self.pace(seconds)):
            self.hold(wait)
        if self._held:
            return
        if self.connection.backpressure.paused:
            self.connection.backpressure.when_resumed(self._next_turn)
        else:
            self.connection.loop.call_soon(self._next_turn)

    def _end_hold(self) -> None:
        self._held = False
        self._next_turn()

    def _next_turn(self) -> None:
        if self._behind and not self._held:
            self.connection.work(self._turn)

    def _message(self, listener: Listener, message: FromClient | FromServer) -> None:
        if not self.session.received(message):
            return
        if isinstance(message, Ping):
            self.connection.write(encode_control(Pong(message.number)))
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
        """Every HEARTBEAT_S: sends a Ping unless something was sent; ends the channel if nothing was heard for
        HEARTBEAT_LOST_S, or if the peer is too slow: sending or reading a trickle does not keep a channel alive.
        """
        connection, now = self.connection, self.connection.loop.time()
        if (slow := self._too_slow(now)) is not None:
            connection.fail(slow)
            return
        if connection.heard or self._behind:
            connection.heard = False
            self._last_heard = now
        elif now - self._last_heard >= limits.HEARTBEAT_LOST_S:
            connection.fail(DeadlineError(f"nothing heard from {self.peer[0]} for {limits.HEARTBEAT_LOST_S:g} s"))
            return
        if not connection.spoke:
            self._pings += 1
            connection.write(encode_control(Ping(self._pings)))
        connection.spoke = False
        self._beat = connection.loop.call_later(limits.HEARTBEAT_S, self._heartbeat)

    def _too_slow(self, now: float) -> DeadlineError | None:
        """An error if a frame has been arriving for FRAME_S, or bytes have waited for the peer for READER_S."""
        if not self.connection.has_part or self._frames != self._frames_before or self._behind:
            self._frames_before, self._part_since = self._frames, now
        peer = self.peer[0]
        if now - self._part_since >= limits.FRAME_S:
            return DeadlineError(f"{peer} sends too slowly: one frame takes more than {limits.FRAME_S:g} s")
        if self.connection.backpressure.paused_for >= limits.READER_S:
            return DeadlineError(
                f"{peer} reads too slowly: {limits.WRITE_HIGH} bytes have waited for {limits.READER_S:g} s"
            )
        return None
