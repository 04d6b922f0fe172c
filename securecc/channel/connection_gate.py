"""Who may begin to speak at all: the address, then places, before a byte is read.

Rules after OpenSSH's sshd_config(5): MaxStartups and PerSourcePenalties. Sources from which somebody was let in lately
are not strangers: they have places of their own, so strangers cannot take theirs, and get no penalties.
"""

import ipaddress
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from securecc.channel.known_sources import KnownSources
from securecc.model import limits
from securecc.model.address import source_of
from securecc.model.errors import Denied


@dataclass(frozen=True, slots=True)
class Penalties:
    """For how long a source has to stay away. Seconds, added up: for what was not proven (a wrong proof, bytes that are
    no TLS or no handshake), for silence, for a place that was held until the deadline. Enforced from `from_s` on, and
    never more than `most_s`. `exempt` are networks that get none (PerSourcePenaltyExemptList): a host's own users share
    one address, and so may the users behind a site's NAT.
    """

    authentication_s: float = limits.PENALTY_AUTHENTICATION_S
    silent_s: float = limits.PENALTY_SILENT_S
    deadline_s: float = limits.PENALTY_DEADLINE_S
    from_s: float = limits.PENALTY_FROM_S
    most_s: float = limits.PENALTY_MOST_S
    exempt: tuple[str, ...] = ("127.0.0.0/8", "::1/128")

    def of(self, event: str) -> float:
        """What an event costs that ended a connection."""
        if event in {"authentication", "protocol", "tls"}:
            return self.authentication_s
        return {"silent": self.silent_s, "deadline": self.deadline_s}.get(event, 0.0)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections may be open. The defaults' reasons stand in `securecc.model.limits`.

    `begin` and `rate` are the number of strangers from which new ones are dropped at random, and the probability at
    first.
    """

    per_source: int = limits.CONNECTIONS_PER_SOURCE
    unauthenticated: int = limits.CONNECTIONS_UNAUTHENTICATED
    known_per_source: int = limits.CONNECTIONS_PER_KNOWN_SOURCE
    returning: int = limits.CONNECTIONS_KNOWN
    total: int = limits.CONNECTIONS
    begin: int = limits.STARTUPS_BEGIN
    rate: float = limits.STARTUPS_RATE
    penalties: Penalties = Penalties()


class _Unauthenticated:
    """Connections that have not proven themselves yet."""

    def __init__(self, per_source: int, most: int) -> None:
        self.per_source = per_source
        self.most = most
        self.sources: Counter[str] = Counter()
        self.count = 0

    def add(self, source: str) -> None:
        self.count += 1
        self.sources[source] += 1

    def remove(self, source: str) -> None:
        self.count -= 1
        self.sources[source] -= 1
        if not self.sources[source]:
            del self.sources[source]


class ConnectionSlot:
    """One connection's place; `leave` is idempotent. `proxied` tells that it is a proxy's, which may say for whom."""

    __slots__ = ("_gate", "_left", "authenticated", "crowd", "proxied", "source")

    def __init__(self, gate: "ConnectionGate", source: str, crowd: _Unauthenticated, *, proxied: bool) -> None:
        self._gate = gate
        self.source = source
        self.crowd = crowd
        self.proxied = proxied
        self.authenticated = False
        self._left = False
        crowd.add(source)

    @property
    def known(self) -> bool:
        """Whether somebody was let in from its source lately."""
        return self._gate.is_returning(self.crowd)

    def named(self, address: str) -> None:
        """A proxy has said for whom it connects: from now on the place is that address's. Raises Denied, as
        `ConnectionGate.enter`.
        """
        source, crowd = self._gate.judge(address)
        self.crowd.remove(self.source)
        crowd.add(source)
        self.source, self.crowd, self.proxied = source, crowd, False

    def prove(self) -> None:
        """Somebody has been let in: the place among those who have not proven themselves is free again."""
        if not self.authenticated and not self._left:
            self.authenticated = True
            self.crowd.remove(self.source)
            if not self.proxied:
                self._gate.known.learn(self.source)

    def leave(self, event: str = "") -> None:
        """The connection has gone; what its end was goes on its source's account, unless that is a proxy."""
        if self._left:
            return
        self._left = True
        if not self.authenticated:
            self.crowd.remove(self.source)
        self._gate.left(self.source, "" if self.proxied else event)


