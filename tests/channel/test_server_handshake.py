"""A connection until the verdict, behind a proxy and in a crowd; a stub stands in the place of Kerberos."""

import asyncio
import ipaddress
import struct
import threading
from typing import Any

import pytest

from securecc.channel import deadline, dialer, tls
from securecc.channel.connection_gate import ConnectionGate, ConnectionLimits
from securecc.channel.known_sources import KnownSources
from securecc.channel.tls_connection import TlsConnection
from securecc.model import limits
from securecc.model.errors import ChannelError
from securecc.wire.framing import Kind, encode_frame
from securecc.wire.proxy_protocol import SIGNATURE
from tests.channel.loopback import dial, ends, loopback, raw
from tests.gss_stub import StubAcceptor, StubExchange
from tests.waiting import CEILING_S

HERE = "127.0.0.1"


def header(source: str = "198.51.100.7", port: int = 4711, command: int = 0x21) -> Any:
    packed = (ipaddress.ip_address(address).packed for address in (source, "192.0.2.9"))
    body = struct.pack(">4s4sHH", *packed, port, 3643) + b"\x04\x00\x01x"
    return SIGNATURE + struct.pack(">BBH", command, 0x11, len(body)) + body


class Proxy:
    """Connects for others: `first` goes before what the client sends, in pieces of `piece` bytes."""

    def __init__(self, port: int, first: Any, piece: int = 1000) -> None:
        self._port = port
        self._first = first
        self._piece = piece
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Any:
        self._server = await asyncio.start_server(self._serve, HERE, 0)
        return self._server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: Any, writer: Any) -> None:
        back, forth = await raw(self._port)
        self._writers += [writer, forth]
        for at in range(0, len(self._first), self._piece):
            forth.write(self._first[at : at + self._piece])
            await asyncio.sleep(0.001)
        await asyncio.gather(self._copy(reader, forth), self._copy(back, writer), return_exceptions=True)

    async def _copy(self, reader: Any, writer: Any) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


def behind_proxies(**changes: Any) -> Any:
    return loopback(gate=ConnectionGate(proxies=lambda address: address == HERE, **changes))


@pytest.mark.parametrize("piece", [1, 1000])
def test_whom_a_proxy_names_is_judged_and_on_record(piece: Any) -> None:
    async def run() -> None:
        async with behind_proxies() as some, Proxy(some.port, header(), piece) as port:
            channel = await dial(port)
            assert some.channels[0].peer == ("198.51.100.7", 4711)
            assert some.channels[0].proxy == HERE
            assert some.channels[0].grant[2] == "198.51.100.7"
            channel.close()

    asyncio.run(run())


def test_without_a_header_the_peer_is_the_proxy() -> None:
    async def run() -> None:
        async with behind_proxies() as some:
            channel = await dial(some.port)
            assert some.channels[0].peer[0] == some.channels[0].proxy == HERE
            channel.close()

    asyncio.run(run())


def test_what_the_proxy_says_for_itself_names_nobody() -> None:
    async def run() -> None:
        async with behind_proxies() as some, Proxy(some.port, header(command=0x20)) as port:
            channel = await dial(port)
            assert some.channels[0].peer[0] == some.channels[0].proxy == HERE
            channel.close()

    asyncio.run(run())


def test_a_header_from_anybody_else_is_no_tls_and_names_nobody() -> None:
    async def run() -> None:
        async with loopback() as some, Proxy(some.port, header()) as port:
            with pytest.raises(ChannelError):
                await dial(port)
            [(event, _)] = some.noticed
            assert event == "tls"
            assert some.channels == []

    asyncio.run(run())


@pytest.mark.parametrize(
    "first", [b"PROXY TCP4 198.51.100.7 192.0.2.9 4711 3643\r\n", SIGNATURE + b"\x21\x11\xff\xff", b"\r\nno"]
)
def test_a_header_that_is_none_is_refused_without_a_byte(first: Any) -> None:
    async def run() -> None:
        async with behind_proxies() as some:
            reader, writer = await raw(some.port)
            writer.write(first)
            assert await ends(reader) == b""
            writer.close()
            assert [event for event, _ in some.noticed] == ["protocol"]

    asyncio.run(run())


def test_a_header_that_does_not_end_ends_at_the_deadline() -> None:
    async def run() -> None:
        gate = ConnectionGate(proxies=lambda address: address == HERE)
        async with loopback(gate=gate, deadline=0.2) as some:
            reader, writer = await raw(some.port)
            writer.write(header()[:20])
            assert await ends(reader) == b""
            writer.close()
            assert [event for event, _ in some.noticed] == ["deadline"]
            assert gate.total == 0

    asyncio.run(run())


