"""What the front itself records in the audit log: events of the daemon, who was admitted, who was refused."""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping

from securecc import __version__
from securecc.audit.records import daemon_events
from securecc.audit.records.record import Record
from securecc.channel.channel import Channel, Peer
from securecc.model import limits
from securecc.model.address import address
from securecc.model.errors import AuditError
from securecc.model.grant import Grant
from securecc.server.connections.refusal_tally import RefusalTally

log = logging.getLogger("securecc")

_COUNTED = frozenset(
    ("acl", "cap", "cap-source", "cap-strangers", "early", "penalty", "crowd", "silent", "deadline", "tls", "protocol")
)
"""Events caused by unauthenticated peers: counted, not recorded one by one."""

_MINUTE_S = 60.0


class _Denials:
    """How often each principal was denied in this minute: a few denials are recorded, the others counted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._counts: Counter[str] = Counter()

    def are_many(self, principal: str) -> bool:
        """Counts a denial; returns whether there are too many to record each."""
        now = self._clock()
        if now - self._began >= _MINUTE_S:
            self._began = now
            self._counts.clear()
        if self._counts[principal] >= limits.DENIALS_PER_PRINCIPAL or self._counts.total() >= limits.DENIALS:
            return True
        self._counts[principal] += 1
        return False


class AuditEvents:
    """`append` writes one record; `revision` returns the policy in force; `refused` counts refused connections."""

    def __init__(
        self,
        append: Callable[[Record], object],
        revision: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._append = append
        self._revision = revision
        self._tally = RefusalTally()
        self._denials = _Denials(clock)
        self.refused = 0

    def admitted(self, channel: Channel, grant: Grant) -> None:
        """Records that a connection was admitted.

        Raises:
            AuditError: it cannot be recorded, and must be closed.
        """
        peer = address(*channel.peer)
        self._append(
            daemon_events.connection(
                "allowed",
                peer=peer,
                principal=grant.principal,
                reference=channel.reference,
                rule=grant.rule,
                reason=_proxied(channel),
                policy=grant.revision,
            )
        )
        log.info("%s from %s admitted by rule %s", grant.principal, peer, grant.rule)

    def notice(self, event: str, peer: Peer, detail: Mapping[str, str]) -> None:
        """Records or counts a refused connection: denied principals are recorded, if not too often; everything else is
        counted.
        """
        self.refused += 1
        principal = detail.get("principal", "")
        if event in _COUNTED or not principal or self._denials.are_many(principal):
            log.debug("%s from %s: %s", event, address(*peer), detail.get("why", ""))
            self._tally.count(peer[0], event, time.time_ns())
            return
        log.info("%s from %s: %s: %s", event, address(*peer), principal, detail.get("why", ""))
        with contextlib.suppress(AuditError):
            self._append(
                daemon_events.connection(
                    "denied",
                    peer=address(*peer),
                    principal=detail["principal"],
                    reference=detail.get("reference", ""),
                    rule=detail.get("rule", ""),
                    reason=detail.get("why", ""),
                    policy=self._revision(),
                )
            )

    def write_tally(self, *, ending: bool = False) -> None:
        """Records the counts that are due; with `ending`, all of them."""
        for record in self._tally.take(time.time_ns(), ending=ending):
            said = " ".join(f"{event}:{count}" for event, count in sorted(record.counts.items()))
            log.info("refused in a minute, from %s: %s", record.source, said)
            with contextlib.suppress(AuditError):
                self._append(record)

    def daemon(self, event: daemon_events.DaemonEvent, detail: str, layers: tuple[str, ...] = ()) -> None:
        """Records an event of the daemon itself, or logs it if it cannot be recorded."""
        policy = self._revision()
        record = daemon_events.daemon(event, detail=detail, version=__version__, policy=policy, layers=layers)
        try:
            self._append(record)
        except AuditError as error:
            log.error("%s", error)  # noqa: TRY400 - the error says it all


def _proxied(channel: Channel) -> str:
    """Which proxy a connection came through."""
    if not channel.proxy:
        return ""
    return f"by proxy {channel.proxy}" + (", which named no client" if channel.peer[0] == channel.proxy else "")
