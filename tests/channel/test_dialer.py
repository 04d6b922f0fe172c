"""securecc.channel.dialer: names, addresses, deadlines, and how failures are explained."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from securecc.channel import dialer, tls
from securecc.model.errors import ChannelError
from tests.channel.loopback import (
    dial,
    loopback,
)


def test_nobody_there_is_explained() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ChannelError, match=r"cannot connect to 127.0.0.1.*secureccd is running"):
            asyncio.run(dial(sock.getsockname()[1]))


def test_a_server_that_says_nothing_ends_the_client_at_its_deadline() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        with pytest.raises(ChannelError, match=r"within 0\.2 s"):
            asyncio.run(dial(sock.getsockname()[1], deadline=0.2))


@asynccontextmanager
async def silence(port: int) -> AsyncIterator[Any]:
    """An address of this machine's that answers nothing: its backlog is full, so it lets no more in."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.2", port))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.2", port))
        yield "127.0.0.2"
        for one in waiting:
            one.close()


def resolved_to(addresses: Any) -> Any:
    """As socket.getaddrinfo, for a numeric address as itself."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: int, *arguments: Any, **options: Any) -> Any:
        if host[:1].isdigit():
            return real(host, port, *arguments, **options)
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    return resolve


def test_an_address_that_is_silent_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with loopback() as some, silence(some.port) as silent:
            addresses = [silent, "127.0.0.1"]
            monkeypatch.setattr(socket, "getaddrinfo", resolved_to(addresses))
            channel = await dial(some.port, "localhost", deadline=2.0)
            assert channel.peer[0] == "127.0.0.1"
            channel.close()
            await channel.wait_closed()
            del addresses[1]
            with pytest.raises(ChannelError, match="Connection timed out"):
                await dialer.connect(tls.client_context(), "localhost", some.port, 0.1)

    asyncio.run(run())


def test_a_name_that_is_none_is_explained() -> None:
    with pytest.raises(ChannelError, match=r"cannot resolve no-such-host.invalid: .*check the host's name"):
        asyncio.run(dial(3643, "no-such-host.invalid"))


def test_a_host_with_several_addresses_is_reached_by_the_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with loopback() as some:
            monkeypatch.setattr(socket, "getaddrinfo", resolved_to(["127.0.0.2", "127.0.0.1"]))
            channel = await dial(some.port, "farm.example.com")
            assert channel.peer[0] == "127.0.0.1"
            channel.close()
            await channel.wait_closed()

    asyncio.run(run())
