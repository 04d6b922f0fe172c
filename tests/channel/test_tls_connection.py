"""securecc.channel.tls_connection: reads and writes."""

import asyncio

from securecc.channel import tls
from securecc.channel.tls_connection import TlsConnection
from securecc.model.messages import (
    Ask,
)
from tests.channel.loopback import (
    CONTEXT,
    greeted,
    loopback,
)


def test_messages_of_one_turn_are_one_write(monkeypatch):
    async def run():
        async with loopback() as some, greeted(some) as (client, front):
            sends = []
            send = tls.TlsPipe.send
            monkeypatch.setattr(tls.TlsPipe, "send", lambda pipe, data: (sends.append(pipe), send(pipe, data)))
            for job in range(1, 51):
                client.channel.send(Ask(job, b"k", b"t"))
            await front.until(lambda: len(front.said) == 51)
            assert len(sends) == 1

    asyncio.run(run())


def test_idle_links_hold_no_buffer_of_their_own():
    async def run():
        first, second = (TlsConnection(tls.TlsPipe(CONTEXT, server=True)) for _ in range(2))
        assert first.get_buffer(-1) is second.get_buffer(-1)

    asyncio.run(run())
