"""Whole channels over loopback, with a stub in the place of Kerberos: order, limits, deadlines, what listeners see."""

import asyncio
import os
import socket
import struct
import threading
import time
from contextlib import asynccontextmanager

import pytest

from securecc.channel import channel as channel_module
from securecc.channel import tls, transport
from securecc.channel import tls_connection as link_module
from securecc.channel.connection_gate import ConnectionGate, ConnectionLimits
from securecc.channel.transport import dial, serve
from securecc.model import limits
from securecc.model.errors import AuthenticationError, ChannelError, ConfigError, Denied, PolicyError, ProtocolError
from securecc.model.messages import (
    Ask,
    Cancel,
    Goodbye,
    Hello,
    Invite,
    Need,
    Output,
    Result,
    Submit,
    Supply,
    Terminal,
    Usage,
    Welcome,
)
from securecc.wire.framing import Kind, encode_frame
from tests.gss_stub import StubAcceptor, StubInitiator

CONTEXT = tls.server_context()


@pytest.fixture(autouse=True)
def _stub(monkeypatch):
    monkeypatch.setattr(transport, "Initiator", StubInitiator)


class Listener:
    def __init__(self, channel=None):
        self.channel = channel
        self.said = []
        self.lost = []
        self.news = asyncio.Event()

    def on_message(self, message):
        self.said.append(message)
        self.news.set()

    def on_bulk(self, job, data):
        self.said.append((job, data))
        self.news.set()

    def on_lost(self, error):
        self.lost.append(error)
        self.news.set()

    async def until(self, test):
        async with asyncio.timeout(5):
            while not test():
                self.news.clear()
                await self.news.wait()


async def grant_all(principal, peer, indicators):
    return ("grant", principal, peer[0], indicators)


class House:
    def __init__(self):
        self.channels, self.fronts, self.noticed = [], [], []
        self.event = asyncio.Event()

    def on_channel(self, channel):
        self.channels.append(channel)
        self.fronts.append(Listener(channel))
        return self.fronts[-1]

    def notice(self, event, peer, detail):
        self.noticed.append((event, detail))
        self.event.set()

    async def until_noticed(self, event):
        async with asyncio.timeout(5):
            while event not in [known for known, _ in self.noticed]:
                self.event.clear()
                await self.event.wait()


@asynccontextmanager
async def house(**changes):
    some = House()
    settings = {
        "gate": ConnectionGate(),
        "acceptor": StubAcceptor,
        "context": CONTEXT,
        "judge": grant_all,
        "on_channel": some.on_channel,
        "notice": some.notice,
        **changes,
    }
    server = await serve([("127.0.0.1", 0)], **settings)
    some.port = server.addresses[0][1]
    some.server = server
    try:
        yield some
    finally:
        await server.close()
        for channel in some.channels:
            channel.close()
            await channel.wait_closed()


@asynccontextmanager
async def joined(some):
    """A greeted channel: the client's listener and the server's."""
    channel = await dial("127.0.0.1", some.port)
    client = Listener(channel)
    channel.attach(client)
    channel.send(Hello((1,), "test"))
    front = some.fronts[-1]
    await front.until(lambda: front.said)
    front.channel.send(Welcome(1, "test", "alice", "ref", 1, ()))
    await client.until(lambda: client.said)
    try:
        yield client, front
    finally:
        channel.close()
        await channel.wait_closed()


def submit(job):
    return Submit(job, b"t", (b"gcc",), b"/", {}, 0o22, Terminal(), b"m")


def test_a_job_from_asking_to_its_last_byte():
    async def run():
        async with house() as some, joined(some) as (client, front):
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
            got = lambda listener: b"".join(item[1] for item in listener.said if isinstance(item, tuple))  # noqa: E731
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


# --- who gets in ------------------------------------------------------------------------------------------------