def test_whom_the_network_does_not_admit_no_proxy_brings() -> None:
    async def run() -> None:
        def allowed(address: Any) -> Any:
            return address == HERE

        async with behind_proxies(allowed=allowed) as some, Proxy(some.port, header()) as port:
            with pytest.raises(ChannelError):
                await dial(port)
            [(event, detail)] = some.noticed
            assert (event, detail["rule"]) == ("acl", "acl")

    asyncio.run(run())


def test_a_proxy_that_the_network_does_not_admit_has_to_name_somebody() -> None:
    async def run() -> None:
        def allowed(address: Any) -> Any:
            return address != HERE

        async with behind_proxies(allowed=allowed) as some, Proxy(some.port, header()) as port:
            with pytest.raises(ChannelError):
                await dial(some.port)
            assert [event for event, _ in some.noticed] == ["acl"]
            channel = await dial(port)
            channel.close()

    asyncio.run(run())


class Stuck(StubAcceptor):
    """Its steps wait for the test."""

    def __init__(self, release: Any) -> None:
        super().__init__()
        self._release = release
        self.begun = threading.Event()

    def start(self, exporter: bytes) -> StubExchange:
        exchange = super().start(exporter)
        exchange.before_step = self._wait
        return exchange

    def _wait(self) -> None:
        self.begun.set()
        self._release.wait(CEILING_S)


async def knocking(port: int) -> Any:
    """A stranger who has got as far as a token."""
    _, link = await asyncio.get_running_loop().create_connection(
        lambda: TlsConnection(tls.TlsPipe(tls.client_context(), server=False)), HERE, port
    )
    await link.secured()
    link.write(encode_frame(Kind.HANDSHAKE, b"\x01ap-req"))
    return link


def test_a_crowd_of_strangers_is_shed_and_who_is_known_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(deadline, "pool", deadline.Pool(1, 2))
    known = KnownSources()
    acceptor = Stuck(release)

    async def run() -> None:
        gate = ConnectionGate(connection_limits=ConnectionLimits(begin=90), known=known)
        async with loopback(gate=gate, authenticator=lambda: acceptor) as some:
            strangers = [await knocking(some.port)]
            await until(acceptor.begun.is_set)
            strangers += [await knocking(some.port) for _ in range(3)]
            await some.until_noticed("crowd")
            assert len(some.noticed) == deadline.pool.threads == 1
            known.learn(HERE)
            alice = await knocking(some.port)
            await until(lambda: len(some.noticed) == 2)
            release.set()
            assert (await alice.receive())[1:] == b"ap-rep"
            for link in (alice, *strangers):
                link.fail(ChannelError("gone"))

    asyncio.run(run())


def test_a_step_that_blocks_ends_at_its_deadline_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GSS_STEP_S", 0.5)
    release = threading.Event()
    stuck = Stuck(release)
    asked = [stuck, StubAcceptor()]

    async def run() -> None:
        async with loopback(authenticator=lambda: asked.pop(0)) as some:
            first = await knocking(some.port)
            await until(stuck.begun.is_set)
            channel = await dial(some.port)
            assert some.noticed == []  # nobody's step has ended yet but the second's
            channel.close()
            await some.until_noticed("authentication")
            [(_, detail)] = some.noticed
            assert "Kerberos took more than 0.5 s" in detail["why"]
            first.fail(ChannelError("gone"))

    try:
        asyncio.run(run())
    finally:
        release.set()


async def until(test: Any) -> None:
    async with asyncio.timeout(CEILING_S):
        while not test():  # noqa: ASYNC110 (the house tells of it in its own time)
            await asyncio.sleep(0.005)


def test_nothing_is_decompressed_before_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that only an authenticated peer may send ends the connection when its header is read."""

    def decompress(*_: Any) -> None:
        raise AssertionError("decompressed")

    monkeypatch.setattr("securecc.wire.framing._decompress", decompress)

    async def run() -> None:
        async with loopback() as some:
            link = await dialer.connect(tls.client_context(), HERE, some.port)
            await link.secured()
            link.write(struct.pack(">IBBHI", limits.FRAME_BULK, Kind.BULK, 1, 0, 1) + b"\x28\xb5\x2f\xfd")
            with pytest.raises(ChannelError):
                await link.receive()
            assert [event for event, _ in some.noticed] == ["protocol"]

    asyncio.run(run())
