"""securecc.channel.server: who gets in, in what order, and which sockets it listens on."""

import asyncio
import socket
import struct
import threading
import time
from typing import Any

import pytest

from securecc.channel import dialer, tls
from securecc.channel.connection_gate import ConnectionGate, ConnectionLimits
from securecc.channel.server import serve
from securecc.model import limits
from securecc.model.errors import AuthenticationError, ChannelError, Denied, PolicyError
from securecc.model.messages import (
    Ask,
)
from securecc.wire.framing import Kind, encode_frame
from tests.channel.loopback import (
    CONTEXT,
    Listener,
    LoopbackServer,
    dial,
    ends,
    grant_all,
    greeted,
    loopback,
    raw,
)
from tests.gss_stub import StubAcceptor, StubExchange, StubInitiator
from tests.waiting import CEILING_S


def test_the_judges_no_is_told_by_reference_only() -> None:
    async def authorise(principal: Any, peer: Any, indicators: Any) -> None:
        raise Denied("no rule matches", rule="rule-7")

    async def run() -> None:
        async with loopback(authorise=authorise) as some:
            with pytest.raises(Denied, match=r"alice@EXAMPLE\.COM is not admitted here") as refused:
                await dial(some.port)
            ((event, detail),) = some.noticed
            assert (event, detail["rule"], detail["principal"]) == ("denied", "rule-7", "alice@EXAMPLE.COM")
            assert detail["reference"] in str(refused.value)
            assert "rule" not in str(refused.value)
            assert some.channels == []

    asyncio.run(run())


def test_a_judge_in_trouble_refuses_alike() -> None:
    async def authorise(principal: Any, peer: Any, indicators: Any) -> None:
        raise PolicyError("no policy in force")

    async def run() -> None:
        async with loopback(authorise=authorise) as some:
            with pytest.raises(Denied, match=r"not admitted here"):
                await dial(some.port)
            assert [event for event, _ in some.noticed] == ["failed"]

    asyncio.run(run())


@pytest.mark.parametrize("facts", [{"bound": False}, {"mutual": False}, {"lifetime": -2.0}])
def test_an_incomplete_context_is_refused_in_words_that_tell_nothing(facts: Any) -> None:
    async def run() -> None:
        async with loopback(authenticator=lambda: StubAcceptor(**facts)) as some:
            with pytest.raises(AuthenticationError, match=r"refused: authentication failed; .*reference"):
                await dial(some.port)
            assert [event for event, _ in some.noticed] == ["authentication"]

    asyncio.run(run())


def test_a_skewed_client_learns_the_servers_clock() -> None:
    class Skewed(StubAcceptor):
        def start(self, exporter: bytes) -> StubExchange:
            exchange = super().start(exporter)
            exchange.before_step = self.fail
            exchange.skewed = True
            return exchange

        def fail(self) -> None:
            raise AuthenticationError("Clock skew too great")

    async def run() -> None:
        async with loopback(authenticator=Skewed) as some:
            with pytest.raises(
                AuthenticationError, match=r"clocks differ: the server's says \d{4}-.*Z; set the one .* \(NTP\)"
            ):
                await dial(some.port)

    asyncio.run(run())


def test_a_false_server_proves_nothing_and_gets_nothing() -> None:
    class Stranger(StubInitiator):
        def start(self, exporter: bytes) -> StubExchange:
            exchange = super().start(exporter)
            exchange.secret = b"another"
            return exchange

    async def run() -> None:
        async with loopback() as some:
            with pytest.raises(AuthenticationError, match="proof of this channel is wrong"):
                await dial(some.port, initiate=Stranger)
            assert some.channels == []

    asyncio.run(run())


def test_an_address_that_is_not_listed_gets_no_byte() -> None:
    async def run() -> None:
        async with loopback(gate=ConnectionGate(allowed=lambda address: False)) as some:
            reader, writer = await raw(some.port)
            assert await ends(reader) == b""
            writer.close()
            with pytest.raises(ChannelError, match="network list"):
                await dial(some.port)
            assert {event for event, _ in some.noticed} == {"acl"}

    asyncio.run(run())


def test_a_source_cannot_take_all_places() -> None:
    async def run() -> None:
        async with loopback(gate=ConnectionGate(connection_limits=ConnectionLimits(per_source=2))) as some:
            idle = [await raw(some.port) for _ in range(2)]
            with pytest.raises(ChannelError):
                await dial(some.port)
            await some.until_noticed("cap-source")
            for _, writer in idle:
                writer.close()
            await some.until_noticed("silent")
            async with greeted(some), greeted(some), greeted(some):  # the authenticated ones do not count
                pass

    asyncio.run(run())


def test_places_are_free_again_after_every_end() -> None:
    async def run() -> None:
        gate = ConnectionGate()
        async with loopback(gate=gate) as some:
            async with greeted(some):
                assert gate.total == 1
                assert gate.strangers.count == 0
            await some.fronts[0].until(lambda: some.fronts[0].lost)
            await asyncio.sleep(0)
            assert gate.total == 0

    asyncio.run(run())


def test_who_sends_nothing_ends_at_the_deadline() -> None:
    async def run() -> None:
        gate = ConnectionGate()
        async with loopback(gate=gate, deadline=0.2) as some:
            reader, writer = await raw(some.port)
            assert await ends(reader) == b""
            writer.close()
            assert [event for event, _ in some.noticed] == ["deadline"]
            assert gate.total == 0

    asyncio.run(run())