def test_the_judges_no_is_told_by_reference_only():
    async def judge(principal, peer, indicators):
        raise Denied("no rule matches", rule="rule-7")

    async def run():
        async with house(judge=judge) as some:
            with pytest.raises(Denied, match=r"alice@EXAMPLE\.COM is not admitted here") as refused:
                await dial("127.0.0.1", some.port)
            ((event, detail),) = some.noticed
            assert (event, detail["rule"], detail["principal"]) == ("denied", "rule-7", "alice@EXAMPLE.COM")
            assert detail["reference"] in str(refused.value)
            assert "rule" not in str(refused.value)
            assert some.channels == []

    asyncio.run(run())


def test_a_judge_in_trouble_refuses_alike():
    async def judge(principal, peer, indicators):
        raise PolicyError("no policy in force")

    async def run():
        async with house(judge=judge) as some:
            with pytest.raises(Denied, match=r"not admitted here"):
                await dial("127.0.0.1", some.port)
            assert [event for event, _ in some.noticed] == ["failed"]

    asyncio.run(run())


@pytest.mark.parametrize("facts", [{"bound": False}, {"mutual": False}, {"lifetime": -2.0}])
def test_an_incomplete_context_is_refused_in_words_that_tell_nothing(facts):
    async def run():
        async with house(acceptor=lambda: StubAcceptor(**facts)) as some:
            with pytest.raises(AuthenticationError, match=r"refused: authentication failed; .*reference"):
                await dial("127.0.0.1", some.port)
            assert [event for event, _ in some.noticed] == ["authentication"]

    asyncio.run(run())


def test_a_skewed_client_learns_the_servers_clock():
    class Skewed(StubAcceptor):
        def start(self, exporter):
            exchange = super().start(exporter)
            exchange.step = self.fail
            exchange.skewed = True
            return exchange

        def fail(self, token):
            raise AuthenticationError("Clock skew too great")

    async def run():
        async with house(acceptor=Skewed) as some:
            with pytest.raises(
                AuthenticationError, match=r"clocks differ: the server's says \d{4}-.*Z; set the one .* \(NTP\)"
            ):
                await dial("127.0.0.1", some.port)

    asyncio.run(run())


def test_a_false_server_proves_nothing_and_gets_nothing(monkeypatch):
    class Stranger(StubInitiator):
        def start(self, exporter):
            exchange = super().start(exporter)
            exchange.secret = b"another"
            return exchange

    async def run():
        monkeypatch.setattr(transport, "Initiator", Stranger)
        async with house() as some:
            with pytest.raises(AuthenticationError, match="proof of this channel is wrong"):
                await dial("127.0.0.1", some.port)
            assert some.channels == []

    asyncio.run(run())


async def raw(port):
    return await asyncio.open_connection("127.0.0.1", port)


async def ends(reader):
    """Whatever comes, until the end of it."""
    try:
        async with asyncio.timeout(5):
            return await reader.read(-1)
    except ConnectionResetError:
        return b""


def test_an_address_that_is_not_listed_gets_no_byte():
    async def run():
        async with house(gate=ConnectionGate(allowed=lambda address: False)) as some:
            reader, writer = await raw(some.port)
            assert await ends(reader) == b""
            writer.close()
            with pytest.raises(ChannelError, match="network list"):
                await dial("127.0.0.1", some.port)
            assert {event for event, _ in some.noticed} == {"acl"}

    asyncio.run(run())


def test_a_source_cannot_take_all_places():
    async def run():
        async with house(gate=ConnectionGate(places=ConnectionLimits(per_source=2))) as some:
            idle = [await raw(some.port) for _ in range(2)]
            with pytest.raises(ChannelError):
                await dial("127.0.0.1", some.port)
            await some.until_noticed("cap-source")
            for _, writer in idle:
                writer.close()
            await some.until_noticed("silent")
            async with joined(some), joined(some), joined(some):  # the authenticated ones do not count
                pass

    asyncio.run(run())


def test_places_are_free_again_after_every_end():
    async def run():
        gate = ConnectionGate()
        async with house(gate=gate) as some:
            async with joined(some):
                assert gate._total == 1
                assert gate._strangers.count == 0
            await some.fronts[0].until(lambda: some.fronts[0].lost)
            await asyncio.sleep(0)
            assert gate._total == 0

    asyncio.run(run())


