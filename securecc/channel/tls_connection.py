"""One TCP connection with TLS and frames on it: bytes below, frames above."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar, cast

from securecc.channel.backpressure import Backpressure
from securecc.channel.early_bytes import EarlyBytes
from securecc.channel.tcp_options import incoming, tune
from securecc.channel.tls import TlsPipe
from securecc.model import limits
from securecc.model.errors import ChannelError, FrameError, ProtocolError, SecureccError
from securecc.wire.framing import Frame, FrameReader, Kind, encode_frame

_T = TypeVar("_T")
_FLUSH: Final = 256 * 1024  # plain bytes gathered before they are encrypted in the middle of a tick


class TlsConnection(asyncio.BufferedProtocol):
    """Before `open`: `preface`, `secure`, `secured`, `send`, `receive`, one after the other, for a handshake.
    Afterwards frames go to the callbacks that `open` was given. Whatever goes wrong ends the link: `lost` (or the
    waiting call) hears of it once.
    """

    def __init__(self, pipe: TlsPipe | None = None, made: "Callable[[TlsConnection], None] | None" = None) -> None:
        """Without a `pipe` nothing is read as TLS before `secure` brings one. `made` is called as soon as there is a
        connection.
        """
        self._preface = EarlyBytes()
        self._pipe = pipe or cast("TlsPipe", self._preface)
        self._made = made
        self._reader = FrameReader()
        self._view = incoming.view
        self._early = bytearray()  # plain bytes that came while nobody received
        self._total = 0
        self._waiter: asyncio.Future[None] | None = None
        self._frames: Callable[[list[Frame]], None] | None = None
        self._lost: Callable[[SecureccError], None] | None = None
        self._illegal: Callable[[ProtocolError], None] | None = None
        self._out: list[bytes] = []
        self._pending = 0
        self._corked = False
        self._scheduled = False
        self._unread = False
        self._closed: ChannelError | None = None  # the peer has said so, and what it said before is still to be taken
        self._transport: asyncio.Transport | None = None
        self.loop = asyncio.get_running_loop()
        self.room = Backpressure(self.loop)
        self.error: SecureccError | None = None
        self.peer = ("", 0)
        self.proxy = ""  # the proxy's address, where one said that it connects for `peer`
        self.heard = False  # something came, anything went: for whoever watches the silence
        self.spoke = False

    # --- asyncio's side ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BaseProtocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=limits.WRITE_HIGH)
        tune(transport.get_extra_info("socket"))
        name = transport.get_extra_info("peername") or ("", 0)
        self.peer = (str(name[0]), int(name[1]))
        if self._made is not None:
            self._made(self)
        self._push()

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        del sizehint
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self.heard = True
        self.work(self._take, nbytes)

    def work(self, act: Callable[..., None], *arguments: object) -> None:
        """Does something for the link; what it writes meanwhile goes out together. Every error of it ends here, in
        `fail` or with whom `open` said: asyncio would swallow some of them.
        """
        self._corked = True
        try:
            act(*arguments)
        except ProtocolError as error:
            (self._illegal or self.fail)(error)
        except SecureccError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 (whatever it is, the link's end must be heard of)
            failure = ChannelError(f"internal error: {error!r}", "this is a defect of securecc: report it")
            failure.__cause__ = error
            self.fail(failure)
        finally:
            self._corked = False
        self._flush()

    def eof_received(self) -> None:
        """A peer that has shut its half gets no more either: its jobs end now."""
        self.fail(ChannelError(f"{self.peer[0]} closed the connection"))

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio.BaseProtocol."""
        if self.error is None:
            self.error = ChannelError(f"connection with {self.peer[0]} lost: {exc or 'closed'}")
        self._transport = None
        self._wake()
        self.room.made()
        lost, self._lost, self._frames, self._illegal = self._lost, None, None, None
        if lost is not None:
            lost(self.error)

    def pause_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self.room.filled()

    def resume_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self.room.made()

    # --- in ---------------------------------------------------------------------------------------------------

    def _take(self, nbytes: int) -> None:
        if self.error is not None:
            return
        self._pipe.feed(self._view[:nbytes])
        plain = self._pipe.take_incoming()
        if self._frames is not None:
            if plain:
                self._frames(self._reader.feed(plain))
                self._more()
        else:
            self._hold(nbytes, plain)
        if self._pipe.closed:
            self._closed = ChannelError(f"{self.peer[0]} closed the connection")
            if self._frames is not None:
                raise self._closed

    def _more(self) -> None:
        """Frames that are here already, unless whoever takes them wants no more now."""
        while self._reader.more and not self._unread and self._frames is not None and self.error is None:
            self._frames(self._reader.feed(b""))

    def _hold(self, nbytes: int, plain: bytes) -> None:
        self._total += nbytes
        if self._total > limits.PREAUTH_TOTAL:
            raise FrameError(f"more than {limits.PREAUTH_TOTAL} bytes before authentication")
        self._early += plain
        self._push()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _news(self) -> None:
        if self.error is None and self._closed is not None:
            self.fail(self._closed)
        if self.error is not None:
            raise self.error
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def preface(self, read: Callable[[bytes], _T | None]) -> _T:
        """What `read` makes of the bytes before TLS, as soon as it makes anything of them. Raises its errors."""
        while (found := read(bytes(self._preface.taken))) is None:
            await self._news()
        return found

    def secure(self, pipe: TlsPipe, skip: int = 0) -> None:
        """TLS begins, after the first `skip` bytes of what has come. Raises ChannelError."""
        self._pipe = pipe
        rest = bytes(self._preface.taken[skip:])
        self._preface.taken.clear()
        if rest:
            pipe.feed(rest)
            self._early += pipe.take_incoming()
            self._push()

    @property
    def is_secured(self) -> bool:
        """Whether the TLS handshake is done."""
        return self._pipe.secured

    @property
    def is_open(self) -> bool:
        """Whether the handshake of all is over: somebody has it by `open`."""
        return self._frames is not None

    async def secured(self) -> bytes:
        """Waits for the TLS handshake; its exporter value. Raises ChannelError."""
        while not self._pipe.secured:
            await self._news()
        return self._pipe.exporter()

    async def receive(self) -> bytes:
        """The next handshake frame's payload. Raises FrameError, ChannelError."""
        while True:
            data = bytes(self._early)
            self._early.clear()
            frames = self._reader.feed(data)
            if frames:
                return frames[0].payload
            await self._news()

    def open(
        self,
        frames: Callable[[list[Frame]], None],
        lost: Callable[[SecureccError], None],
        illegal: Callable[[ProtocolError], None],
    ) -> None:
        """The handshake is over. Reading pauses until `resume`. `illegal` hears of bytes that are no legal frame, and
        has to end the link; `lost` is called once, maybe soon.
        """
        self._reader.open()
        self._frames, self._lost, self._illegal = frames, lost, illegal
        if self._transport is None:
            assert self.error is not None
            self.loop.call_soon(lost, self.error)
            self._lost = self._frames = self._illegal = None
            return
        self.pause_reading()

    def pause_reading(self) -> None:
        """What comes waits in the kernel, and at the peer in the end."""
        self._unread = True
        if self._transport is not None:
            self._transport.pause_reading()

    def read_on(self) -> None:
        """Reads again, after `pause_reading`; first what has come before that."""
        self._unread = False
        self._more()
        if self._unread:
            return
        if self._transport is not None:
            self._transport.resume_reading()

    def resume(self) -> None:
        """Frames may come, those held back first."""
        if self._transport is None or self._frames is None:
            return
        self._unread = False
        self._transport.resume_reading()
        early, self._early = bytes(self._early), bytearray()
        self.work(self._catch_up, self._frames, early)

    def _catch_up(self, frames: Callable[[list[Frame]], None], early: bytes) -> None:
        frames(self._reader.feed(early))
        self._more()
        if self._closed is not None:
            raise self._closed

    # --- out --------------------------------------------------------------------------------------------------

    def send(self, payload: bytes) -> None:
        """A handshake frame, at once."""
        self.write(encode_frame(Kind.HANDSHAKE, payload))
        self._flush()

    def write(self, frame: bytes) -> None:
        """A frame, gathered with the others of this turn of the loop, then encrypted and written once."""
        if self.error is not None:
            return
        self._out.append(frame)
        self._pending += len(frame)
        if self._pending >= _FLUSH:
            self._flush()
        elif not self._corked and not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if not self._out or self._transport is None or self.error is not None:
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._pending = 0
        self.spoke = True
        try:
            self._pipe.send(data)
        except SecureccError as error:
            self.fail(error)
            return
        self._transport.write(self._pipe.take_outgoing(len(data)))
        if self._transport is not None and self._transport.get_write_buffer_size() > limits.SEND_BACKLOG:
            self.fail(ChannelError(f"{self.peer[0]} does not read: {limits.SEND_BACKLOG} bytes wait for it"))

    def _push(self) -> None:
        """What TLS itself has to say."""
        data = self._pipe.take_outgoing()
        if data and self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Waits while more than WRITE_HIGH bytes wait for the peer. Raises the link's error once it has ended."""
        self._flush()
        while self.room.crowded and self.error is None:  # of many that waited, the first may have used the room up
            await self.room.wait()
        if self.error is not None:
            raise self.error

    @property
    def has_part(self) -> bool:
        """Whether some bytes of a frame have come and others lack."""
        return self._reader.held > 0

    # --- end --------------------------------------------------------------------------------------------------

    def fail(self, error: SecureccError) -> None:
        """Ends the link for `error`, the first one told. What was not sent is lost, but for TLS's own alert."""
        if self.error is not None:
            return
        self.error = error
        if self._transport is not None:
            self._push()
            self._transport.abort()
        self._wake()

    def finish(self, error: SecureccError, *, hear_out: bool = False) -> None:
        """Ends the link after what was written has gone, in CLOSE_S at most. With `hear_out` the peer may be in the
        middle of something: what it says is thrown away until it has heard.
        """
        if self.error is not None:
            return
        self._flush()
        if self.error is not None or self._transport is None:
            return
        self.error = error
        self._pipe.shut()
        self._push()
        transport = self._transport
        if (
            self._unread or hear_out
        ):  # closed with bytes unread, TCP takes back what was written: read on until the peer has heard
            transport.write_eof()
            self.read_on()
        else:
            transport.close()
        self.loop.call_later(limits.CLOSE_S, transport.abort)
        self._wake()
