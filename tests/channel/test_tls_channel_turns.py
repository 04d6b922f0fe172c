"""Who says much, or takes little: the others have their turn, and who is too slow is cut off."""

import asyncio
import itertools
import os
import socket
import time
from typing import Any

import pytest

from securecc.model import limits
from securecc.model.messages import Ask, Goodbye, Hello, Invite, Need, Ping, Supply
from securecc.wire.framing import encode_bulk, encode_control
from tests.channel.loopback import Listener, dial, greeted, loopback, muted, submit
from tests.waiting import CEILING_S

ASKS = 1000


def run(body: Any) -> None:
    asyncio.run(body())


def asks(front: Listener) -> Any:
    return [message.job for message in front.said if isinstance(message, Ask)]


def flood(client: Listener, count: Any = ASKS) -> None:
    """All at once, in as few reads as the kernel likes."""
    client.channel.connection.write(b"".join(encode_control(Ask(job, b"k", b"t")) for job in range(1, count + 1)))


def test_a_flood_is_taken_in_turns_and_in_order() -> None:
    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            turns: list[int] = []
            asyncio.get_running_loop().call_soon(count, front, turns)
            flood(client)
            await front.until(lambda: len(asks(front)) == ASKS)
            assert asks(front) == list(range(1, ASKS + 1))
            assert max(later - before for before, later in itertools.pairwise(turns)) <= 64
            client.channel.send(Ask(ASKS + 1, b"k", b"t"))
            await front.until(lambda: len(asks(front)) == ASKS + 1)

    def count(front: Listener, turns: Any) -> None:
        turns.append(len(asks(front)))
        if turns[-1] < ASKS:
            asyncio.get_running_loop().call_soon(count, front, turns)

    run(body)


def test_chunks_that_grow_are_taken_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of zeros is a few bytes on the wire: a read may hold gigabytes of them."""
    monkeypatch.setattr(limits, "JOB_SOURCE", 1 << 40)
    size = limits.FRAME_BULK

    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            client.channel.send(Ask(1, b"k", b"t"))
            await front.until(lambda: asks(front))
            for message in (Invite(1, 250), submit(1), Need(1, False, (0,)), Supply(1)):
                for side in (client, front):
                    side.channel.session.passed(message)
            taken, most, since = 0, 0, [0]

            def on_bulk(job: int, data: Any) -> None:
                nonlocal taken, most
                taken += len(data)
                since[0] += len(data)
                most = max(most, since[0])

            front.on_bulk = on_bulk

            def tick() -> None:
                since[0] = 0
                if taken < 400 * size:
                    asyncio.get_running_loop().call_soon(tick)

            tick()
            client.channel.connection.write(encode_bulk(1, bytes(size)) * 400)
            async with asyncio.timeout(CEILING_S):
                while taken < 400 * size:  # noqa: ASYNC110 (counted, not told)
                    await asyncio.sleep(0.01)
            assert most <= limits.TURN + size

    run(body)


def test_an_illegal_message_in_a_flood_ends_the_channel_and_nothing_follows() -> None:
    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            frames = [encode_control(Ask(job, b"k", b"t")) for job in (*range(1, 200), 7, *range(300, 400))]
            client.channel.connection.write(b"".join(frames))
            await front.until(lambda: front.lost)
            assert asks(front) == list(range(1, 200))

    run(body)


def test_a_goodbye_reaches_who_is_still_talking() -> None:
    """What is closed with bytes unread is reset, and a reset takes back what was written before."""

    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            frames = b"".join(encode_control(Ask(job, b"k", b"t")) for job in (*range(1, 200), 7))
            client.channel.connection.write(frames + encode_control(Ask(8, b"k" * 1000, b"t")) * 20_000)
            await client.until(lambda: client.lost)
            assert [said.code for said in client.said if isinstance(said, Goodbye)] == ["protocol"]
            await front.until(lambda: front.lost)

    run(body)


def test_a_goodbye_reaches_who_sends_no_frame_and_reads_late() -> None:
    """Much is still under way to it when it sends what is none, and more of that: no reset may take it back."""

    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            client.channel.connection.pause_reading()
            small(client, socket.SO_RCVBUF)
            front.channel.connection.write(encode_control(Goodbye("draining", "x" * 1000, "")) * 500)
            client.channel.connection.write(bytes(12) + os.urandom(limits.MIB))
            await front_is(front, lambda link: link.error is not None)
            await asyncio.sleep(0.2)  # time for a reset
            client.channel.connection.resume_reading()
            await client.until(lambda: client.lost)
            assert client.said[-1].code == "protocol"
            await front.until(lambda: front.lost)

    run(body)


def test_a_client_hears_all_that_was_said_before_the_end() -> None:
    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            goodbyes = [encode_control(Goodbye("draining", str(number), "")) for number in range(ASKS)]
            front.channel.connection.write(b"".join(goodbyes))
            front.channel.close()
            await client.until(lambda: client.lost)
            assert len(client.said) == ASKS + 1

    run(body)


def test_what_is_said_at_once_with_the_verdict_is_heard() -> None:
    """A server that has no more room for somebody says so, and closes, before the client is ready to listen."""

    async def body() -> None:
        async with loopback(on_channel=full) as some:
            for _ in range(20):
                channel = await dial(some.port)
                client = Listener(channel)
                channel.attach(client)
                channel.send(Hello((1,), "test"))
                await channel.wait_closed()
                assert client.said == [Goodbye("limit", "no more room", "ref")]

    def full(channel: Any) -> Any:
        channel.close(Goodbye("limit", "no more room", "ref"))
        return Listener(channel)

    run(body)


def test_a_channel_that_is_held_takes_nothing_and_goes_on_in_order() -> None:
    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            on_message = front.on_message

            def hold(message: Any) -> None:
                on_message(message)
                if len(asks(front)) in {10, 500}:
                    front.channel.hold(0.2)

            front.on_message = hold
            began = time.monotonic()
            flood(client)
            await front.until(lambda: len(asks(front)) >= 10)
            await asyncio.sleep(0.05)
            assert len(asks(front)) == 10
            client.channel.send(Ping(1))
            await front.until(lambda: len(asks(front)) == ASKS)
            assert time.monotonic() - began >= 0.4
            assert asks(front) == list(range(1, ASKS + 1))

    run(body)


def test_a_held_channel_that_goes_is_heard_of() -> None:
    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            front.channel.hold(30)
            flood(client)
            await asyncio.sleep(0.05)
            front.channel.close()
            await front.until(lambda: front.lost)
            assert asks(front) == []

    run(body)


def test_who_takes_much_of_the_time_has_to_wait() -> None:
    """Full turns are told to whoever counts them; nothing else is."""

    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            told = []

            def pace(seconds: float) -> float:
                told.append(seconds)
                return 0.05

            front.channel.pace = pace
            client.channel.send(Ask(1, b"k", b"t"))
            await front.until(lambda: asks(front))
            assert told == []
            began = time.monotonic()
            frames = [encode_control(Ask(job, b"k", b"t")) for job in range(2, 1 + 64 * 4)]
            client.channel.connection.write(b"".join(frames))
            await front.until(lambda: len(asks(front)) == 64 * 4)
            assert time.monotonic() - began >= 0.05 * 3
            assert 3 <= len(told) < 12
            assert all(0 <= seconds < 5 for seconds in told)

    run(body)


def test_a_client_that_does_not_read_is_not_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings without end, whose answers it leaves: what waits for it stays small, and nobody is cut off for a while."""
    monkeypatch.setattr(limits, "WRITE_HIGH", 64 * 1024)

    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            client.channel.connection.pause_reading()
            small(client, socket.SO_RCVBUF)
            small(front, socket.SO_SNDBUF)
            ping = encode_control(Ping(1))
            for _ in range(8):
                client.channel.connection.transport.write(b"")
                client.channel.connection.write(ping * 20_000)
                await asyncio.sleep(0.01)
            await front_is(front, lambda link: link.backpressure.paused)
            assert front.channel.connection.transport.get_write_buffer_size() < 4 * 64 * 1024
            assert not front.lost
            client.channel.connection.resume_reading()
            client.channel.send(Ask(1, b"k", b"t"))
            await front.until(lambda: asks(front))

    run(body)