def test_who_sends_nothing_ends_at_the_deadline():
    async def run():
        gate = ConnectionGate()
        async with house(gate=gate, deadline=0.2) as some:
            reader, writer = await raw(some.port)
            began = time.monotonic()
            assert await ends(reader) == b""
            assert time.monotonic() - began < 1
            writer.close()
            assert [event for event, _ in some.noticed] == ["deadline"]
            assert gate._total == 0

    asyncio.run(run())


def test_who_sends_a_byte_now_and_then_ends_at_the_same_deadline():
    async def run():
        async with house(deadline=0.3) as some:
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
            assert 0.2 < time.monotonic() - began < 1
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("data", "event"),
    [(b"GET / HTTP/1.1\r\n\r\n", "tls"), (b"\x16\x03\x01" + bytes(600), "tls"), (b"SSH-2.0-x\r\n", "tls")],
)
def test_strangers_protocols_are_noticed_once(data, event):
    async def run():
        async with house() as some:
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
def test_only_tokens_are_legal_before_authentication(frame):
    async def run():
        async with house() as some:
            link = await transport._connect(tls.client_context(), "127.0.0.1", some.port)
            await link.secured()
            link.write(frame)
            with pytest.raises(ChannelError):
                await link.receive()
            assert [event for event, _ in some.noticed] == ["protocol"]

    asyncio.run(run())


def test_a_flood_before_authentication_is_cut(monkeypatch):
    monkeypatch.setattr(limits, "GSS_STEP_S", 0.3)
    release = threading.Event()

    class Slow(StubAcceptor):
        def start(self, exporter):
            exchange = super().start(exporter)
            exchange.step = lambda token: release.wait(5)
            return exchange

    async def run():
        async with house(acceptor=Slow) as some:
            link = await transport._connect(tls.client_context(), "127.0.0.1", some.port)
            await link.secured()
            link.write(encode_frame(Kind.HANDSHAKE, b"\x01token"))
            for _ in range(10):
                link.write(encode_frame(Kind.HANDSHAKE, bytes(60_000)))
            with pytest.raises(ChannelError):
                await link.receive()
            await some.until_noticed("authentication")  # the step's own deadline

    asyncio.run(run())
    release.set()


# --- what ends a channel ----------------------------------------------------------------------------------------


def test_an_illegal_message_ends_the_channel_with_a_reason_on_both_sides():
    async def run():
        async with house() as some, joined(some) as (client, front):
            client.channel._link.write(channel_module.encode_control(Cancel(9)))
            await front.until(lambda: front.lost)
            assert isinstance(front.lost[0], ProtocolError)
            await client.until(lambda: client.lost)
            assert isinstance(client.said[-1], Goodbye)
            assert client.said[-1].code == "protocol"
            assert "never asked for" in str(client.lost[0])
            assert len(front.lost) == len(client.lost) == 1

    asyncio.run(run())


@pytest.mark.parametrize("flood", [0, 8 << 20])
def test_bytes_that_are_no_frame_end_the_channel_with_a_reason(flood):
    async def run():
        async with house() as some, joined(some) as (client, front):
            client.channel._link.write(bytes(12) + os.urandom(flood))
            await client.until(lambda: client.lost)
            assert [(said.code, said.reason) for said in client.said if isinstance(said, Goodbye)] == [
                ("protocol", "a frame of kind 0 is not legal here")
            ]
            await front.until(lambda: front.lost)
            assert isinstance(front.lost[0], ProtocolError)
            assert len(front.lost) == 1

    asyncio.run(run())


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("x"), KeyError("y"), ConfigError("z")])
def test_what_a_listener_raises_is_heard_of(error):
    async def run():
        async with house() as some, joined(some) as (client, front):

            def fail(message):
                raise error

            front.on_message = fail
            client.channel.send(Ask(1, b"k", b"t"))
            await front.until(lambda: front.lost)
            lost = front.lost[0]
            assert lost is error or lost.__cause__ is error
            await client.until(lambda: client.lost)

    asyncio.run(run())


