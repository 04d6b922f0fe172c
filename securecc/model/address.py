"""Addresses as text: ``host:port``, and what counts as one source."""

import ipaddress


def address(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_of(address: str) -> str:
    """The host in what `address` returned."""
    return address.rpartition(":")[0].strip("[]")


def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, or an IPv6 /64, all of which one host has (RFC 4291 section 2.5.4).

    Raises:
        ValueError: it is not an address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
