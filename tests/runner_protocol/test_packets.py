"""Packets with descriptors: what is sent arrives, what is garbage is told, what waits is not lost."""

# ruff: noqa: ASYNC110 - these loops have nothing else to do

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import ChannelError, ProtocolError
from securecc.model.grant import JobLimits
from securecc.model.manifest import Entry, Kind
from securecc.model.messages import Terminal
from securecc.runner_protocol import packets
from securecc.runner_protocol.messages import WorkBlobs, WorkCancel, WorkOrder, WorkTree
from securecc.system.descriptors import close_all
from tests.waiting import CEILING_S


def order(**more: Any) -> WorkOrder:
    values: dict[str, Any] = {
        "job": 1,
        "toolchain": b"t" * 32,
        "arguments": (b"gcc", b"-c", b"a.c"),
        "environment": {b"LANG": b"C"},
        "cwd": b"/home/alice",
        "umask": 0o022,
        "terminal": Terminal(),
        "limits": JobLimits(),
        "blobs": 0,
    }
    return WorkOrder(**(values | more))


class Ends:
    """Two connections; `got`, `garbage` and `lost` are the second one's."""

    def __init__(self, start: bool = True, around: Callable[[socket.socket], Any] = lambda end: end) -> None:
        one, other = packets.pair()
        self.raw, self.other, self.around = one, other, around(one)
        self.got: list[tuple[Any, list[int]]] = []
        self.garbage: list[str] = []
        self.lost: list[str] = []
        self.sender_lost: list[str] = []
        self.sender = packets.PacketConnection(
            self.around, packets.from_runner, lambda *_: None, self.sender_lost.append
        )
        self.receiver = packets.PacketConnection(
            other,
            packets.from_front,
            lambda *both: self.got.append(both),
            self.lost.append,
            self.garbage.append,
        )
        self.sender.start()
        if start:
            self.receiver.start()

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()
        for _, descriptors in self.got:
            close_all(descriptors)


def between(body: Callable[[Ends], Awaitable[None]], **how: Any) -> None:
    async def whole() -> None:
        ends = Ends(**how)
        try:
            await body(ends)
        finally:
            ends.close()

    before = set(os.listdir("/proc/self/fd"))
    asyncio.run(asyncio.wait_for(whole(), CEILING_S))
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_messages_arrive_in_order_with_their_descriptors() -> None:
    async def body(ends: Ends) -> None:
        memfd = packets.memory(b"content")
        ends.sender.send(WorkBlobs(5), [memfd, memfd])
        ends.sender.send(WorkCancel(6))
        os.close(memfd)
        await until(lambda: len(ends.got) == 2)
        (blobs, descriptors), (cancel, none) = ends.got
        assert (blobs, cancel, none) == (WorkBlobs(5), WorkCancel(6), [])
        assert [os.pread(descriptor, 10, 0) for descriptor in descriptors] == [b"content", b"content"]
        assert not any(os.get_inheritable(descriptor) for descriptor in descriptors)

    between(body)


@pytest.mark.parametrize("size", [0, limits.WORK_PACKET - 300, limits.WORK_PACKET, limits.ARGUMENTS_TOTAL])
def test_large_messages_travel_in_a_memfd(size: int) -> None:
    async def body(ends: Ends) -> None:
        sent = order(arguments=(b"gcc", b"x" * size))
        ends.sender.send(sent, [0])
        await until(lambda: ends.got)
        message, descriptors = ends.got[0]
        assert message == sent
        assert len(descriptors) == 1

    between(body)


def test_an_order_with_more_contents_than_one_packet_carries() -> None:
    async def body(ends: Ends) -> None:
        files = [packets.memory(b"%d" % number) for number in range(600)]
        entries = tuple(Entry(b"/%d" % number, Kind.FILE) for number in range(600))
        tree = WorkTree(entries, tuple(range(600)))
        packets.post_order(ends.sender, order(blobs=600), tree, files)
        close_all(files)
        await until(lambda: ends.got and isinstance(ends.got[-1][0], WorkOrder))
        *blobs, (_, trees) = ends.got
        contents = [os.pread(descriptor, 9, 0) for _, descriptors in blobs for descriptor in descriptors]
        assert contents == [b"%d" % number for number in range(600)]
        assert packets.read_tree(trees[0]) == tree

    between(body)


def test_a_slow_peer_is_waited_for_and_loses_nothing() -> None:
    async def body(ends: Ends) -> None:
        memfd = packets.memory(b"x")
        for number in range(1, 2000):
            ends.sender.send(order(job=number, arguments=(b"x" * 10000,)), [memfd])
        os.close(memfd)
        assert ends.sender.queued
        ends.receiver.start()
        await until(lambda: len(ends.got) == 1999)
        assert [message.job for message, _ in ends.got] == list(range(1, 2000))
        assert not ends.sender.queued

    between(body, start=False)