def test_nothing_is_delivered_after_the_end():
    async def run():
        async with house() as some, joined(some) as (client, front):
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


def test_a_goodbye_reaches_the_other_side_whole():
    async def run():
        async with house() as some, joined(some) as (client, front):
            front.channel.close(Goodbye("draining", "the server stops", "ref"))
            await client.until(lambda: client.lost)
            assert client.said[-1] == Goodbye("draining", "the server stops", "ref")
            assert "the server stops (reference ref)" in str(client.lost[0])

    asyncio.run(run())


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_peer_that_goes_is_noticed_at_once(how):
    async def run():
        async with house() as some, joined(some) as (client, front):
            sock = client.channel._link._transport.get_extra_info("socket")
            began = time.monotonic()
            if how == "rst":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.channel._link._transport.abort()
            else:
                sock.shutdown(socket.SHUT_WR)
            await front.until(lambda: front.lost)
            assert time.monotonic() - began < 0.5

    asyncio.run(run())


def test_silence_is_broken_by_pings_and_ends_in_a_loss(monkeypatch):
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(limits, "HEARTBEAT_LOST_S", 0.2)

    async def run():
        async with house() as some, joined(some) as (client, front):
            await asyncio.sleep(0.5)  # many times the limit: the pings keep it alive
            assert not client.lost
            assert not front.lost
            client.channel._beat.cancel()
            client.channel._link._transport.pause_reading()  # a process that was stopped
            await front.until(lambda: front.lost)
            assert "nothing heard" in str(front.lost[0])

    asyncio.run(run())


def test_a_slow_reader_is_cut_off_and_drain_waits(monkeypatch):
    monkeypatch.setattr(limits, "SEND_BACKLOG", 4 * limits.MIB)
    noise = os.urandom(limits.FRAME_BULK)

    async def run():
        async with house() as some, joined(some) as (client, front):
            front.channel._link._transport.pause_reading()
            client.channel.send(Ask(1, b"k", b"t"))
            for message in (Invite(1, 250), submit(1), Need(1, False, (0,)), Supply(1)):
                client.channel.session.passed(message)
            while not client.channel._link.room.crowded:
                client.channel.send_bulk(1, noise)
            waiting = asyncio.ensure_future(client.channel.drain())
            await asyncio.sleep(0)
            for _ in range(80):
                client.channel.send_bulk(1, noise)
            assert "does not read" in str(client.channel._link.error)
            with pytest.raises(ChannelError, match="does not read"):
                await waiting

    asyncio.run(run())


def test_messages_of_one_turn_are_one_write(monkeypatch):
    async def run():
        async with house() as some, joined(some) as (client, front):
            sends = []
            pipe = client.channel._link._pipe
            real = pipe._connection.sendall
            monkeypatch.setattr(pipe._connection, "sendall", lambda data: (sends.append(len(data)), real(data)))
            for job in range(1, 51):
                client.channel.send(Ask(job, b"k", b"t"))
            await front.until(lambda: len(front.said) == 51)
            assert len(sends) == 1

    asyncio.run(run())


# --- doors ------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_explained():
    async def run():
        async with house() as some:
            with pytest.raises(ChannelError, match=f"port {some.port}: .*ss -ltnp"):
                await serve(
                    [("127.0.0.1", 0), ("127.0.0.1", some.port)],
                    gate=ConnectionGate(),
                    acceptor=StubAcceptor,
                    context=CONTEXT,
                    judge=grant_all,
                    on_channel=some.on_channel,
                )

    asyncio.run(run())


def test_sockets_that_were_opened_for_us():
    async def run():
        with socket.create_server(("127.0.0.1", 0)) as given:
            some = House()
            server = await serve(
                [],
                gate=ConnectionGate(),
                acceptor=StubAcceptor,
                context=CONTEXT,
                judge=grant_all,
                on_channel=some.on_channel,
                sockets=[given],
            )
            channel = await dial("127.0.0.1", given.getsockname()[1])
            channel.close()
            await channel.wait_closed()
            await server.close()
            some.channels[0].close()

    asyncio.run(run())


