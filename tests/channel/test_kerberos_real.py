"""The truth table of authentication, against a real KDC."""

import asyncio
import os
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import gssapi
import pytest
from gssapi.raw import ChannelBindings

from securecc.channel import dialer, kerberos, tls
from securecc.channel.channel import Channel
from securecc.channel.connection_gate import ConnectionGate
from securecc.channel.dialer import dial
from securecc.channel.kerberos import Acceptor, Initiator, check_keytab, clock_skew, credentials
from securecc.channel.server import serve
from securecc.model import limits
from securecc.model.errors import AuthenticationError, ChannelError, CredentialError, Denied
from securecc.model.messages import Ask, Hello, Refuse, Welcome
from securecc.wire import handshake, server_stages
from securecc.wire.framing import Kind, encode_frame
from tests.middle_stub import Liar, Relay, frames_of
from tests.waiting import until

FLAG = gssapi.RequirementFlag
KRB5 = gssapi.MechType.kerberos
EXPORTER = b"\x01" * 32
ALL = FLAG.mutual_authentication | FLAG.replay_detection | FLAG.integrity | FLAG.confidentiality


def initiate(
    realm: Any,
    *,
    bindings: Any = EXPORTER,
    flags: Any = ALL,
    mech: Any = KRB5,
    name: str = "securecc/localhost@",
    ccache: Any = None,
) -> Any:
    """A context as an attacker may make it, with any flags and bindings."""
    creds = gssapi.Credentials(usage="initiate", store={"ccache": ccache or realm.ticket("alice")})
    given = None if bindings is None else ChannelBindings(application_data=handshake.binding(bindings))
    return gssapi.SecurityContext(
        name=gssapi.Name(name, gssapi.NameType.kerberos_principal),
        creds=creds,
        mech=mech,
        flags=flags,
        channel_bindings=given,
        usage="initiate",
    )


@pytest.fixture
def acceptor(realm: Any, tmp_path: Path) -> Any:
    return Acceptor(realm.keytab, replay_cache=str(tmp_path / "rcache"))


def judge_token(acceptor: Any, token: Any) -> Any:
    """What the server makes of a token: the handshake's own next stage."""
    wanted = server_stages.AwaitToken(EXPORTER).receive(bytes((handshake.Step.TOKEN,)) + token)
    reply, facts = acceptor.start(EXPORTER).step(wanted.token)
    return wanted.stepped(reply, facts)[0]


def test_right_bindings_are_accepted(realm: Any, acceptor: Any) -> None:
    stage = judge_token(acceptor, initiate(realm).step())
    assert isinstance(stage, server_stages.Established)
    assert stage.facts.principal == b"alice@EXAMPLE.COM"
    assert stage.facts.bound
    assert 86000 < stage.facts.lifetime <= 86400  # the ticket's, without MIT's 300 s
    assert stage.facts.indicators == ()


def test_the_kdcs_indicators_are_seen(realm: Any, acceptor: Any) -> None:
    stage = judge_token(acceptor, initiate(realm, ccache=realm.armoured_ticket("bob")).step())
    assert stage.facts.indicators == ("armoured",)