class ConnectionGate:
    """Counts connections. Not for more than one event loop."""

    def __init__(
        self,
        allowed: Callable[[str], bool] = lambda _address: True,
        places: ConnectionLimits = ConnectionLimits(),
        *,
        known: KnownSources | None = None,
        proxies: Callable[[str], bool] = lambda _address: False,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`allowed` is the network ACL: an address as text. `proxies` tells whose word is taken for whom they connect.
        `chance` is for early drop, in [0, 1).
        """
        self.allowed = allowed
        self.known = KnownSources() if known is None else known
        self._places = places
        self._proxies = proxies
        self._spared = tuple(ipaddress.ip_network(network) for network in places.penalties.exempt)
        self._clock = clock
        self._chance = chance
        self._total = 0
        self._strangers = _Unauthenticated(places.per_source, places.unauthenticated)
        self._returning = _Unauthenticated(places.known_per_source, places.returning)
        self._proxied = _Unauthenticated(places.known_per_source, places.returning)
        self._penalties: OrderedDict[str, float] = OrderedDict()

    def enter(self, address: str) -> ConnectionSlot:
        """A place for a connection from `address`. Raises Denied; `rule` is the notice's event word."""
        if proxied := self._proxies(address):
            source, crowd = source_of(address), self._proxied
            self._check_room(source, crowd)
        else:
            source, crowd = self.judge(address)
        if self._total >= self._places.total:
            raise Denied(f"{self._places.total} connections are open", rule="cap")
        self._total += 1
        return ConnectionSlot(self, source, crowd, proxied=proxied)

    def judge(self, address: str) -> tuple[str, _Unauthenticated]:
        """Source and crowd of a connection from `address` (`ConnectionSlot` calls this). Raises Denied, as `enter`."""
        if not self.allowed(address):
            raise Denied(f"{address} is not in the network that may connect", rule="acl")
        source = source_of(address)
        if source in self.known:
            self._check_room(source, self._returning)
            return source, self._returning
        self._check_penalty(source)
        self._check_room(source, self._strangers)
        count = self._strangers.count
        if count >= self._places.begin and self._chance() < self._drop():
            raise Denied(f"dropped early: {count} connections are not authenticated yet", rule="early")
        return source, self._strangers

    def _check_room(self, source: str, crowd: _Unauthenticated) -> None:
        if crowd.sources[source] >= crowd.per_source:
            raise Denied(f"{crowd.per_source} connections of {source} are not authenticated yet", rule="cap-source")
        if crowd.count >= crowd.most:
            raise Denied(f"{crowd.most} connections are not authenticated yet", rule="cap-strangers")

    def is_returning(self, crowd: _Unauthenticated) -> bool:
        """Whether these are the connections from known sources (`ConnectionSlot` asks)."""
        return crowd is self._returning

    def _drop(self) -> float:
        """Probability of an early drop: `rate` at `begin`, 1 at `unauthenticated`, a line between."""
        places = self._places
        part = (self._strangers.count - places.begin) / max(1, places.unauthenticated - places.begin)
        return places.rate + (1 - places.rate) * part

    def _check_penalty(self, source: str) -> None:
        until = self._penalties.get(source)
        if until is None:
            return
        rest = until - self._clock()
        if rest <= 0:
            del self._penalties[source]
        elif rest >= self._places.penalties.from_s:
            raise Denied(f"{source} has to stay away for {rest:.0f} s", rule="penalty")

    def left(self, source: str, event: str) -> None:
        """A connection of `source` has gone (`ConnectionSlot` calls this)."""
        self._total -= 1
        penalty = self._places.penalties.of(event)
        if penalty <= 0 or source in self.known or self._is_spared(source):
            return
        now = self._clock()
        until = max(now, self._penalties.pop(source, now)) + penalty
        self._penalties[source] = min(until, now + self._places.penalties.most_s)
        if len(self._penalties) > limits.PENALTY_SOURCES:
            self._penalties.popitem(last=False)

    def _is_spared(self, source: str) -> bool:
        network = ipaddress.ip_network(source)
        return any(network.overlaps(exempt) for exempt in self._spared if exempt.version == network.version)
