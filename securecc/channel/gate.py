"""Who may begin to speak at all: the address, then places, before a byte is read.

Rules after OpenSSH's sshd_config(5): MaxStartups and PerSourcePenalties.
"""

import ipaddress
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from securecc.words import limits
from securecc.words.errors import Denied


@dataclass(frozen=True, slots=True)
class Places:
    """How many connections may be open. The defaults' reasons stand in `securecc.words.limits`.

    `spared` are networks that get no penalties (PerSourcePenaltyExemptList): a host's own users share one address, and
    so may the users behind a site's NAT.
    """

    per_source: int = limits.CONNECTIONS_PER_SOURCE
    unauthenticated: int = limits.CONNECTIONS_UNAUTHENTICATED
    total: int = limits.CONNECTIONS
    begin: int = limits.STARTUPS_BEGIN
    spared: tuple[str, ...] = ("127.0.0.0/8", "::1/128")


class Place:
    """One connection's place; `leave` is idempotent."""

    __slots__ = ("_gate", "_left", "authenticated", "source")

    def __init__(self, gate: "Gate", source: str) -> None:
        self._gate = gate
        self.source = source
        self.authenticated = False
        self._left = False

    def prove(self) -> None:
        """The connection is authenticated: its place among strangers is free again."""
        if not self.authenticated and not self._left:
            self.authenticated = True
            self._gate.settled(self.source)

    def leave(self, penalty: float = 0.0) -> None:
        """The connection has gone. `penalty` in seconds goes on its source's account."""
        if self._left:
            return
        self._left = True
        if not self.authenticated:
            self._gate.settled(self.source)
        self._gate.left(self.source, penalty)


class Gate:
    """Counts connections. Not for more than one event loop."""

    def __init__(
        self,
        allowed: Callable[[str], bool] = lambda _address: True,
        places: Places = Places(),
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`allowed` is the network ACL: an address as text. `chance` is for early drop, in [0, 1)."""
        self.allowed = allowed
        self._places = places
        self._spared = tuple(ipaddress.ip_network(network) for network in places.spared)
        self._clock = clock
        self._chance = chance
        self._total = 0
        self._strangers: dict[str, int] = {}
        self._unauthenticated = 0
        self._penalties: OrderedDict[str, float] = OrderedDict()

    def enter(self, address: str) -> Place:
        """A place for a connection from `address`. Raises Denied; `rule` is the notice's event word."""
        if not self.allowed(address):
            raise Denied(f"{address} is not in the network that may connect", rule="acl")
        source = source_of(address)
        self._check_penalty(source)
        self._check_places(source)
        self._total += 1
        self._unauthenticated += 1
        self._strangers[source] = self._strangers.get(source, 0) + 1
        return Place(self, source)

    def _check_places(self, source: str) -> None:
        places = self._places
        if self._total >= places.total:
            raise Denied(f"{places.total} connections are open", rule="cap")
        if self._strangers.get(source, 0) >= places.per_source:
            raise Denied(f"{places.per_source} connections of {source} are not authenticated yet", rule="cap-source")
        if self._unauthenticated >= places.unauthenticated:
            raise Denied(f"{places.unauthenticated} connections are not authenticated yet", rule="cap-strangers")
        if self._unauthenticated >= places.begin and self._chance() < self._drop():
            raise Denied(f"dropped early: {self._unauthenticated} connections are not authenticated yet", rule="early")

    def _drop(self) -> float:
        """Probability of an early drop: STARTUPS_RATE at `begin`, 1 at `unauthenticated`, a line between."""
        span = max(1, self._places.unauthenticated - self._places.begin)
        part = (self._unauthenticated - self._places.begin) / span
        return limits.STARTUPS_RATE + (1 - limits.STARTUPS_RATE) * part

    def _check_penalty(self, source: str) -> None:
        until = self._penalties.get(source)
        if until is None:
            return
        rest = until - self._clock()
        if rest <= 0:
            del self._penalties[source]
        elif rest >= limits.PENALTY_FROM_S:
            raise Denied(f"{source} has to stay away for {rest:.0f} s", rule="penalty")

    def settled(self, source: str) -> None:
        """A stranger of `source` is one no more (`Place` calls this)."""
        self._unauthenticated -= 1
        rest = self._strangers[source] - 1
        if rest:
            self._strangers[source] = rest
        else:
            del self._strangers[source]

    def left(self, source: str, penalty: float) -> None:
        """A connection of `source` has gone (`Place` calls this)."""
        self._total -= 1
        if penalty <= 0 or self._is_spared(source):
            return
        now = self._clock()
        until = max(now, self._penalties.pop(source, now)) + penalty
        self._penalties[source] = min(until, now + limits.PENALTY_MOST_S)
        if len(self._penalties) > limits.PENALTY_SOURCES:
            self._penalties.popitem(last=False)

    def _is_spared(self, source: str) -> bool:
        network = ipaddress.ip_network(source)
        return any(network.overlaps(spared) for spared in self._spared if spared.version == network.version)


def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, an IPv6 /64 (one host commands all of it, RFC 4291 section 2.5.4)."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
