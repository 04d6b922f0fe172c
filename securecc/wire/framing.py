"""Frames: bytes in, frames out, and the control messages and chunks that they carry (docs/protocol.md, Frames)."""

import struct
import threading
from enum import IntEnum
from typing import Final

import msgspec
import zstandard

from securecc.model import limits
from securecc.model.errors import FrameError
from securecc.model.messages import FromClient, FromServer

HEADER: Final = struct.Struct(">IBBHI")
HEADER_SIZE: Final = HEADER.size
COMPRESSED: Final = 1  # flag bit 0, bulk frames only


class Kind(IntEnum):
    """What a frame carries."""

    HANDSHAKE = 1
    CONTROL = 2
    BULK = 3


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame. `job` and `flags` are 0 in all but bulk frames."""

    kind: int
    flags: int
    job: int
    payload: bytes


# The largest payload of each kind, in bytes; a kind that is absent is illegal in that phase.
_BEFORE: Final = {int(Kind.HANDSHAKE): limits.PREAUTH_FRAME}
_AFTER: Final = {int(Kind.CONTROL): limits.FRAME_CONTROL, int(Kind.BULK): limits.FRAME_BULK}


def encode_frame(kind: int, payload: bytes, job: int = 0, flags: int = 0) -> bytes:
    """Header and payload. The caller keeps to the limits; the peer's `FrameReader` enforces them."""
    return HEADER.pack(len(payload), kind, flags, 0, job) + payload


class FrameReader:
    """Takes bytes as they arrive, returns whole frames.

    Before `open()` only handshake frames are legal, each at most PREAUTH_FRAME bytes and PREAUTH_TOTAL bytes in all,
    and `feed` returns at most one at a time: bytes after the last handshake frame are judged by the rules for an open
    channel. Afterwards only control and bulk frames are legal, and `feed` returns at most FRAMES of them, since they
    take less memory as bytes than as objects. While there may be `more`, ``feed(b"")`` returns the next. A length over
    its limit is an error when the header is read, before any memory is spent on it.
    """

    __slots__ = ("_at", "_buffer", "_legal", "_most", "_rest", "_total", "_wanted")

    def __init__(self) -> None:
        self._buffer = bytearray()  # a frame that is not yet whole
        self._wanted = HEADER_SIZE
        self._rest = b""  # frames that have not been returned yet, from `_at` on
        self._at = 0
        self._legal = _BEFORE
        self._most = 1
        self._total = 0

    def open(self) -> None:
        """The peer is authenticated: from the next frame on, handshake frames are illegal."""
        self._legal = _AFTER
        self._most = limits.FRAMES

    @property
    def more(self) -> bool:
        """Whether there may be whole frames that have not been returned yet."""
        return bool(self._rest)

    @property
    def held(self) -> int:
        """Bytes that have arrived and not been returned yet."""
        return len(self._buffer) + len(self._rest) - self._at

    def feed(self, data: bytes) -> list[Frame]:
        """Whole frames, in order. After an error the reader must not be used again.

        Raises:
            FrameError: a frame is illegal here, or too long.
        """
        if self._legal is _BEFORE:
            self._count(len(data))
        if self._rest:
            if not data:
                return self._split(self._rest, self._at)
            return self._split(self._rest[self._at :] + data, 0)
        if not self._buffer:
            return self._split(data, 0)
        self._buffer += data
        if len(self._buffer) < self._wanted:
            return []
        whole = bytes(self._buffer)
        self._buffer.clear()
        return self._split(whole, 0)

    def _count(self, size: int) -> None:
        self._total += size
        if self._total > limits.PREAUTH_TOTAL:
            raise FrameError(f"more than {limits.PREAUTH_TOTAL} bytes before authentication")

    def _split(self, data: bytes, offset: int) -> list[Frame]:
        frames: list[Frame] = []
        end, most, wanted = len(data), self._most, HEADER_SIZE
        self._rest, self._at = b"", 0
        while end - offset >= HEADER_SIZE:
            if len(frames) == most:
                self._rest, self._at = data, offset
                return frames
            length, kind, flags, zero, job = HEADER.unpack_from(data, offset)
            limit = self._legal.get(kind, -1)
            if length > limit or zero or (kind == Kind.BULK) is not (job != 0) or flags > (kind == Kind.BULK):
                raise _why(data, offset, limit)
            stop = offset + HEADER_SIZE + length
            if stop > end:
                wanted = stop - offset
                break
            frames.append(Frame(kind, flags, job, data[offset + HEADER_SIZE : stop]))
            offset = stop
        self._wanted = wanted
        if offset < end:
            self._buffer += memoryview(data)[offset:]
        return frames


