"""Packets of messages between front and runner, with descriptors attached (unix(7), SOCK_SEQPACKET).

One packet is one message of `runner_protocol.messages`: a byte that says where the body is, then the body. A body too
large for a packet is sent in a memfd, as the packet's first descriptor.
"""

import array
import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from securecc.model import limits
from securecc.model.errors import ChannelError, ProtocolError, SandboxError
from securecc.model.messages import SharedTree
from securecc.runner_protocol.messages import FromFront, FromRunner, WorkBlobs, WorkOrder, WorkRunner, WorkTree
from securecc.system.descriptors import close_all

INLINE, IN_MEMFD = 0, 1
PACKET_DESCRIPTORS = 253  # SCM_MAX_FD of Linux
_FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_BUSY = {errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS}
_ENDED = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN}
_RETRY_S = 0.005  # when the kernel has too many descriptors in flight, which no readiness event announces
_PACKETS_A_TURN = 32  # so that a busy peer does not starve the rest of the loop
_LOST = "the other process has closed its end"

Incoming = TypeVar("Incoming")

from_front: msgspec.msgpack.Decoder[FromFront] = msgspec.msgpack.Decoder(FromFront)
from_runner: msgspec.msgpack.Decoder[FromRunner] = msgspec.msgpack.Decoder(FromRunner)
_encoder = msgspec.msgpack.Encoder()
_tree_decoder = msgspec.msgpack.Decoder(WorkTree)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends; a child inherits one only if it is passed explicitly."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.MIB)
    return ends


def order_runner(spawner: socket.socket, have: Sequence[bytes], trees: Sequence[SharedTree] = ()) -> socket.socket:
    """Has the spawner start another runner, and returns our end of its connection. `have` and `trees` are as in
    `WorkRunner`.

    Raises:
        SandboxError: the spawner has exited.
    """
    ours, theirs = pair()
    try:
        socket.send_fds(spawner, [_encoder.encode(WorkRunner(tuple(have), tuple(trees)))], [theirs.fileno()], _FLAGS)
    except OSError as error:
        ours.close()
        raise SandboxError(f"cannot start another runner: {error.strerror}", "restart the daemon") from error
    finally:
        theirs.close()
    return ours


def say_once(end: socket.socket, message: msgspec.Struct) -> None:
    """Sends one small message without an event loop.

    Raises:
        ChannelError: the peer has gone.
    """
    try:
        end.send(bytes([INLINE]) + _encoder.encode(message), socket.MSG_NOSIGNAL)
    except OSError as error:
        raise ChannelError(_LOST) from error


