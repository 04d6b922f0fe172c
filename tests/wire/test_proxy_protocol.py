"""The header of the PROXY protocol: believed whole, or not at all."""

import ipaddress
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import FrameError
from securecc.wire.proxy_protocol import ABSENT, SIGNATURE, ProxyHeader, read_proxy_header

# From HAProxy's doc/proxy-protocol.txt, section 2.2: PROXY, TCP over IPv4, 192.0.2.1:1 to 192.0.2.2:2.
TCP4 = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0000201 c0000202 0001 0002")


def header(command: int = 0x21, family: int = 0x11, body: bytes = b"", length: Any = None) -> Any:
    return SIGNATURE + struct.pack(">BBH", command, family, len(body) if length is None else length) + body


def addresses(source: Any, port: Any, form: str = "4s4sHH", target: str = "192.0.2.9") -> Any:
    packed = (ipaddress.ip_address(address).packed for address in (source, target))
    return struct.pack(f">{form}", *packed, port, 3643)


def test_the_example_of_the_specification() -> None:
    assert read_proxy_header(TCP4) == ProxyHeader(("192.0.2.1", 1), 28)


@given(st.ip_addresses(v=4), st.integers(0, 65535), st.binary(max_size=200), st.binary(max_size=50))
def test_an_ipv4_client_whatever_else_is_said(source: Any, port: Any, values: Any, rest: Any) -> None:
    whole = header(body=addresses(source, port) + values)
    assert read_proxy_header(whole + rest) == ProxyHeader((str(source), port), len(whole))


@given(st.ip_addresses(v=6), st.integers(0, 65535), st.binary(max_size=200), st.binary(max_size=50))
def test_an_ipv6_client_whatever_else_is_said(source: Any, port: Any, values: Any, rest: Any) -> None:
    whole = header(family=0x21, body=addresses(source, port, "16s16sHH", "2001:db8::9") + values)
    assert read_proxy_header(whole + rest) == ProxyHeader((str(source), port), len(whole))


@given(st.ip_addresses(v=4), st.binary(max_size=100))
def test_a_header_comes_byte_by_byte(source: Any, values: Any) -> None:
    whole = header(body=addresses(source, 7) + values)
    for end in range(len(whole)):
        assert read_proxy_header(whole[:end]) is None
    assert read_proxy_header(whole) == ProxyHeader((str(source), 7), len(whole))


@pytest.mark.parametrize(
    "data",
    [
        header(command=0x20, family=0x00),
        header(command=0x20, body=addresses("192.0.2.1", 7)),  # a LOCAL one is the proxy's own, whatever it names
        header(command=0x20, body=b"x"),
        header(family=0x00),
        header(family=0x12, body=addresses("192.0.2.1", 7)),  # UDP
        header(family=0x31, body=bytes(216)),  # a unix socket
    ],
)
def test_a_proxy_that_names_nobody(data: bytes) -> None:
    assert read_proxy_header(data + b"\x16") == ProxyHeader(None, len(data))


def test_a_connection_without_a_header() -> None:
    assert read_proxy_header(b"\x16\x03\x01") == ABSENT
    assert read_proxy_header(b"GET /") == ABSENT
    assert read_proxy_header(b"") is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"P", "version 1"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "version 1"),
        (b"\r\n\r\nX", "invalid PROXY header"),
        (header(command=0x11), "version and command 0x11"),
        (header(command=0x22), "version and command 0x22"),
        (header(command=0x31), "version and command 0x31"),
        (header(length=limits.PROXY_HEADER), "at most"),
        (header(length=0xFFFF), "at most"),
        (header(body=b""), "0 bytes of addresses"),
        (header(body=bytes(11)), "11 bytes of addresses"),
        (header(family=0x21, body=bytes(35)), "35 bytes of addresses"),
    ],
)
def test_what_is_no_header_is_refused(data: bytes, said: Any) -> None:
    with pytest.raises(FrameError, match=said):
        read_proxy_header(data)


def test_a_length_is_refused_before_the_bytes_have_come() -> None:
    with pytest.raises(FrameError, match="at most"):
        read_proxy_header(header(length=limits.PROXY_HEADER - 15)[:16])
    assert read_proxy_header(header(length=limits.PROXY_HEADER - 16)[:16]) is None


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=40).map(lambda rest: SIGNATURE + rest)))
def test_any_bytes_whole_and_byte_by_byte(data: bytes) -> None:
    """An origin, the one error, or more is needed; and never another answer when more bytes come."""
    before = None
    for end in range(len(data) + 1):
        try:
            found = read_proxy_header(data[:end])
        except FrameError:
            assert before is None
            return
        if before is not None:
            assert found == before
        before = found
        if found is not None:
            assert found.size <= end
