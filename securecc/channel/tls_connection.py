"""One TCP connection with TLS and frames on it: bytes below, frames above."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar, cast

from securecc.channel.backpressure import Backpressure
from securecc.channel.pre_tls_buffer import PreTlsBuffer
from securecc.channel.tcp_options import incoming, tune
from securecc.channel.tls import TlsPipe
from securecc.model import limits
from securecc.model.errors import ChannelError, FrameError, ProtocolError, SecureccError
from securecc.wire.framing import Frame, FrameReader, Kind, encode_frame

_T = TypeVar("_T")
_FLUSH: Final = 256 * 1024  # plain bytes gathered before they are encrypted without waiting for the end of the turn


class TlsConnection(asyncio.BufferedProtocol):
    """Before `open`: `read_header`, `start_tls`, `secured`, `send`, `receive`, one after the other, for a handshake.
    Afterwards frames go to the callbacks that `open` was given. Any error ends the connection: `lost` (or the waiting
    call) is told once.

    `transport` is asyncio's, None before and after the connection. `error` is why it has ended, None while it has not.
    `peer` is address and port, `proxy` the address of the proxy that connects for it. `heard` and `spoke` say that
    bytes were received or sent since they were last set to False.
    """

    def __init__(self, pipe: TlsPipe | None = None, made: "Callable[[TlsConnection], None] | None" = None) -> None:
        """Without a `pipe` nothing is read as TLS before `start_tls`. `made` is called once TCP is connected."""
        self._pre_tls = PreTlsBuffer()
        self._pipe = pipe or cast("TlsPipe", self._pre_tls)
        self._made = made
        self._reader = FrameReader()
        self._view = incoming.view
        self._early = bytearray()  # plain bytes that arrived before `receive` was called
        self._total = 0
        self._waiter: asyncio.Future[None] | None = None
        self._frames: Callable[[list[Frame]], None] | None = None
        self._lost: Callable[[SecureccError], None] | None = None
        self._illegal: Callable[[ProtocolError], None] | None = None
        self._out: list[bytes] = []
        self._pending = 0
        self._corked = self._scheduled = self._unread = False
        self._closed: ChannelError | None = None  # the peer has closed, with earlier bytes still to be read
        self.transport: asyncio.Transport | None = None
        self.loop = asyncio.get_running_loop()
        self.backpressure = Backpressure(self.loop)
        self.error: SecureccError | None = None
        self.peer, self.proxy = ("", 0), ""
        self.heard = self.spoke = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BaseProtocol."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=limits.WRITE_HIGH)
        tune(transport.get_extra_info("socket"))
        name = transport.get_extra_info("peername") or ("", 0)
        self.peer = (str(name[0]), int(name[1]))
        if self._made is not None:
            self._made(self)
        self._push()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self.heard = True
        self.work(self._take, nbytes)

    def work(self, act: Callable[..., None], *arguments: object) -> None:
        """Calls `act` for the connection; what it writes goes out together. All its errors end here, in `fail` or a
        callback given to `open`: asyncio would swallow some of them.
        """
        self._corked = True
        try:
            act(*arguments)
        except ProtocolError as error:
            (self._illegal or self.fail)(error)
        except SecureccError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001 (whatever it is, the end of the connection must be reported)
            failure = ChannelError(f"internal error: {error!r}", "this is a defect of securecc: report it")
            failure.__cause__ = error
            self.fail(failure)
        finally:
            self._corked = False
        self._flush()

    def eof_received(self) -> None:
        """A peer that has shut down its half is sent nothing more either: its jobs end now."""
        self.fail(ChannelError(f"{self.peer[0]} closed the connection"))

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio.BaseProtocol."""
        if self.error is None:
            self.error = ChannelError(f"connection with {self.peer[0]} lost: {exc or 'closed'}")
        self.transport = None
        self._wake()
        self.backpressure.resume()
        lost, self._lost, self._frames, self._illegal = self._lost, None, None, None
        if lost is not None:
            lost(self.error)

    def pause_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self.backpressure.pause()

    def resume_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self.backpressure.resume()

    def _take(self, nbytes: int) -> None:
        if self.error is not None:
            return
        self._pipe.feed(self._view[:nbytes])
        plain = self._pipe.take_incoming()
        if self._frames is not None:
            if plain:
                self._frames(self._reader.feed(plain))
                self._read_held()
        else:
            self._hold(nbytes, plain)
        if self._pipe.closed:
            self._closed = ChannelError(f"{self.peer[0]} closed the connection")
            if self._frames is not None:
                raise self._closed

    def _read_held(self) -> None:
        """Delivers frames that have arrived already, as long as the caller takes them."""
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

    async def _wait_for_input(self) -> None:
        if self.error is None and self._closed is not None:
            self.fail(self._closed)
        if self.error is not None:
            raise self.error
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def read_header(self, read: Callable[[bytes], _T | None]) -> _T:
        """What `read` returns for the bytes before TLS; it returns None until there are enough of them.

        Raises:
            SecureccError: `read` raised it, or the connection ended with it.
        """
        while (found := read(bytes(self._pre_tls.data))) is None:
            await self._wait_for_input()
        return found

    def start_tls(self, pipe: TlsPipe, skip: int = 0) -> None:
        """Begins TLS, after the first `skip` bytes received.

        Raises:
            ChannelError: the bytes after those are not TLS.
        """
        self._pipe = pipe
        rest = bytes(self._pre_tls.data[skip:])
        self._pre_tls.data.clear()
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
        """Whether the whole handshake is over, that is, `open` was called."""
        return self._frames is not None

    async def secured(self) -> bytes:
        """Waits for the TLS handshake; returns its exporter value (RFC 9266).

        Raises:
            ChannelError: the handshake failed, or the connection ended.
        """
        while not self._pipe.secured:
            await self._wait_for_input()
        return self._pipe.exporter()

    async def receive(self) -> bytes:
        """The next handshake frame's payload.

        Raises:
            FrameError: the bytes are not a frame, or more than a handshake may have.
            ChannelError: the connection ended.
        """
        while True:
            data = bytes(self._early)
            self._early.clear()
            frames = self._reader.feed(data)
            if frames:
                return frames[0].payload
            await self._wait_for_input()

    def open(
        self,
        frames: Callable[[list[Frame]], None],
        lost: Callable[[SecureccError], None],
        illegal: Callable[[ProtocolError], None],
    ) -> None:
        """Ends the handshake phase. Nothing is read before `start_reading`. `illegal` is called for bytes that are not
        a legal frame, and must end the connection; `lost` is called once, possibly soon.
        """
        self._reader.open()
        self._frames, self._lost, self._illegal = frames, lost, illegal
        if self.transport is None:
            assert self.error is not None
            self.loop.call_soon(lost, self.error)
            self._lost = self._frames = self._illegal = None
            return
        self.pause_reading()

    def pause_reading(self) -> None:
        """Stops reading: bytes wait in the kernel, and then at the peer."""
        self._unread = True
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads again after `pause_reading`, beginning with what arrived before it."""
        self._unread = False
        self._read_held()
        if not self._unread and self.transport is not None:
            self.transport.resume_reading()

    def start_reading(self) -> None:
        """Starts delivering frames, after `open`, beginning with those held back."""
        if self.transport is None or self._frames is None:
            return
        self._unread = False
        self.transport.resume_reading()
        early, self._early = bytes(self._early), bytearray()
        self.work(self._catch_up, self._frames, early)

    def _catch_up(self, frames: Callable[[list[Frame]], None], early: bytes) -> None:
        frames(self._reader.feed(early))
        self._read_held()
        if self._closed is not None:
            raise self._closed

    def send(self, payload: bytes) -> None:
        """Sends a handshake frame at once."""
        self.write(encode_frame(Kind.HANDSHAKE, payload))
        self._flush()

    def write(self, frame: bytes) -> None:
        """Sends a frame, gathered with the others of this turn of the loop, then encrypted and written together."""
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
        if not self._out or self.transport is None or self.error is not None:
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
        self.transport.write(self._pipe.take_outgoing(len(data)))
        if self.transport is not None and self.transport.get_write_buffer_size() > limits.SEND_BACKLOG:
            self.fail(ChannelError(f"{self.peer[0]} does not read: {limits.SEND_BACKLOG} bytes wait for it"))

    def _push(self) -> None:
        """Sends TLS's own records."""
        data = self._pipe.take_outgoing()
        if data and self.transport is not None:
            self.transport.write(data)

    async def drain(self) -> None:
        """Waits while more than WRITE_HIGH bytes wait for the peer.

        Raises:
            SecureccError: the connection has ended, for this reason.
        """
        self._flush()
        while self.backpressure.paused and self.error is None:  # an earlier waiter may have filled it again
            await self.backpressure.wait()
        if self.error is not None:
            raise self.error

    @property
    def has_part(self) -> bool:
        """Whether a frame has arrived in part."""
        return self._reader.held > 0

    def fail(self, error: SecureccError) -> None:
        """Ends the connection with `error`; the first error counts. Unsent bytes are lost, except TLS's own alert."""
        if self.error is not None:
            return
        self.error = error
        if self.transport is not None:
            self._push()
            self.transport.abort()
        self._wake()

    def finish(self, error: SecureccError, *, hear_out: bool = False) -> None:
        """Ends the connection once everything written has been sent, within CLOSE_S. With `hear_out` the peer may still
        be sending: its bytes are discarded until it has received ours.
        """
        if self.error is not None:
            return
        self._flush()
        if self.error is not None or self.transport is None:
            return
        self.error = error
        self._pipe.shut()
        self._push()
        transport = self.transport
        if self._unread or hear_out:  # closing with unread bytes sends a reset, which discards what was written
            transport.write_eof()
            self.resume_reading()
        else:
            transport.close()
        self.loop.call_later(limits.CLOSE_S, transport.abort)
        self._wake()
