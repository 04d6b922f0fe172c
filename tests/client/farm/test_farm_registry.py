"""Farms by settings and ticket: a ticket that goes or changes closes its channels."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from securecc.channel import kerberos
from securecc.client.farm import farm_registry as registry_module
from securecc.client.farm.farm_registry import FarmRegistry
from securecc.client.ipc.frames import Request
from securecc.client.state.host_list import Host
from securecc.client.state.settings import Settings
from securecc.model.errors import CredentialError
from tests.client.farm_stub import SETTINGS, ServerChannel, request
from tests.waiting import CEILING_S

Body = Callable[[FarmRegistry], Awaitable[None]]


class Cache:
    """A credential cache as the agent sees it: (principal, seconds left), or the error of there being none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.content: tuple[bytes, float] | CredentialError = (b"alice@EXAMPLE.COM", 3600.0)
        self.dialled: list[tuple[Any, ...]] = []
        self.channels: list[ServerChannel] = []
        self.asked = 0
        monkeypatch.setattr(kerberos, "credentials", self.credentials)
        monkeypatch.setattr(registry_module, "dial", self.dial)

    def credentials(self, name: str | None) -> tuple[bytes, float]:
        self.asked += 1
        if isinstance(self.content, Exception):
            raise self.content
        return self.content

    async def dial(self, *where: Any, ca_file: str | None) -> ServerChannel:
        self.dialled.append((*where, ca_file))
        channel = ServerChannel()
        self.channels.append(channel)
        return channel


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Cache:
    return Cache(monkeypatch)


def test_a_cache_in_a_file_is_asked_again_when_it_has_changed(cache: Cache, tmp_path: Path) -> None:
    async def body(farms: FarmRegistry) -> None:
        file = tmp_path / "cc"
        file.write_text("one")
        farm = farms.of(SETTINGS, launched(b"FILE:" + bytes(file)))
        await farm.servers[0].connected()
        asked = cache.asked
        await asyncio.sleep(0.05)
        assert cache.asked == asked
        file.write_text("another")
        await until(lambda: cache.asked > asked)
        cache.content = CredentialError("kdestroy")
        file.unlink()
        await until(lambda: not farm.connections)

    with_farms(body)


def launched(cache_name: bytes | None = b"FILE:/cc") -> Request:
    return request("/", environment={b"KRB5CCNAME": cache_name} if cache_name else {})


async def beating(farms: FarmRegistry) -> None:
    """What the agent does about once a second."""
    while True:
        await asyncio.sleep(0.005)
        farms.check_tickets()


def with_farms(body: Body) -> None:
    async def run() -> None:
        farms = FarmRegistry()
        pulse = asyncio.create_task(beating(farms))
        try:
            await body(farms)
        finally:
            pulse.cancel()
            farms.close("the test has ended")

    asyncio.run(run())


async def until(test: Callable[[], bool]) -> None:
    async with asyncio.timeout(CEILING_S):
        while not test():  # noqa: ASYNC110 - what is waited for is another's timer
            await asyncio.sleep(0.002)


def test_one_farm_for_one_person_and_one_set_of_hosts(cache: Cache) -> None:
    async def body(farms: FarmRegistry) -> None:
        farm = farms.of(SETTINGS, launched())
        assert farms.of(SETTINGS, launched()) is farm
        others = [
            farms.of(SETTINGS, launched(b"FILE:/other")),
            farms.of(SETTINGS, launched(None)),
            farms.of(Settings(hosts=(Host("farm2"),)), launched()),
            farms.of(Settings(hosts=SETTINGS.hosts, service="other"), launched()),
        ]
        assert len({id(farm) for farm in (farm, *others)}) == 5

    with_farms(body)