def test_what_can_never_be_sent_ends_the_connection_once() -> None:
    """Else it would be tried again for ever, and nothing behind it would go."""

    class Refusing:
        def __init__(self, end: socket.socket) -> None:
            self.end = end
            self.refuses = False
            self.tries = 0

        def sendmsg(self, *what: Any) -> int:
            if not self.refuses:
                return self.end.sendmsg(*what)
            self.tries += 1
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.end, name)

    async def body(ends: Ends) -> None:
        while not ends.sender.queued:
            ends.sender.send(order(arguments=(b"x" * 10000,)))
        ends.around.refuses = True
        ends.receiver.start()
        await until(lambda: ends.sender_lost)
        assert ends.sender_lost == ["cannot send a packet: Message too long"]
        await asyncio.sleep(0.02)
        assert ends.around.tries == 1

    between(body, start=False, around=Refusing)


def test_the_peers_end_is_told_once() -> None:
    async def body(ends: Ends) -> None:
        ends.sender.close()
        await until(lambda: ends.lost)
        with pytest.raises(ChannelError):
            ends.receiver.send(WorkCancel(1))
        assert len(ends.lost) == 1

    between(body)


def test_sending_to_one_that_has_gone() -> None:
    async def body(ends: Ends) -> None:
        ends.other.close()
        with pytest.raises(ChannelError):
            ends.sender.send(WorkCancel(1))

    async def whole() -> None:
        ends = Ends(start=False)
        await body(ends)
        ends.sender.close()

    asyncio.run(whole())


def test_too_many_descriptors_are_refused() -> None:
    async def body(ends: Ends) -> None:
        with pytest.raises(ProtocolError, match="descriptors"):
            ends.sender.send(WorkBlobs(1), [0] * 254)
        with pytest.raises(ProtocolError, match="cannot send a packet"):
            ends.sender.send(WorkBlobs(1), [99999])

    between(body)


@pytest.mark.parametrize(
    ("packet", "descriptors"),
    [
        (b"x", 0),
        (b"\0", 1),
        (b"\0\xc1", 3),
        (b"\1", 0),
        (b"\1more", 1),
        (b"\0" + b"x" * (limits.WORK_PACKET + 1), 2),
        (b"\0\x92\xa6cancel\xa1x", 0),
    ],
)
def test_garbage_is_told_and_its_descriptors_closed(packet: bytes, descriptors: int) -> None:
    async def body(ends: Ends) -> None:
        socket.send_fds(ends.raw, [packet], [0] * descriptors)
        ends.sender.send(WorkCancel(1))
        await until(lambda: ends.got)
        assert len(ends.garbage) == 1
        assert ends.got == [(WorkCancel(1), [])]

    between(body)


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=300))
def test_any_packet_is_a_message_or_garbage(packet: bytes) -> None:
    async def body(ends: Ends) -> None:
        ends.raw.send(packet)
        await until(lambda: ends.got or ends.garbage)

    between(body)


def test_a_body_in_a_pipe_or_too_large_is_garbage() -> None:
    async def body(ends: Ends) -> None:
        reading, writing = os.pipe()
        huge = os.memfd_create("huge")
        os.ftruncate(huge, limits.FRAME_CONTROL + 1)
        for descriptor in (reading, huge):
            socket.send_fds(ends.raw, [b"\1"], [descriptor])
        close_all([reading, writing, huge])
        await until(lambda: len(ends.garbage) == 2)

    between(body)


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_memfd_is_a_tree_or_a_protocol_error(content: bytes) -> None:
    memfd = packets.memory(content)
    try:
        assert isinstance(packets.read_tree(memfd), WorkTree)
    except ProtocolError:
        pass
    finally:
        os.close(memfd)


def test_a_tree_with_other_numbers_than_entries() -> None:
    import msgspec

    memfd = packets.memory(msgspec.msgpack.encode(WorkTree((), (1,))))
    with pytest.raises(ProtocolError, match="0 entries with 1"):
        packets.read_tree(memfd)
    os.close(memfd)


def test_packets_are_not_mixed_up_with_ancillary_data() -> None:
    assert packets.received_descriptors([(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("ii", 5, 6) + b"x")]) == [
        5,
        6,
    ]
    assert packets.received_descriptors([(socket.SOL_SOCKET, 99, struct.pack("i", 5))]) == []