def test_who_sends_a_byte_now_and_then_ends_at_the_same_deadline() -> None:
    async def run() -> None:
        async with loopback(deadline=0.3) as some:
            reader, writer = await raw(some.port)
            began = time.monotonic()
            ending = asyncio.ensure_future(ends(reader))
            hello = tls.TlsPipe(tls.client_context(), server=False).take_outgoing()
            for byte in hello:
                if ending.done():
                    break
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.02)
            await ending
            assert time.monotonic() - began > 0.2
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("data", "event"),
    [(b"GET / HTTP/1.1\r\n\r\n", "tls"), (b"\x16\x03\x01" + bytes(600), "tls"), (b"SSH-2.0-x\r\n", "tls")],
)
def test_strangers_protocols_are_noticed_once(data: Any, event: str) -> None:
    async def run() -> None:
        async with loopback() as some:
            reader, writer = await raw(some.port)
            writer.write(data)
            await ends(reader)
            writer.close()
            assert [known for known, _ in some.noticed] == [event]
            assert "reference" in some.noticed[0][1]

    asyncio.run(run())


@pytest.mark.parametrize(
    "frame",
    [
        encode_frame(Kind.CONTROL, b"\x92"),
        encode_frame(Kind.BULK, b"x", job=1),
        struct.pack(">IBBHI", limits.PREAUTH_FRAME + 1, 1, 0, 0, 0),
        encode_frame(Kind.HANDSHAKE, b"\x02early proof"),
        encode_frame(Kind.HANDSHAKE, b""),
        bytes(12),
    ],
)
def test_only_tokens_are_legal_before_authentication(frame: Any) -> None:
    async def run() -> None:
        async with loopback() as some:
            link = await dialer.connect(tls.client_context(), "127.0.0.1", some.port)
            await link.secured()
            link.write(frame)
            with pytest.raises(ChannelError):
                await link.receive()
            assert [event for event, _ in some.noticed] == ["protocol"]

    asyncio.run(run())


def test_a_flood_before_authentication_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GSS_STEP_S", 0.3)
    release = threading.Event()

    class Slow(StubAcceptor):
        def start(self, exporter: bytes) -> StubExchange:
            exchange = super().start(exporter)
            exchange.before_step = lambda: release.wait(CEILING_S)
            return exchange

    async def run() -> None:
        async with loopback(authenticator=Slow) as some:
            link = await dialer.connect(tls.client_context(), "127.0.0.1", some.port)
            await link.secured()
            link.write(encode_frame(Kind.HANDSHAKE, b"\x01token"))
            for _ in range(10):
                link.write(encode_frame(Kind.HANDSHAKE, bytes(60_000)))
            with pytest.raises(ChannelError):
                await link.receive()
            await some.until_noticed("authentication")  # the step's own deadline

    asyncio.run(run())
    release.set()


def test_a_port_that_is_taken_is_explained() -> None:
    async def run() -> None:
        async with loopback() as some:
            with pytest.raises(ChannelError, match=f"port {some.port}: .*ss -ltnp"):
                await serve(
                    [("127.0.0.1", 0), ("127.0.0.1", some.port)],
                    gate=ConnectionGate(),
                    authenticator=StubAcceptor,
                    context=CONTEXT,
                    authorise=grant_all,
                    on_channel=some.on_channel,
                )

    asyncio.run(run())


def test_sockets_that_were_opened_for_us() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as given:
            some = LoopbackServer()
            server = await serve(
                [],
                gate=ConnectionGate(),
                authenticator=StubAcceptor,
                context=CONTEXT,
                authorise=grant_all,
                on_channel=some.on_channel,
                sockets=[given],
            )
            channel = await dial(given.getsockname()[1])
            channel.close()
            await channel.wait_closed()
            await server.close()
            some.channels[0].close()

    asyncio.run(run())


def test_a_socket_that_cannot_be_listened_on_is_explained() -> None:
    async def run(given: Any) -> None:
        await serve(
            [],
            gate=ConnectionGate(),
            authenticator=StubAcceptor,
            context=CONTEXT,
            authorise=grant_all,
            on_channel=LoopbackServer().on_channel,
            sockets=[given],
        )

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given,
        pytest.raises(ChannelError, match="socket that the service manager passed"),
    ):
        asyncio.run(run(given))


def test_a_server_that_stops_listening_keeps_its_channels() -> None:
    async def run() -> None:
        async with loopback() as some, greeted(some) as (client, front):
            some.server.stop_listening()
            client.channel.send(Ask(1, b"k", b"t"))
            await front.until(lambda: len(front.said) == 2)

    asyncio.run(run())


def test_a_front_that_fails_on_a_channel_leaves_no_place_taken() -> None:
    def on_channel(channel: Any) -> None:
        raise PolicyError("no audit, no channel")

    async def run() -> None:
        gate = ConnectionGate()
        async with loopback(gate=gate, on_channel=on_channel) as some:
            channel = await dial(some.port)
            client = Listener()
            channel.attach(client)
            await client.until(lambda: client.lost)
            await some.until_noticed("failed")
            async with asyncio.timeout(CEILING_S):
                while gate.total:  # noqa: ASYNC110 (a place that is left tells nobody)
                    await asyncio.sleep(0)

    asyncio.run(run())