def small(end: Any, buffer: Any) -> None:
    """Little of what waits, waits in the kernel."""
    end.channel.connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, buffer, 128 * 1024)


async def front_is(front: Listener, test: Any) -> None:
    async with asyncio.timeout(CEILING_S):
        while not test(front.channel.connection):  # noqa: ASYNC110 (the link tells nobody)
            await asyncio.sleep(0.01)


def test_who_reads_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is not enough, and signs of life do not help."""
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(limits, "READER_S", 0.3)

    async def body() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            client.channel.connection.pause_reading()
            front.channel.connection.write(os.urandom(16 * limits.MIB))
            while not front.lost:
                client.channel.send(Ping(1))
                await asyncio.sleep(0.02)
            assert "reads too slowly" in str(front.lost[0])

    run(body)


def test_who_sends_a_frame_bit_by_bit_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(limits, "FRAME_S", 0.3)

    async def body() -> None:
        async with loopback() as some, muted(some) as (connection, front):
            began = time.monotonic()
            for byte in encode_control(Ask(1, b"k" * 4000, b"t")):
                if front.lost:
                    break
                connection.write(bytes((byte,)))
                await asyncio.sleep(0.02)
            assert "sends too slowly" in str(front.lost[0])
            assert time.monotonic() - began > 0.25

    run(body)


def test_who_sends_frame_after_frame_slowly_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each frame takes until the server has pinged once more, all of them together longer than one may."""
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(limits, "FRAME_S", 1.0)

    async def body() -> None:
        pinged = asyncio.Event()
        async with loopback() as some, muted(some, lambda _frames: pinged.set()) as (connection, front):
            for job in range(1, 26):
                frame = encode_control(Ask(job, b"k", b"t"))
                connection.write(frame[:7])
                pinged.clear()
                await asyncio.wait_for(pinged.wait(), CEILING_S)
                connection.write(frame[7:])
            await front.until(lambda: len(asks(front)) == 25)
            assert not front.lost

    run(body)