def _why(data: bytes, offset: int, limit: int) -> FrameError:
    length, kind, flags, zero, job = HEADER.unpack_from(data, offset)
    if limit < 0:
        return FrameError(f"a frame of kind {kind} is not legal here")
    if length > limit:
        return FrameError(f"a frame of {length} bytes of kind {kind}; at most {limit}")
    if zero:
        return FrameError(f"reserved bytes of a frame's header are {zero:#06x}, not zero")
    return FrameError(f"a frame of kind {kind} with flags {flags:#04x} and job {job}")


_encoder = msgspec.msgpack.Encoder()
_from_client: msgspec.msgpack.Decoder[FromClient] = msgspec.msgpack.Decoder(FromClient)
_from_server: msgspec.msgpack.Decoder[FromServer] = msgspec.msgpack.Decoder(FromServer)


def encode_control(message: FromClient | FromServer) -> bytes:
    """A whole control frame.

    Raises:
        FrameError: the message is larger than a peer accepts.
    """
    payload = _encoder.encode(message)
    if len(payload) > limits.FRAME_CONTROL:
        raise FrameError(f"a message of {len(payload)} bytes; at most {limits.FRAME_CONTROL}")
    return HEADER.pack(len(payload), 2, 0, 0, 0) + payload


def decode_from_client(payload: bytes) -> FromClient:
    """A control message as a server reads it.

    Raises:
        FrameError: it is not a client's message.
    """
    try:
        return _from_client.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise FrameError(f"not a client's message: {error}") from error


def decode_from_server(payload: bytes) -> FromServer:
    """A control message as a client reads it.

    Raises:
        FrameError: it is not a server's message.
    """
    try:
        return _from_server.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise FrameError(f"not a server's message: {error}") from error


class _Zstd(threading.local):
    """Compressor and decompressor of a thread: neither may be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << limits.ZSTD_WINDOW_LOG)


_zstd = _Zstd()


def encode_bulk(job: int, chunk: bytes | memoryview) -> bytes:
    """A whole bulk frame of at most FRAME_BULK bytes, compressed if that makes it smaller."""
    if len(chunk) >= limits.COMPRESS_FROM:
        packed = _zstd.compressor.compress(chunk)
        if len(packed) < len(chunk):
            return HEADER.pack(len(packed), 3, COMPRESSED, 0, job) + packed
    return HEADER.pack(len(chunk), 3, 0, 0, job) + chunk


def decode_bulk(frame: Frame) -> bytes:
    """The bytes of a bulk frame: 1 to FRAME_BULK of them.

    A compressed chunk must state its content size (RFC 8878 section 3.1.1.1.4), so that its memory is known before any
    is allocated.

    Raises:
        FrameError: the chunk is empty, too large or damaged.
    """
    data = _decompress(frame.payload) if frame.flags & COMPRESSED else frame.payload
    if not data:
        raise FrameError(f"an empty chunk for job {frame.job}")
    return data


def _decompress(payload: bytes) -> bytes:
    try:
        size = zstandard.get_frame_parameters(payload).content_size
        if size > limits.FRAME_BULK:  # an unknown size is 2**64 - 1
            raise FrameError(f"a chunk of {size} decompressed bytes; at most {limits.FRAME_BULK}")
        data = _zstd.decompressor.decompress(payload, max_output_size=limits.FRAME_BULK, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FrameError(f"a damaged compressed chunk: {error}") from error
    if len(data) != size:
        raise FrameError(f"a compressed chunk of {len(data)} bytes that claims to be {size}")
    return data
