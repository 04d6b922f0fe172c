"""securecc.channel.channel: a job from end to end, and what ends a channel."""

import asyncio
import itertools
import os
import socket
import struct
import time
from typing import Any

import pytest

from securecc.model import limits
from securecc.model.errors import ChannelError, ConfigError, ProtocolError
from securecc.model.messages import (
    Ask,
    Cancel,
    Goodbye,
    Invite,
    Need,
    Output,
    Ping,
    Result,
    Supply,
    Usage,
)
from securecc.wire.framing import encode_control
from securecc.wire.session import Session
from tests.channel.loopback import (
    Listener,
    dial,
    greeted,
    loopback,
    muted,
    submit,
)
from tests.waiting import CEILING_S


def got(listener: Listener) -> bytes:
    """All data that it was given."""
    return b"".join(item[1] for item in listener.said if isinstance(item, tuple))


def test_a_job_from_asking_to_its_last_byte() -> None:
    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            assert front.channel.grant == ("grant", b"alice@EXAMPLE.COM", "127.0.0.1", ())
            assert client.channel.principal == front.channel.principal == b"alice@EXAMPLE.COM"
            assert client.channel.reference == front.channel.reference
            assert 3500 < front.channel.lifetime_end - time.monotonic() <= 3600
            blob, obj = b"int x;\n" * 100_000, bytes(range(256)) * 3000
            assert client.channel.send(Ask(1, b"k", b"t"))
            await front.until(lambda: len(front.said) == 2)
            front.channel.send(Invite(1, 250))
            await client.until(lambda: len(client.said) == 2)
            client.channel.send(submit(1))
            await front.until(lambda: len(front.said) == 3)
            front.channel.send(Need(1, False, (0,)))
            await client.until(lambda: len(client.said) == 3)
            client.channel.send(Supply(1))
            assert client.channel.send_bulk(1, blob)
            await front.until(lambda: got(front) == blob)
            front.channel.send(Result(1, 0, "", 0, 3, (Output(b"/a.o", len(obj), 0o644, b"d"),), (), Usage(), 0.1))
            front.channel.send_bulk(1, b"wrn")
            front.channel.send_bulk(1, obj)
            await client.until(lambda: got(client) == b"wrn" + obj)
            assert client.channel.session.jobs == front.channel.session.jobs == 0
            assert client.channel.send(Cancel(1)) is False
            await client.channel.drain()
            assert some.noticed == []

    asyncio.run(run())


def test_an_illegal_message_ends_the_channel_with_a_reason_on_both_sides() -> None:
    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            client.channel.connection.write(encode_control(Cancel(9)))
            await front.until(lambda: front.lost)
            assert isinstance(front.lost[0], ProtocolError)
            await client.until(lambda: client.lost)
            assert isinstance(client.said[-1], Goodbye)
            assert client.said[-1].code == "protocol"
            assert "never asked for" in str(client.lost[0])
            assert len(front.lost) == len(client.lost) == 1

    asyncio.run(run())


@pytest.mark.parametrize("flood", [0, 8 << 20])
def test_bytes_that_are_no_frame_end_the_channel_with_a_reason(flood: Any) -> None:
    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            client.channel.connection.write(bytes(12) + os.urandom(flood))
            await client.until(lambda: client.lost)
            assert [(said.code, said.reason) for said in client.said if isinstance(said, Goodbye)] == [
                ("protocol", "a frame of kind 0 is not legal here")
            ]
            await front.until(lambda: front.lost)
            assert isinstance(front.lost[0], ProtocolError)
            assert len(front.lost) == 1

    asyncio.run(run())


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("x"), KeyError("y"), ConfigError("z")])
def test_what_a_listener_raises_is_heard_of(error: Any) -> None:
    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):

            def fail(message: Any) -> None:
                raise error

            front.on_message = fail
            client.channel.send(Ask(1, b"k", b"t"))
            await front.until(lambda: front.lost)
            lost = front.lost[0]
            assert lost is error or lost.__cause__ is error
            await client.until(lambda: client.lost)

    asyncio.run(run())


def test_nothing_is_delivered_after_the_end() -> None:
    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            front.on_message = lambda message: (front.said.append(message), front.channel.close())
            client.channel.send(Ask(1, b"k", b"t"))
            client.channel.send(Ask(2, b"k", b"t"))
            await front.until(lambda: front.lost)
            assert [message.job for message in front.said[1:]] == [1]
            assert front.channel.closed
            assert front.channel.send(Invite(1, 250)) is False
            assert front.channel.send_bulk(1, b"x") is False
            with pytest.raises(ChannelError):
                await front.channel.drain()
            late = Listener()
            front.channel.attach(late)
            assert late.lost == front.lost

    asyncio.run(run())


def test_a_goodbye_reaches_the_other_side_whole() -> None:
    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            front.channel.close(Goodbye("draining", "the server stops", "ref"))
            await client.until(lambda: client.lost)
            assert client.said[-1] == Goodbye("draining", "the server stops", "ref")
            assert "the server stops (reference ref)" in str(client.lost[0])

    asyncio.run(run())


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_peer_that_goes_is_noticed_at_once(how: Any) -> None:
    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            sock = client.channel.connection.transport.get_extra_info("socket")
            if how == "rst":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.channel.connection.transport.abort()
            else:
                sock.shutdown(socket.SHUT_WR)
            await front.until(lambda: front.lost)

    asyncio.run(run())


def test_silence_is_broken_by_pings_and_ends_in_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(limits, "HEARTBEAT_LOST_S", 1.0)
    pings, enough = itertools.count(1), asyncio.Event()
    received = Session.received

    def counted(session: Session, message: Any) -> bool:
        if session.server and isinstance(message, Ping) and next(pings) == 22:
            enough.set()
        return received(session, message)

    monkeypatch.setattr(Session, "received", counted)

    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            await asyncio.wait_for(enough.wait(), CEILING_S)  # at most one a HEARTBEAT_S: longer than the limit
            assert not client.lost
            assert not front.lost
        async with loopback() as some, muted(some) as (_, front):
            await front.until(lambda: front.lost)
            assert "nothing heard" in str(front.lost[0])

    asyncio.run(run())


def test_a_slow_reader_is_cut_off_and_drain_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEND_BACKLOG", 4 * limits.MIB)
    noise = os.urandom(limits.FRAME_BULK)

    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            front.channel.connection.transport.pause_reading()
            client.channel.send(Ask(1, b"k", b"t"))
            for message in (Invite(1, 250), submit(1), Need(1, False, (0,)), Supply(1)):
                client.channel.session.passed(message)
            while not client.channel.connection.backpressure.paused:
                client.channel.send_bulk(1, noise)
            waiting = asyncio.ensure_future(client.channel.drain())
            await asyncio.sleep(0)
            for _ in range(80):
                client.channel.send_bulk(1, noise)
            assert "does not read" in str(client.channel.connection.error)
            with pytest.raises(ChannelError, match="does not read"):
                await waiting

    asyncio.run(run())


def test_reading_waits_for_a_listener() -> None:
    async def run() -> None:
        async with loopback() as some:
            channel = await dial(some.port)
            some.channels[0].send(Goodbye("draining", "early", "ref"))
            await asyncio.sleep(0.05)
            client = Listener()
            channel.attach(client)
            await client.until(lambda: client.said)
            assert client.said[0].reason == "early"
            channel.close()
            await channel.wait_closed()

    asyncio.run(run())
