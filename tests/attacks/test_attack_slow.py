"""Slowness as an attack: nothing that is taken or sent bit by bit keeps a channel, whatever signs of life there are."""

import asyncio
import socket
import time

from securecc.model import limits
from securecc.model.messages import Ask, Ping
from securecc.wire.framing import encode_control
from tests.attacks.health import Health
from tests.attacks.raw import Raw
from tests.farm.farmside import Farm


def stop_beating(raw: Raw) -> None:
    assert raw.channel._beat is not None
    raw.channel._beat.cancel()


async def takes_bit_by_bit(farm: Farm) -> float:
    """Asks until answers wait for it, goes on saying that it lives, and reads less than it has to."""
    async with Raw(farm) as raw:
        stop_beating(raw)  # or it would give the server up by itself
        link = raw.channel.connection
        assert link.transport is not None
        sock = link.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)  # nor by its own kernel
        link.pause_reading()
        began = time.monotonic()
        link.write(encode_control(Ping(1)) * 1_500_000)
        while not raw.lost.done():
            for _ in range(10):
                raw.tell(Ping(2))
                await asyncio.sleep(0.5)
            link.resume_reading()  # often enough for the kernel, which gives up a peer that takes nothing for 15 s
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            link.pause_reading()
        return time.monotonic() - began


async def sends_bit_by_bit(farm: Farm) -> float:
    """One message, a byte at a time, as often as keeps the silence short."""
    async with Raw(farm) as raw:
        stop_beating(raw)
        raw.channel.connection._frames = lambda _frames: None
        began = time.monotonic()
        for byte in encode_control(Ask(1, b"k" * 4000, b"t")):
            if raw.lost.done():
                break
            raw.channel.connection.write(bytes((byte,)))
            await asyncio.sleep(0.3)
        return time.monotonic() - began


def test_the_slow_are_cut_off_and_nobody_waits_for_them(farm: Farm, health: Health) -> None:
    async def go() -> tuple[float, float, int]:
        slow = [asyncio.ensure_future(act(farm)) for act in (takes_bit_by_bit, sends_bit_by_bit)]
        async with Raw(farm.as_principal("bob")) as bob:
            served = 0
            while not all(task.done() for task in slow):
                assert (await bob.run()).how == "result"
                served += not any(task.done() for task in slow)
                await asyncio.sleep(1)
        return await slow[0], await slow[1], served

    reader, sender, served = asyncio.run(go())
    assert reader > limits.READER_S
    assert sender > limits.FRAME_S - 1
    assert served  # while both were at it; how often depends on the machine