def test_an_agent_keeps_a_bounded_number_of_farms(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "FARMS", 2)

    async def body(farms: FarmRegistry) -> None:
        first = farms.of(SETTINGS, launched(b"FILE:/1"))
        second = farms.of(SETTINGS, launched(b"FILE:/2"))
        farms.of(SETTINGS, launched(b"FILE:/3"))
        assert farms.of(SETTINGS, launched(b"FILE:/2")) is second
        assert farms.of(SETTINGS, launched(b"FILE:/1")) is not first

    with_farms(body)


def test_a_channel_is_dialled_for_the_service_and_with_the_cache_of_its_launcher(cache: Cache) -> None:
    async def body(farms: FarmRegistry) -> None:
        hosts = (Host("farm1"), Host("farm2", 99, principal="HTTP@else"))
        farm = farms.of(Settings(hosts=hosts), launched())
        for server in farm.servers:
            await server.connected()
        assert cache.dialled == [
            ("farm1", 3643, "securecc@farm1", "FILE:/cc", None),
            ("farm2", 99, "HTTP@else", "FILE:/cc", None),
        ]

    with_farms(body)


def test_who_vouches_for_certificates_is_the_launchers_word(cache: Cache) -> None:
    async def body(farms: FarmRegistry) -> None:
        for ca in ("", "/etc/ca.pem"):
            await farms.of(Settings(hosts=(Host("farm1"),), ca=ca), launched()).servers[0].connected()
        assert [where[-1] for where in cache.dialled] == [None, "/etc/ca.pem"]

    with_farms(body)


def test_without_a_ticket_nobody_is_dialled(cache: Cache) -> None:
    cache.content = CredentialError("no ticket")

    async def body(farms: FarmRegistry) -> None:
        [server] = farms.of(SETTINGS, launched()).servers
        with pytest.raises(CredentialError, match="no ticket"):
            await server.connected()
        assert cache.dialled == []
        cache.content = (b"alice@EXAMPLE.COM", 3600.0)
        await until(lambda: server.trouble is None)
        await server.connected()

    with_farms(body)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CredentialError("kdestroy"), "the ticket is gone"),
        ((b"bob@EXAMPLE.COM", 3600.0), "there is another ticket"),
        ((b"alice@EXAMPLE.COM", 7200.0), "there is another ticket"),
    ],
)
def test_another_ticket_or_none_closes_the_channels(
    cache: Cache, content: tuple[bytes, float] | CredentialError, reason: str
) -> None:
    async def body(farms: FarmRegistry) -> None:
        [server] = farms.of(SETTINGS, launched()).servers
        await server.connected()
        cache.content = content
        await until(lambda: cache.channels[0].closed)
        assert cache.channels[0].said[-1].reason == reason
        assert server.connection is None

    with_farms(body)


def test_the_same_ticket_keeps_them(cache: Cache) -> None:
    async def body(farms: FarmRegistry) -> None:
        [server] = farms.of(SETTINGS, launched()).servers
        connection = await server.connected()
        cache.content = (b"alice@EXAMPLE.COM", 3599.0)
        seen = cache.asked
        await until(lambda: cache.asked > seen + 2)
        assert server.connection is connection

    with_farms(body)


def test_a_new_farm_does_not_stop_the_watch(cache: Cache) -> None:
    async def body(farms: FarmRegistry) -> None:
        [server] = farms.of(SETTINGS, launched()).servers
        await server.connected()
        for number in range(20):
            other = farms.of(SETTINGS, launched(b"FILE:/cc%d" % number))
            await other.servers[0].connected()
            await asyncio.sleep(0.001)
        cache.content = CredentialError("kdestroy")
        await until(lambda: all(channel.closed for channel in cache.channels))

    with_farms(body)


def test_the_end_of_the_agent_closes_all(cache: Cache) -> None:
    async def body(farms: FarmRegistry) -> None:
        FarmRegistry().close("nothing was ever asked for")
        await farms.of(SETTINGS, launched()).servers[0].connected()
        farms.close("the agent ends")
        assert cache.channels[0].closed

    with_farms(body)
