"""The header of the PROXY protocol, version 2, in which a proxy names the client that it connects for.

After HAProxy's doc/proxy-protocol.txt, section 2.2. The type-length-value fields after the addresses are skipped;
nothing depends on them.
"""

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

from securecc.model import limits
from securecc.model.errors import FrameError

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_HEADER: Final = struct.Struct(">12sBBH")
_LOCAL, _PROXY = 0x20, 0x21  # version 2 and the command
_TCP4, _TCP6 = 0x11, 0x21  # address family and transport
_ADDRESSES: Final = {_TCP4: struct.Struct(">4s4sHH"), _TCP6: struct.Struct(">16s16sHH")}


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a proxy said. `peer` is the client's address and port; None if the proxy named none, because it connects for
    itself (LOCAL, such as a health check) or does not know. The first `size` bytes are the proxy's, the rest the
    client's.
    """

    peer: tuple[str, int] | None
    size: int


ABSENT: Final = ProxyHeader(None, 0)
"""The connection began without a header."""


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header at the beginning of a connection's bytes; None while more of them are needed.

    A connection that begins with anything else, such as TLS, has no header.

    Raises:
        FrameError: the header is of version 1, or invalid: a proxy whose header cannot be parsed must not be trusted.
    """
    if not data:
        return None
    if data[:1] == b"P":
        raise FrameError("a PROXY header of version 1", "have the proxy send version 2 (HAProxy: send-proxy-v2)")
    if not SIGNATURE.startswith(data[: len(SIGNATURE)]):
        if data[:1] == SIGNATURE[:1]:
            raise FrameError("an invalid PROXY header")
        return ABSENT
    if len(data) < _HEADER.size:
        return None
    _, command, family, length = _HEADER.unpack_from(data)
    if command not in (_LOCAL, _PROXY):
        raise FrameError(f"a PROXY header with version and command {command:#04x}")
    size = _HEADER.size + length
    if size > limits.PROXY_HEADER:
        raise FrameError(f"a PROXY header of {size} bytes; at most {limits.PROXY_HEADER}")
    if len(data) < size:
        return None
    return ProxyHeader(None if command == _LOCAL else _peer(family, data[_HEADER.size : size]), size)


def _peer(family: int, body: bytes) -> tuple[str, int] | None:
    """The client's address; None for UNSPEC, UDP and unix sockets, which cannot be a client of this server.

    Raises:
        FrameError: the header is too short for its addresses.
    """
    form = _ADDRESSES.get(family)
    if form is None:
        return None
    if len(body) < form.size:
        raise FrameError(f"a PROXY header with {len(body)} bytes of addresses; {form.size} are needed")
    source, _, port, _ = form.unpack_from(body)
    return str(ipaddress.ip_address(source)), port