def test_a_socket_that_cannot_be_listened_on_is_explained():
    async def run(given):
        await serve(
            [],
            gate=ConnectionGate(),
            acceptor=StubAcceptor,
            context=CONTEXT,
            judge=grant_all,
            on_channel=House().on_channel,
            sockets=[given],
        )

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given,
        pytest.raises(ChannelError, match="a socket that was opened for us"),
    ):
        asyncio.run(run(given))


def test_nobody_there_is_explained():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ChannelError, match=r"cannot connect to 127.0.0.1.*secureccd runs"):
            asyncio.run(dial("127.0.0.1", sock.getsockname()[1]))


def test_a_server_that_says_nothing_ends_the_client_at_its_deadline():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        began = time.monotonic()
        with pytest.raises(ChannelError, match=r"within 0\.2 s"):
            asyncio.run(dial("127.0.0.1", sock.getsockname()[1], deadline=0.2))
        assert time.monotonic() - began < 1


@asynccontextmanager
async def silence(port):
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


def test_an_address_that_is_silent_leaves_time_for_the_next(monkeypatch):
    async def run():
        async with house() as some, silence(some.port) as silent:
            addresses = [silent, "127.0.0.1"]

            async def resolve(*_):
                return addresses

            monkeypatch.setattr(transport, "_resolve", resolve)
            channel = await dial("localhost", some.port, deadline=2.0)
            assert channel.peer[0] == "127.0.0.1"
            channel.close()
            await channel.wait_closed()
            del addresses[1]
            with pytest.raises(ChannelError, match="Connection timed out"):
                await transport._connect(tls.client_context(), "localhost", some.port, 0.1)

    asyncio.run(run())


def test_a_server_that_stops_listening_keeps_its_channels():
    async def run():
        async with house() as some, joined(some) as (client, front):
            some.server.stop_listening()
            client.channel.send(Ask(1, b"k", b"t"))
            await front.until(lambda: len(front.said) == 2)

    asyncio.run(run())


def test_reading_waits_for_a_listener():
    async def run():
        async with house() as some:
            channel = await dial("127.0.0.1", some.port)
            some.channels[0].send(Goodbye("draining", "early", "ref"))
            await asyncio.sleep(0.05)
            client = Listener()
            channel.attach(client)
            await client.until(lambda: client.said)
            assert client.said[0].reason == "early"
            channel.close()
            await channel.wait_closed()

    asyncio.run(run())


def test_a_name_that_is_none_is_explained():
    with pytest.raises(ChannelError, match=r"cannot find no-such-host.invalid: .*check the host's name"):
        asyncio.run(dial("no-such-host.invalid", 3643))


def test_a_host_with_several_addresses_is_reached_by_the_one_that_answers(monkeypatch):
    def resolve(host, port, **_):
        return [(0, 0, 0, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    async def run():
        async with house() as some:
            monkeypatch.setattr(transport.socket, "getaddrinfo", resolve)
            channel = await dial("farm.example.com", some.port)
            assert channel.peer[0] == "127.0.0.1"
            channel.close()
            await channel.wait_closed()

    asyncio.run(run())


def test_idle_links_hold_no_buffer_of_their_own():
    async def run():
        first, second = (link_module.TlsConnection(tls.TlsPipe(CONTEXT, server=True)) for _ in range(2))
        assert first.get_buffer(-1) is second.get_buffer(-1)

    asyncio.run(run())


def test_a_front_that_fails_on_a_channel_leaves_no_place_taken():
    def on_channel(channel):
        raise PolicyError("no audit, no channel")

    async def run():
        gate = ConnectionGate()
        async with house(gate=gate, on_channel=on_channel) as some:
            channel = await dial("127.0.0.1", some.port)
            client = Listener()
            channel.attach(client)
            await client.until(lambda: client.lost)
            await some.until_noticed("failed")
            async with asyncio.timeout(5):
                while gate._total:  # noqa: ASYNC110 (a place that is left tells nobody)
                    await asyncio.sleep(0)

    asyncio.run(run())