def test_our_own_initiator_is_accepted_and_both_prove_the_channel(realm: Any, acceptor: Any) -> None:
    ours = Initiator("securecc@localhost", realm.ticket("alice")).start(EXPORTER)
    theirs = acceptor.start(EXPORTER)
    token, facts = ours.step(None)
    assert facts is None
    reply, accepted = theirs.step(token)
    assert accepted.mutual
    assert accepted.replay
    last, facts = ours.step(reply)
    assert last is None
    assert facts is not None
    assert facts.principal.startswith(b"securecc/localhost@")
    assert facts.lifetime > 86000
    assert theirs.verify(b"label" + EXPORTER, ours.mic(b"label" + EXPORTER))
    assert not theirs.verify(b"label" + EXPORTER, ours.mic(b"other" + EXPORTER))
    assert not theirs.verify(b"label" + EXPORTER, b"garbage")


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "no bindings": ({"bindings": None}, "not bound to this channel"),
    "wrong bindings": ({"bindings": b"\x02" * 32}, "channel bindings"),
    "no mutual": ({"flags": FLAG.replay_detection | FLAG.integrity | FLAG.confidentiality}, "mutual"),
    "no replay detection": ({"flags": ALL & ~FLAG.replay_detection}, "replay"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_must_be_refused(realm: Any, acceptor: Any, case: Any) -> None:
    changes, words = CASES[case]
    token = initiate(realm, **changes).step()
    with pytest.raises(AuthenticationError, match=words):
        judge_token(acceptor, token)


def test_dce_style_is_refused(realm: Any, acceptor: Any) -> None:
    token = initiate(realm, flags=ALL | FLAG.dce_style).step()
    try:
        stage = judge_token(acceptor, token)
    except AuthenticationError:
        return
    assert isinstance(stage, server_stages.AwaitToken)  # a third leg is due: no facts were read before it


def test_dce_style_is_refused_after_its_third_leg(realm: Any, acceptor: Any) -> None:
    context = initiate(realm, flags=ALL | FLAG.dce_style)
    exchange = acceptor.start(EXPORTER)
    reply, facts = exchange.step(context.step())
    assert facts is None
    wanted = server_stages.AwaitToken(EXPORTER, 1).receive(b"\x01" + context.step(reply))
    last, facts = exchange.step(wanted.token)
    assert facts is not None
    with pytest.raises(AuthenticationError):
        wanted.stepped(last, facts)


def test_spnego_is_refused(realm: Any, acceptor: Any) -> None:
    spnego = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
    token = initiate(realm, mech=spnego).step()
    with pytest.raises(AuthenticationError):
        judge_token(acceptor, token)


def test_a_replayed_token_is_refused(realm: Any, acceptor: Any) -> None:
    token = initiate(realm).step()
    judge_token(acceptor, token)
    with pytest.raises(AuthenticationError, match="replay"):
        judge_token(acceptor, token)


def test_a_replayed_token_is_refused_by_a_restarted_server(realm: Any, acceptor: Any, tmp_path: Path) -> None:
    token = initiate(realm).step()
    judge_token(acceptor, token)
    with pytest.raises(AuthenticationError, match="replay"):
        judge_token(Acceptor(realm.keytab, replay_cache=str(tmp_path / "rcache")), token)


def test_another_services_ticket_is_refused_though_its_key_is_in_the_keytab(realm: Any, tmp_path: Path) -> None:
    merged = str(tmp_path / "merged")
    realm.kdc.extract_keytab("securecc/localhost@EXAMPLE.COM", merged)
    realm.add_service("host/localhost", merged)
    acceptor = Acceptor(merged, replay_cache=str(tmp_path / "rcache"))
    judge_token(acceptor, initiate(realm).step())
    with pytest.raises(AuthenticationError):
        judge_token(acceptor, initiate(realm, name="host/localhost@").step())


def test_another_host_of_the_service_in_the_keytab_will_do(realm: Any, tmp_path: Path) -> None:
    merged = str(tmp_path / "alias")
    realm.kdc.extract_keytab("securecc/localhost@EXAMPLE.COM", merged)
    realm.add_service("securecc/farm.example.com", merged)
    acceptor = Acceptor(merged, replay_cache=str(tmp_path / "rcache"))
    assert judge_token(acceptor, initiate(realm, name="securecc/farm.example.com@").step()).facts.bound


def test_but_not_where_the_host_is_named(realm: Any, tmp_path: Path) -> None:
    merged = str(tmp_path / "alias")
    realm.kdc.extract_keytab("securecc/localhost@EXAMPLE.COM", merged)
    realm.add_service("securecc/farm2.example.com", merged)
    acceptor = Acceptor(merged, "securecc/localhost", replay_cache=str(tmp_path / "rcache"))
    assert judge_token(acceptor, initiate(realm).step()).facts.bound
    with pytest.raises(AuthenticationError):
        judge_token(acceptor, initiate(realm, name="securecc/farm2.example.com@").step())
    with pytest.raises(
        CredentialError, match=r"no usable keys of service securecc/farm9.*farm9\.example\.com@EXAMPLE\.COM"
    ):
        check_keytab(merged, "securecc/farm9.example.com")


def test_a_host_of_another_realm_than_the_machines_own(
    realm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the service alone it is taken; a host that is named, in the machine's own realm or in the one that is said."""
    other = tmp_path / "other.conf"
    other.write_text(Path(os.environ["KRB5_CONFIG"]).read_text().replace("= EXAMPLE.COM", "= OTHER.ORG", 1))
    monkeypatch.setenv("KRB5_CONFIG", str(other))
    whole, cache = "securecc/localhost@EXAMPLE.COM", realm.ticket("alice")
    for number, service in enumerate(("securecc", whole)):
        acceptor = Acceptor(realm.keytab, service, replay_cache=str(tmp_path / f"rcache{number}"))
        assert judge_token(acceptor, initiate(realm, name=whole, ccache=cache).step()).facts.bound
    with pytest.raises(CredentialError, match=r"no usable keys of service securecc/localhost: .*localhost@OTHER\.ORG"):
        check_keytab(realm.keytab, "securecc/localhost")


@pytest.mark.parametrize("token", [b"\x60\x03\x02\x01\x00", b"garbage", b"NTLMSSP\0" + bytes(30)])
def test_garbage_is_refused(realm: Any, acceptor: Any, token: Any) -> None:
    with pytest.raises(AuthenticationError):
        judge_token(acceptor, token)


def wait_until_expired(ccache: Any) -> Any:
    def error() -> Any:
        try:
            credentials(ccache)
        except CredentialError as error:
            return error
        return None

    return until(error, what="the ticket's end")


def test_a_ticket_that_has_ended_is_refused_though_within_the_skew(realm: Any, acceptor: Any) -> None:
    ccache = realm.ticket("alice", "-l", "4s")
    token = initiate(realm, ccache=ccache).step()
    error = wait_until_expired(ccache)
    assert "expired" in error.message
    assert error.advice == "run kinit"
    with pytest.raises(AuthenticationError, match="lifetime"):
        judge_token(acceptor, token)
    with pytest.raises(CredentialError, match=r"expired.*run kinit"):
        Initiator("securecc@localhost", ccache).start(EXPORTER).step(None)


@pytest.fixture
def skewed(realm: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes a krb5.conf as the realm's with more in it the one in force."""

    def put(line: Any) -> None:
        text = Path(realm.kdc.env["KRB5_CONFIG"]).read_text()
        changed = tmp_path / "krb5.conf"
        changed.write_text(text.replace("[libdefaults]", f"[libdefaults]\n    {line}"))
        monkeypatch.setenv("KRB5_CONFIG", str(changed))

    return put


@pytest.mark.parametrize(
    ("line", "seconds"),
    [("clockskew = 3", 3), ("clockskew = 900", 900), ("", 300), ("clockskew = much", 300), ("}", 300)],
)
def test_the_skew_is_what_krb5_conf_says(skewed: Any, line: Any, seconds: float) -> None:
    skewed(line)
    assert clock_skew() == seconds


@pytest.mark.parametrize("seconds", [3, 300, 900])
def test_a_channel_ends_with_its_ticket_whatever_the_skew(
    realm: Any, acceptor: Any, skewed: Any, seconds: float
) -> None:
    """MIT's acceptor adds the skew; less or more of it taken off again ends channels early, or lets them live on."""
    skewed(f"clockskew = {seconds}")
    stage = judge_token(acceptor, initiate(realm, ccache=realm.ticket("alice", "-l", "100s")).step())
    assert 90 < stage.facts.lifetime <= 100


def test_where_the_library_cannot_be_asked_the_skew_is_its_default(
    skewed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    skewed("clockskew = 3")
    monkeypatch.setattr(kerberos, "_LIBRARY", "libkrb5-that-is-not-there.so")
    assert clock_skew() == limits.CLOCK_SKEW_S


def test_missing_tickets_are_explained(realm: Any) -> None:
    with pytest.raises(CredentialError, match="run kinit"):
        credentials()
    with pytest.raises(CredentialError, match="run kinit"):
        Initiator("securecc@localhost").start(EXPORTER).step(None)


def test_damaged_cache_is_explained(realm: Any, tmp_path: Path) -> None:
    (tmp_path / "cc").write_bytes(b"junk")
    with pytest.raises(CredentialError, match="run kinit"):
        credentials(str(tmp_path / "cc"))


def test_whose_tickets_and_how_long(realm: Any) -> None:
    principal, lifetime = credentials(realm.ticket("bob"))
    assert principal == b"bob@EXAMPLE.COM"
    assert 86000 < lifetime <= 86400


def test_unknown_service_names_the_principal_that_was_tried(realm: Any) -> None:
    exchange = Initiator("securecc@nowhere.example.com", realm.ticket("alice")).start(EXPORTER)
    with pytest.raises(CredentialError, match=r"securecc/nowhere\.example\.com.*administrator"):
        exchange.step(None)


def test_a_whole_principal_may_be_given(realm: Any, acceptor: Any) -> None:
    exchange = Initiator("securecc/localhost@EXAMPLE.COM", realm.ticket("alice")).start(EXPORTER)
    assert judge_token(acceptor, exchange.step(None)[0]).facts.bound


def _shift_clock(ccache: str, seconds: int) -> None:
    """Sets the cache's offset to the KDC's clock, which the library adds to its own (file format version 4)."""
    data = Path(ccache).read_bytes()
    assert data[:2] == b"\x05\x04"
    (length,) = struct.unpack_from(">H", data, 2)
    offset = struct.pack(">HHii", 1, 8, seconds, 0)
    Path(ccache).write_bytes(data[:2] + struct.pack(">H", len(offset)) + offset + data[4 + length :])


def test_clock_skew_is_known_as_such(realm: Any, acceptor: Any) -> None:
    ccache = realm.ticket("alice")
    token = initiate(realm, ccache=ccache).step()  # the service ticket is in the cache now
    _shift_clock(ccache, 4000)
    token = initiate(realm, ccache=ccache).step()
    exchange = acceptor.start(EXPORTER)
    with pytest.raises(AuthenticationError, match=r"[Cc]lock skew"):
        exchange.step(token)
    assert exchange.skewed


# --- keytabs ----------------------------------------------------------------------------------------------------


def test_a_good_keytab(realm: Any) -> None:
    check_keytab(realm.keytab)


def test_bad_keytabs_are_explained(realm: Any, tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=r"cannot read.*kadmin ktadd"):
        check_keytab(str(tmp_path / "none"))
    with pytest.raises(CredentialError, match="cannot read"):
        check_keytab(str(tmp_path))
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk")
    junk.chmod(0o600)
    with pytest.raises(CredentialError, match="klist -k"):
        check_keytab(str(junk))
    with pytest.raises(CredentialError, match="service smtp"):
        check_keytab(realm.keytab, "smtp")
    with pytest.raises(CredentialError, match="service smtp"):
        Acceptor(realm.keytab, "smtp")


def test_a_world_readable_keytab_is_refused(realm: Any, tmp_path: Path) -> None:
    copy = tmp_path / "open"
    copy.write_bytes(Path(realm.keytab).read_bytes())
    copy.chmod(0o644)
    with pytest.raises(CredentialError, match=r"0644.*chmod 0400"):
        check_keytab(str(copy))
    copy.chmod(0o640)
    check_keytab(str(copy))


def test_a_replaced_keytab_is_read_again(realm: Any, tmp_path: Path) -> None:
    path = tmp_path / "keytab"
    realm.add_service("securecc/rolled", str(path))
    acceptor = Acceptor(str(path), replay_cache=str(tmp_path / "rcache"))
    judge_token(acceptor, initiate(realm, name="securecc/rolled@").step())
    realm.kdc.run_kadminl("change_password -randkey securecc/rolled@EXAMPLE.COM")
    fresh = tmp_path / "fresh"
    realm.kdc.extract_keytab("securecc/rolled@EXAMPLE.COM", str(fresh))
    token = initiate(realm, name="securecc/rolled@").step()
    with pytest.raises(AuthenticationError):
        judge_token(acceptor, token)
    fresh.rename(path)
    judge_token(acceptor, initiate(realm, name="securecc/rolled@").step())


# --- whole channels ---------------------------------------------------------------------------------------------


class Front:
    def __init__(self, channel: Any, log: Any) -> None:
        self.channel, self.log = channel, log

    def on_message(self, message: Any) -> None:
        self.log.append(message)
        if isinstance(message, Hello):
            self.channel.send(Welcome(1, "test", "alice", self.channel.reference, 1, ()))
        elif isinstance(message, Ask):
            self.channel.send(Refuse(message.job, "busy", "a test"))

    def on_bulk(self, job: int, data: Any) -> None:
        raise AssertionError

    def on_lost(self, error: Any) -> None:
        self.log.append(error)


class Client:
    def __init__(self) -> None:
        self.messages: asyncio.Queue[Any] = asyncio.Queue()

    def on_message(self, message: Any) -> None:
        self.messages.put_nowait(message)

    def on_bulk(self, job: int, data: Any) -> None:
        raise AssertionError

    def on_lost(self, error: Any) -> None:
        self.messages.put_nowait(error)


async def only_alice(principal: Any, peer: Any, indicators: Any) -> Any:
    if principal != b"alice@EXAMPLE.COM":
        raise Denied("nothing matches", rule="default")
    return "granted"


@asynccontextmanager
async def server(acceptor: Any, **changes: Any) -> AsyncIterator[Any]:
    """Yields port, what was heard and what was noticed."""
    heard: list[Any] = []
    noticed: list[Any] = []
    channels: list[Channel] = []

    def on_channel(channel: Any) -> Any:
        channels.append(channel)
        return Front(channel, heard)

    settings = {
        "gate": ConnectionGate(),
        "authenticator": lambda: acceptor,
        "context": tls.server_context(),
        "authorise": only_alice,
        "on_channel": on_channel,
        "on_event": lambda event, _peer, detail: noticed.append((event, detail)),
        **changes,
    }
    house = await serve([("127.0.0.1", 0)], **settings)
    try:
        yield house.addresses[0][1], heard, noticed
    finally:
        await house.close()
        for channel in channels:
            channel.close()
            await channel.wait_closed()


def test_alice_is_admitted_and_speaks(realm: Any, acceptor: Any) -> None:
    async def run() -> None:
        async with server(acceptor) as (port, heard, noticed):
            channel = await dial("127.0.0.1", port, "securecc@localhost", realm.ticket("alice"))
            assert channel.principal == b"alice@EXAMPLE.COM"
            client = Client()
            channel.attach(client)
            channel.send(Hello((1,), "test"))
            welcome = await client.messages.get()
            assert welcome.reference == channel.reference
            channel.send(Ask(1, b"k", b"t"))
            assert await client.messages.get() == Refuse(1, "busy", "a test")
            channel.close()
            assert isinstance(await client.messages.get(), ChannelError)
            assert [type(message) for message in heard[:2]] == [Hello, Ask]
            assert noticed == []

    asyncio.run(run())


def test_mallory_is_denied_with_a_reference(realm: Any, acceptor: Any) -> None:
    async def run() -> None:
        async with server(acceptor) as (port, heard, noticed):
            with pytest.raises(Denied, match=r"mallory@EXAMPLE\.COM is not admitted") as refused:
                await dial("127.0.0.1", port, "securecc@localhost", realm.ticket("mallory"))
            (event, detail), *rest = noticed
            assert event == "denied"
            assert detail["principal"] == "mallory@EXAMPLE.COM"
            assert detail["rule"] == "default"
            assert detail["reference"] in refused.value.advice
            assert "default" not in str(refused.value)
            assert (heard, rest) == ([], [])

    asyncio.run(run())


def test_a_man_in_the_middle_sees_no_byte_of_source(realm: Any, acceptor: Any) -> None:
    async def run() -> None:
        async with server(acceptor) as (port, heard, noticed):
            relay = Relay(port)
            middle = await relay.start()
            with pytest.raises(AuthenticationError):
                await dial("127.0.0.1", middle, "securecc@localhost", realm.ticket("alice"))
            relay.server.close()
            await relay.server.wait_closed()
            assert [event for event, _ in noticed] == ["authentication"]
            assert "channel bindings" in noticed[0][1]["why"]
            assert heard == []
            kinds = {frame.kind for frame in frames_of(relay.seen)}
            assert kinds <= {Kind.HANDSHAKE}

    asyncio.run(run())


def test_a_false_server_without_the_key_gets_nothing(realm: Any, tmp_path: Path) -> None:
    other = str(tmp_path / "false")
    realm.add_service("securecc/false.example.com", other)
    acceptor = Acceptor(other, replay_cache=str(tmp_path / "rcache"))

    async def run() -> None:
        async with server(acceptor) as (port, heard, noticed):
            with pytest.raises(AuthenticationError):
                await dial("127.0.0.1", port, "securecc@localhost", realm.ticket("alice"))
            assert heard == []
            assert [event for event, _ in noticed] == ["authentication"]

    asyncio.run(run())


def test_a_server_that_only_pretends_gets_nothing(realm: Any) -> None:
    async def run() -> None:
        async with server(Liar()) as (port, heard, _noticed):
            with pytest.raises(AuthenticationError, match="did not prove to be securecc/localhost"):
                await dial("127.0.0.1", port, "securecc@localhost", realm.ticket("alice"))
            assert heard == []

    asyncio.run(run())


def test_a_silent_kdc_costs_three_seconds(realm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The KDC's port takes packets and connections and never answers."""
    ccache = realm.ticket("alice")
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as udp, closing(socket.socket()) as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(udp.getsockname())
        tcp.listen()
        conf = Path(os.environ["KRB5_CONFIG"]).read_text()
        silent = tmp_path / "krb5.conf"
        silent.write_text(conf.replace(f"127.0.0.1:{realm.kdc.portbase}", f"127.0.0.1:{udp.getsockname()[1]}"))
        monkeypatch.setenv("KRB5_CONFIG", str(silent))

        async def run() -> Any:
            async with server(Liar()) as (port, _, _):
                began = time.monotonic()
                with pytest.raises(CredentialError, match="no KDC answered within 3 s"):
                    await dial("127.0.0.1", port, "securecc@localhost", ccache)
                return time.monotonic() - began

        assert asyncio.run(run()) >= limits.GSS_STEP_S - 0.1
    # The thread that still waits for the KDC is a daemon: neither this test nor the process waits for it.
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "securecc-blocking")


def test_a_kdc_that_is_down_does_not_matter_with_tickets_in_the_cache(
    realm: Any, acceptor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ccache = realm.ticket("alice")
    initiate(realm, ccache=ccache).step()
    down = tmp_path / "krb5.conf"
    down.write_text(Path(os.environ["KRB5_CONFIG"]).read_text().replace(f":{realm.kdc.portbase}", ":1"))
    monkeypatch.setenv("KRB5_CONFIG", str(down))
    assert judge_token(acceptor, initiate(realm, ccache=ccache).step()).facts.bound
    with pytest.raises(CredentialError, match=r"Cannot contact any KDC.*krb5\.conf"):
        Initiator("securecc@elsewhere", ccache).start(EXPORTER).step(None)


def test_a_proof_of_another_channel_is_refused(realm: Any, acceptor: Any) -> None:
    """The context is right and bound; only the MIC is made over another exporter value."""

    async def run() -> None:
        async with server(acceptor) as (port, heard, noticed):
            link = await dialer.connect(tls.client_context(), "127.0.0.1", port)
            exporter = await link.secured()
            exchange = Initiator("securecc@localhost", realm.ticket("alice")).start(exporter)
            token, _ = exchange.step(None)
            assert token is not None
            link.send(b"\x01" + token)
            reply = await link.receive()
            exchange.step(reply[1:])
            assert (await link.receive())[0] == handshake.Step.PROOF
            link.send(b"\x02" + exchange.mic(handshake.CLIENT_LABEL + bytes(32)))
            answer = await link.receive()
            assert answer[0] == handshake.Step.REFUSED
            link.fail(ChannelError("done"))
            assert noticed[0][0] == "authentication"
            assert "proof" in noticed[0][1]["why"]
            assert heard == []

    asyncio.run(run())


def test_compile_frames_before_the_verdict_end_the_connection(realm: Any, acceptor: Any) -> None:
    async def run() -> None:
        async with server(acceptor) as (port, heard, noticed):
            link = await dialer.connect(tls.client_context(), "127.0.0.1", port)
            await link.secured()
            link.write(encode_frame(Kind.CONTROL, b"\x93"))
            with pytest.raises(ChannelError):
                await link.receive()
            assert [event for event, _ in noticed] == ["protocol"]
            assert heard == []

    asyncio.run(run())


def test_kerberos_has_errors_raised_at_once() -> None:
    assert vars(gssapi.SecurityContext)["__DEFER_STEP_ERRORS__"] is False
