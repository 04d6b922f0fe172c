"""Addresses and networks, and from where connections are accepted.

An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) is the IPv4 address that it maps: a daemon that listens on an
IPv6 socket sees every IPv4 peer this way, and a rule applies to both spellings.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from securecc.model.errors import PolicyError

Address = IPv4Address | IPv6Address
AddressRange = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
EVERYWHERE: tuple[AddressRange, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@dataclass(frozen=True, slots=True)
class Network:
    """From where connections are accepted: `deny` wins over `allow`. `proxies` are believed when they name the address
    of their client.
    """

    allow: tuple[AddressRange, ...] = EVERYWHERE
    deny: tuple[AddressRange, ...] = ()
    proxies: tuple[AddressRange, ...] = ()

    def admits(self, address: Address) -> bool:
        """Whether connections from this address are accepted."""
        return range_of(address, self.deny) is None and range_of(address, self.allow) is not None

    def believes(self, address: Address) -> bool:
        """Whether this is a proxy: its connections are for other clients. `allow` need not list it."""
        return range_of(address, self.deny) is None and range_of(address, self.proxies) is not None


def parse_address(text: str) -> Address:
    """An IPv4 or IPv6 address, without an interface (``%eth0``).

    Raises:
        PolicyError: the text is not an address.
    """
    try:
        return plain_address(ip_address(text))
    except ValueError as error:
        raise PolicyError(f"{text[:80]!r} is not an IP address", "write it as 10.2.3.4 or 2001:db8::1") from error


def plain_address(address: Address) -> Address:
    """The address itself: IPv4 if it is mapped into IPv6, without an interface."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def parse_range(text: str) -> AddressRange:
    """A network in CIDR notation, or one address.

    Raises:
        PolicyError: the text is neither.
    """
    try:
        return _plain_range(ip_network(text))
    except ValueError as error:
        raise PolicyError(f'"{text[:80]}" is not a network', _meant(text)) from error


def range_of(address: Address, ranges: Iterable[AddressRange]) -> AddressRange | None:
    """The first of the ranges that holds the address."""
    plain = plain_address(address)
    return next((each for each in ranges if plain.version == each.version and plain in each), None)


def covers(outer: Iterable[AddressRange], inner: AddressRange) -> bool:
    """Whether one of `outer` holds all of `inner`."""
    return any(
        (isinstance(each, IPv4Network) and isinstance(inner, IPv4Network) and inner.subnet_of(each))
        or (isinstance(each, IPv6Network) and isinstance(inner, IPv6Network) and inner.subnet_of(each))
        for each in outer
    )


def _plain_range(network: AddressRange) -> AddressRange:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network


def _meant(text: str) -> str:
    try:
        return f"its address has bits beyond the prefix; did you mean {ip_network(text, strict=False)}?"
    except ValueError:
        return 'write it as 10.0.0.0/8, "2001:db8::/32" or 10.2.3.4'
