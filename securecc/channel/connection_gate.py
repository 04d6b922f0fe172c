"""Which connections are accepted: the network list, penalties and limits, all before a byte is read.

The rules follow OpenSSH's sshd_config(5): MaxStartups and PerSourcePenalties. Known sources, from which a client was
admitted recently, have separate limits, so that strangers cannot use these up, and get no penalties.
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
    """For how many seconds a source must stay away; penalties of one source add up (PerSourcePenalties).

    Attributes:
        authentication_s: For failed authentication: a wrong proof, bytes that are not TLS or not a handshake.
        silent_s: For a connection that sent nothing.
        deadline_s: For a connection that was still unauthenticated at the deadline.
        from_s: The sum from which penalties are enforced.
        most_s: The largest sum.
        exempt: Networks that get none (PerSourcePenaltyExemptList): all users of a host share one address, and so may
        users behind a NAT.
    """

    authentication_s: float = limits.PENALTY_AUTHENTICATION_S
    silent_s: float = limits.PENALTY_SILENT_S
    deadline_s: float = limits.PENALTY_DEADLINE_S
    from_s: float = limits.PENALTY_FROM_S
    most_s: float = limits.PENALTY_MOST_S
    exempt: tuple[str, ...] = ("127.0.0.0/8", "::1/128")

    def of(self, event: str) -> float:
        """The penalty for the event that ended a connection, in seconds."""
        if event in {"authentication", "protocol", "tls"}:
            return self.authentication_s
        return {"silent": self.silent_s, "deadline": self.deadline_s}.get(event, 0.0)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections may be open. `securecc.model.limits` gives the reasons for the defaults.

    Attributes:
        per_source, unauthenticated: Unauthenticated ones, from one source and in all.
        known_per_source, returning: The same for known sources, which do not count among those.
        total: All, the authenticated ones included.
        begin: The number of strangers from which new ones are dropped at random ...
        rate: ... with this probability at first.
        penalties: How long a source must stay away.
    """

    per_source: int = limits.CONNECTIONS_PER_SOURCE
    unauthenticated: int = limits.CONNECTIONS_UNAUTHENTICATED
    known_per_source: int = limits.CONNECTIONS_PER_KNOWN_SOURCE
    returning: int = limits.CONNECTIONS_KNOWN
    total: int = limits.CONNECTIONS
    begin: int = limits.STARTUPS_BEGIN
    rate: float = limits.STARTUPS_RATE
    penalties: Penalties = Penalties()


class Startups:
    """A count of unauthenticated connections of one kind (sshd's term: MaxStartups)."""

    def __init__(self, per_source: int, most: int) -> None:
        self.per_source = per_source
        self.most = most
        self.sources: Counter[str] = Counter()
        self.count = 0

    def add(self, source: str) -> None:
        """One more."""
        self.count += 1
        self.sources[source] += 1

    def remove(self, source: str) -> None:
        """One has been authenticated or has gone."""
        self.count -= 1
        self.sources[source] -= 1
        if not self.sources[source]:
            del self.sources[source]


class ConnectionSlot:
    """One connection's share of the limits until `leave`. `proxied` says that it comes from a proxy, which may name the
    client that it connects for.
    """

    __slots__ = ("_gate", "_left", "authenticated", "proxied", "source", "startups")

    def __init__(self, gate: "ConnectionGate", source: str, startups: Startups, *, proxied: bool) -> None:
        self._gate = gate
        self.source = source
        self.startups = startups
        self.proxied = proxied
        self.authenticated = False
        self._left = False
        startups.add(source)

    @property
    def known(self) -> bool:
        """Whether it came from a known source."""
        return self.startups is self._gate.returning

    def forward_for(self, address: str) -> None:
        """The proxy has named its client: from now on the slot counts for that address.

        Raises:
            Denied: as `ConnectionGate.enter`, for that address.
        """
        source, startups = self._gate.admit(address)
        self.startups.remove(self.source)
        startups.add(source)
        self.source, self.startups, self.proxied = source, startups, False

    def authenticate(self) -> None:
        """A client was admitted: the connection no longer counts as unauthenticated, and its source is known."""
        if not self.authenticated and not self._left:
            self.authenticated = True
            self.startups.remove(self.source)
            if not self.proxied:
                self._gate.known.learn(self.source)

    def leave(self, event: str = "") -> None:
        """The connection has gone; its source, unless it is a proxy, gets the penalty for the event that ended it.
        Further calls do nothing.
        """
        if self._left:
            return
        self._left = True
        if not self.authenticated:
            self.startups.remove(self.source)
        self._gate.left(self.source, "" if self.proxied else event)


