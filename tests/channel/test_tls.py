import contextlib
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from securecc.channel.tls import TlsPipe, client_context, server_context, site_context
from securecc.model.errors import ChannelError, ConfigError
from tests.site_certificate import certificate

CONTEXT = server_context()


def pump(client: Any, server: Any) -> Any:
    """Passes bytes to and fro until neither has any; the sizes of the server's flights."""
    flights: list[int] = []
    while True:
        ours, theirs = client.take_outgoing(), server.take_outgoing()
        if not ours and not theirs:
            return flights
        if ours:
            server.feed(ours)
        if theirs:
            flights.append(len(theirs))
            client.feed(theirs)


def pair(server: Any = CONTEXT, client: Any = None, host: str = "localhost") -> Any:
    one, other = TlsPipe(client or client_context(), server=False, host=host), TlsPipe(server, server=True)
    pump(one, other)
    return one, other


def test_two_ends_share_an_exporter_value_that_no_other_pair_has() -> None:
    client, server = pair()
    assert client.secured
    assert server.secured
    assert len(client.exporter()) == 32
    assert client.exporter() == server.exporter()
    assert client.exporter() != pair()[0].exporter()


def test_bytes_pass_both_ways_in_order() -> None:
    client, server = pair()
    data = bytes(range(256)) * 1000
    client.send(data)
    client.send(b"tail")
    server.feed(client.take_outgoing())
    assert server.take_incoming() == data + b"tail"
    server.send(b"back")
    client.feed(server.take_outgoing())
    assert client.take_incoming() == b"back"
    assert client.take_incoming() == b""


def test_nothing_is_sent_or_exported_before_the_handshake() -> None:
    pipe = TlsPipe(CONTEXT, server=True)
    for early in (lambda: pipe.send(b"x"), pipe.exporter):
        with pytest.raises(ChannelError, match="before the TLS handshake"):
            early()
    assert pipe.take_incoming() == b""


def test_plain_text_is_no_handshake() -> None:
    pipe = TlsPipe(CONTEXT, server=True)
    with pytest.raises(ChannelError, match="TLS handshake failed"):
        pipe.feed(b"GET / HTTP/1.1\r\nHost: farm\r\n\r\n")


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=200) | st.binary(max_size=100).map(lambda tail: b"\x16\x03\x01\x00\x64" + tail))
def test_any_bytes_are_a_channel_error_or_wait_for_more(data: Any) -> None:
    pipe = TlsPipe(CONTEXT, server=True)
    with contextlib.suppress(ChannelError):
        pipe.feed(data)
    assert not pipe.secured
    pipe.take_outgoing()


def test_older_versions_are_refused() -> None:
    old = SSL.Context(SSL.TLS_METHOD)
    old.set_max_proto_version(SSL.TLS1_2_VERSION)
    client = SSL.Connection(old, None)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    with pytest.raises(ChannelError, match="unsupported protocol"):
        TlsPipe(CONTEXT, server=True).feed(client.bio_read(65536))


def test_a_damaged_record_ends_the_channel() -> None:
    client, server = pair()
    client.send(b"secret")
    data = bytearray(client.take_outgoing())
    data[-1] ^= 1
    server.feed(bytes(data))
    with pytest.raises(ChannelError):
        server.take_incoming()


def test_a_session_cannot_be_resumed() -> None:
    """The server's first flight with a ticket in the client's hand is as long as without: its certificate is in it."""
    context = client_context()

    def connect(session: Any = None) -> Any:
        client, server = SSL.Connection(context, None), TlsPipe(CONTEXT, server=True)
        client.set_connect_state()
        if session is not None:
            client.set_session(session)
        with pytest.raises(SSL.WantReadError):
            client.do_handshake()
        server.feed(client.bio_read(65536))
        flight = server.take_outgoing()
        client.bio_write(flight)
        client.do_handshake()
        server.feed(client.bio_read(65536))
        client.bio_write(server.take_outgoing())
        with pytest.raises(SSL.WantReadError):
            client.recv(1)
        return len(flight), client.get_session()

    first, session = connect()
    again, _ = connect(session)
    assert abs(first - again) < 16


def test_the_end_is_told() -> None:
    client, server = pair()
    client.shut()
    server.feed(client.take_outgoing())
    assert server.take_incoming() == b""
    assert server.closed
    with pytest.raises(ChannelError, match="encrypt"):
        client.send(b"more")


def test_shutting_what_never_was_is_nothing() -> None:
    TlsPipe(CONTEXT, server=True).shut()


# --- certificates of a site -------------------------------------------------------------------------------------


NAMES = [
    x509.DNSName("farm.example.com"),
    x509.DNSName("*.pool.example.com"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
]


@pytest.mark.parametrize("host", ["farm.example.com", "FARM.example.com", "a.pool.example.com", "127.0.0.1"])
def test_a_sites_own_authority_vouches(tmp_path: Path, host: Any) -> None:
    cert, key = certificate(tmp_path, NAMES)
    client, _ = pair(site_context(cert, key), client_context(cert), host)
    assert client.secured


@pytest.mark.parametrize("host", ["other.example.com", "a.b.pool.example.com", "pool.example.com", "127.0.0.2"])
def test_a_certificate_for_others_is_refused(tmp_path: Path, host: Any) -> None:
    cert, key = certificate(tmp_path, NAMES)
    with pytest.raises(ChannelError, match="not for"):
        pair(site_context(cert, key), client_context(cert), host)


def test_a_certificate_without_names_is_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, [])
    with pytest.raises(ChannelError, match="not for"):
        pair(site_context(cert, key), client_context(cert), "farm.example.com")


def test_a_self_made_certificate_is_refused_where_an_authority_is_asked_for(tmp_path: Path) -> None:
    cert, _ = certificate(tmp_path, NAMES)
    with pytest.raises(ChannelError, match="certificate verify failed"):
        pair(CONTEXT, client_context(cert), "farm.example.com")


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("junk")
    with pytest.raises(ConfigError, match="junk"):
        client_context(str(tmp_path / "junk"))
    with pytest.raises(ConfigError, match="none"):
        site_context(str(tmp_path / "none"), str(tmp_path / "none"))
    cert, _ = certificate(tmp_path, NAMES)
    (tmp_path / "other").mkdir()
    _, other = certificate(tmp_path / "other", NAMES)
    with pytest.raises(ConfigError, match="belong together"):
        site_context(cert, other)
