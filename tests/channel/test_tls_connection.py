"""securecc.channel.tls_connection: reads and writes."""

import asyncio

import pytest

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


def test_messages_of_one_turn_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            sends: list[tls.TlsPipe] = []
            send = tls.TlsPipe.send

            def counted(pipe: tls.TlsPipe, data: bytes) -> None:
                sends.append(pipe)
                send(pipe, data)

            monkeypatch.setattr(tls.TlsPipe, "send", counted)
            for job in range(1, 51):
                client.channel.send(Ask(job, b"k", b"t"))
            await front.until(lambda: len(front.said) == 51)
            assert len(sends) == 1

    asyncio.run(run())


def test_idle_links_hold_no_buffer_of_their_own() -> None:
    async def run() -> None:
        first, second = (TlsConnection(tls.TlsPipe(CONTEXT, server=True)) for _ in range(2))
        assert first.get_buffer(-1) is second.get_buffer(-1)

    asyncio.run(run())