class ConnectionGate:
    """Counts connections; used by one event loop.

    Attributes:
        allowed: Whether an address may connect.
        known: The known sources.
        total: Open connections.
        strangers, returning, proxied: Unauthenticated ones: from unknown sources, from known ones, from proxies.
    """

    def __init__(
        self,
        allowed: Callable[[str], bool] = lambda _address: True,
        connection_limits: ConnectionLimits = ConnectionLimits(),
        *,
        known: KnownSources | None = None,
        proxies: Callable[[str], bool] = lambda _address: False,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,  # noqa: S311 (spreads load; not for security)
    ) -> None:
        """`allowed` is the network list: whether an address, as text, may connect. `proxies` says which addresses are
        proxies whose headers are trusted. `clock` gives seconds; `chance`, in [0, 1), decides on random drops.
        """
        self.allowed = allowed
        self.known = KnownSources() if known is None else known
        self._limits = connection_limits
        self._proxies = proxies
        self._exempt = tuple(ipaddress.ip_network(network) for network in connection_limits.penalties.exempt)
        self._clock = clock
        self._chance = chance
        self.total = 0
        self.strangers = Startups(connection_limits.per_source, connection_limits.unauthenticated)
        self.returning = Startups(connection_limits.known_per_source, connection_limits.returning)
        self.proxied = Startups(connection_limits.known_per_source, connection_limits.returning)
        self._penalties: OrderedDict[str, float] = OrderedDict()

    def enter(self, address: str) -> ConnectionSlot:
        """A slot for a connection from `address`.

        Raises:
            Denied: it may not connect, or not now; `rule` is the event for the audit.
        """
        if proxied := self._proxies(address):
            source, startups = source_of(address), self.proxied
            self._check_count(source, startups)
        else:
            source, startups = self.admit(address)
        if self.total >= self._limits.total:
            raise Denied(f"{self._limits.total} connections are open", rule="cap")
        self.total += 1
        return ConnectionSlot(self, source, startups, proxied=proxied)

    def admit(self, address: str) -> tuple[str, Startups]:
        """The source of a connection from `address`, and what it counts among (for `ConnectionSlot`).

        Raises:
            Denied: as by `enter`.
        """
        if not self.allowed(address):
            raise Denied(f"{address} is not on the network list", rule="acl")
        source = source_of(address)
        if source in self.known:
            self._check_count(source, self.returning)
            return source, self.returning
        self._check_penalty(source)
        self._check_count(source, self.strangers)
        count = self.strangers.count
        if count >= self._limits.begin and self._chance() < self._drop():
            raise Denied(f"dropped early: {count} connections are not authenticated yet", rule="early")
        return source, self.strangers

    def _check_count(self, source: str, startups: Startups) -> None:
        if startups.sources[source] >= startups.per_source:
            raise Denied(f"{startups.per_source} connections of {source} are not authenticated yet", rule="cap-source")
        if startups.count >= startups.most:
            raise Denied(f"{startups.most} connections are not authenticated yet", rule="cap-strangers")

    def _drop(self) -> float:
        """Probability of an early drop: `rate` at `begin`, 1 at `unauthenticated`, linear in between."""
        begin, rate = self._limits.begin, self._limits.rate
        part = (self.strangers.count - begin) / max(1, self._limits.unauthenticated - begin)
        return rate + (1 - rate) * part

    def _check_penalty(self, source: str) -> None:
        until = self._penalties.get(source)
        if until is None:
            return
        rest = until - self._clock()
        if rest <= 0:
            del self._penalties[source]
        elif rest >= self._limits.penalties.from_s:
            raise Denied(f"{source} must stay away for {rest:.0f} s", rule="penalty")

    @property
    def penalties(self) -> dict[str, float]:
        """For each source, until when it must stay away, on the gate's clock."""
        return dict(self._penalties)

    def left(self, source: str, event: str) -> None:
        """A connection of `source` has gone (for `ConnectionSlot`)."""
        self.total -= 1
        penalty = self._limits.penalties.of(event)
        if penalty <= 0 or source in self.known or self._is_exempt(source):
            return
        now = self._clock()
        until = max(now, self._penalties.pop(source, now)) + penalty
        self._penalties[source] = min(until, now + self._limits.penalties.most_s)
        if len(self._penalties) > limits.PENALTY_SOURCES:
            self._penalties.popitem(last=False)

    def _is_exempt(self, source: str) -> bool:
        network = ipaddress.ip_network(source)
        return any(network.overlaps(exempt) for exempt in self._exempt if exempt.version == network.version)