class PacketConnection(Generic[Incoming]):
    """One end. `receive(message, descriptors)` owns the descriptors that it is given; `lost(reason)` is called once,
    when the peer has gone; `garbage(reason)` for each packet that is not a message, after its descriptors have been
    closed.

    Belongs to the running event loop from `start` to `close`.
    """

    def __init__(
        self,
        end: socket.socket,
        decoder: "msgspec.msgpack.Decoder[Incoming]",
        receive: Callable[[Incoming, list[int]], None],
        lost: Callable[[str], None],
        garbage: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._end = end
        self._decoder = decoder
        self._receive, self._lost, self._garbage = receive, lost, garbage
        self._buffer = bytearray(limits.WORK_PACKET + 1)
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._closed = False
        end.setblocking(False)

    @property
    def queued(self) -> int:
        """How many packets wait for a slow peer."""
        return len(self._waiting)

    def start(self) -> None:
        """Starts receiving."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._end, self._readable)

    @property
    def closed(self) -> bool:
        """Whether either side has closed it."""
        return self._closed

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Sends, or queues if the peer is slow; the jobs under way bound the queue. The caller keeps the descriptors:
        those that must wait are duplicated.

        Raises:
            ChannelError: the peer has gone.
            ProtocolError: there are too many descriptors, or the kernel refuses the packet.
        """
        if self._closed:
            raise ChannelError(_LOST)
        body = _encoder.encode(message)
        if len(body) < limits.WORK_PACKET:
            self._post(b"\0" + body, list(descriptors))
            return
        memfd = memory(body)
        try:
            self._post(b"\1", [memfd, *descriptors])
        finally:
            os.close(memfd)

    def close(self) -> None:
        """Closes this end; what is queued is dropped."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        for _packet, descriptors in self._waiting:
            close_all(descriptors)
        self._waiting.clear()
        self._end.close()

    def _post(self, packet: bytes, descriptors: list[int]) -> None:
        if len(descriptors) > PACKET_DESCRIPTORS:
            raise ProtocolError(f"{len(descriptors)} descriptors for one packet; at most {PACKET_DESCRIPTORS}")
        if self._waiting or not self._transmit(packet, descriptors):
            self._waiting.append((packet, [os.dup(descriptor) for descriptor in descriptors]))

    def _transmit(self, packet: bytes, descriptors: list[int]) -> bool:
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._end.sendmsg([packet], beside, _FLAGS)
        except OSError as error:
            if error.errno in _BUSY:
                self._wait_for_room(error.errno)
                return False
            if error.errno not in _ENDED:
                raise ProtocolError(f"cannot send a packet: {error.strerror}") from error
            self._gone(f"{_LOST}: {error.strerror}")
            raise ChannelError(_LOST) from error
        return True

    def _wait_for_room(self, reason: int) -> None:
        if reason == errno.EAGAIN:
            self._loop.add_writer(self._end, self._writable)
        else:
            self._loop.remove_writer(self._end)
            self._loop.call_later(_RETRY_S, self._writable)

    def _writable(self) -> None:
        if self._closed:
            return
        try:
            while self._waiting:
                if not self._transmit(*self._waiting[0]):
                    return
                close_all(self._waiting.popleft()[1])
            self._loop.remove_writer(self._end)
        except ChannelError:
            return
        except ProtocolError as error:  # trying again would fail too, and block the packets behind it
            self._gone(error.message)

    def _readable(self) -> None:
        for _turn in range(_PACKETS_A_TURN):
            if self._closed or not self._read_one():
                return

    def _read_one(self) -> bool:
        space = socket.CMSG_SPACE(PACKET_DESCRIPTORS * 4)
        try:
            size, beside, flags, _ = self._end.recvmsg_into([self._buffer], space, _FLAGS | socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        except OSError as error:
            self._gone(f"{_LOST}: {error.strerror}")
            return False
        descriptors = received_descriptors(beside)
        if size == 0 and not descriptors:
            self._gone(_LOST)
            return False
        self._deliver(size, descriptors, bool(flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)))
        return True

    def _deliver(self, size: int, descriptors: list[int], cut: bool) -> None:
        try:
            if cut:
                raise ProtocolError("a packet over its limit")
            message = self._decoder.decode(self._body(size, descriptors))
        except (msgspec.DecodeError, ProtocolError, ValueError, RecursionError) as error:
            close_all(descriptors)
            self._garbage(str(error))
            return
        self._receive(message, descriptors)

    def _body(self, size: int, descriptors: list[int]) -> "memoryview | bytes":
        if size and self._buffer[0] == INLINE:
            return memoryview(self._buffer)[1:size]
        if size != 1 or self._buffer[0] != IN_MEMFD or not descriptors:
            raise ProtocolError("a packet that begins with an unknown byte")
        memfd = descriptors.pop(0)
        try:
            return _contents(memfd, limits.FRAME_CONTROL)
        finally:
            os.close(memfd)

    def _gone(self, reason: str) -> None:
        if not self._closed:
            self.close()
            self._lost(reason)


def post_order(
    connection: "PacketConnection[FromRunner]", order: WorkOrder, tree: WorkTree, descriptors: Sequence[int]
) -> None:
    """Sends one job: its contents, 250 descriptors a packet, then the order with the tree. The caller keeps the
    descriptors.

    Raises:
        ChannelError: the peer has gone.
        ProtocolError: as `PacketConnection.send`.
    """
    for start in range(0, len(descriptors), limits.WORK_BLOBS):
        connection.send(WorkBlobs(order.job), descriptors[start : start + limits.WORK_BLOBS])
    memfd = memory(_encoder.encode(tree))
    try:
        connection.send(order, [memfd])
    finally:
        os.close(memfd)


def read_tree(memfd: int) -> WorkTree:
    """The tree that an order's first descriptor holds.

    Raises:
        ProtocolError: it does not hold a valid tree.
    """
    try:
        tree = _tree_decoder.decode(_contents(memfd, limits.WORK_TREE))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"the order's tree is invalid: {error}") from error
    if len(tree.entries) != len(tree.descriptors):
        raise ProtocolError(f"{len(tree.entries)} entries with {len(tree.descriptors)} descriptor numbers")
    return tree


def memory(content: bytes) -> int:
    """A new memfd with this content, at its beginning; the caller closes it."""
    memfd = os.memfd_create("securecc", os.MFD_CLOEXEC)
    done = 0
    while done < len(content):
        done += os.pwrite(memfd, memoryview(content)[done:], done)
    return memfd


def _contents(descriptor: int, limit: int) -> bytes:
    """All bytes, copied before they are parsed, since the peer may still write to them.

    Raises:
        ProtocolError: it is larger than `limit` bytes, or cannot be read.
    """
    try:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise ProtocolError(f"a body of {size} bytes; at most {limit}")
        return os.pread(descriptor, size, 0)
    except OSError as error:
        raise ProtocolError(f"a body that cannot be read: {error.strerror}") from error


def received_descriptors(beside: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors in the ancillary data (cmsg(3)) that recvmsg(2) returned."""
    found = array.array("i")
    for level, kind, data in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()
