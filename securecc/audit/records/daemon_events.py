"""Records of connections and of the daemon: who was admitted or refused, and what happened to daemon and log."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from securecc.audit.records.escaped_text import rendered, text
from securecc.audit.records.record import Decision, Record

DaemonEvent = Literal["start", "stop", "reload", "reload-refused"]
Problem = Literal["torn", "missing", "unwritten"]


class Connection(Record, frozen=True, tag="connection"):
    """A peer was admitted or refused: when it connected, at a reload, or for breaking the protocol. `reference` is the
    number that it is told.
    """

    decision: Decision
    peer: str
    principal: str
    rule: str
    reference: str
    reason: str
    policy: str

    @property
    def permits(self) -> bool:
        """Nobody is admitted without a record."""
        return self.decision == "allowed"


class Daemon(Record, frozen=True, tag="daemon"):
    """The daemon started, stopped, loaded a policy or refused to load it."""

    pressing: ClassVar[bool] = True
    event: DaemonEvent
    detail: str
    version: str
    policy: str
    sandbox: tuple[str, ...]


class Strangers(Record, frozen=True, tag="strangers"):
    """The refused unauthenticated connections of one source in one minute. `source` is ``others`` for those that were
    not counted separately; `sources` is how many there were at least.
    """

    decision: Decision
    source: str
    sources: int
    minute: str
    counts: dict[str, int]


class Repair(Record, frozen=True, tag="repair"):
    """The log itself: an incomplete end (`count` bytes, `sha256` of them) was cut off, or `count` records are missing,
    or could not be written.
    """

    problem: Problem
    count: int
    sha256: str
    detail: str


class Checkpoint(Record, frozen=True, tag="checkpoint"):
    """A signature over the chain up to record `signed_seq`, whose line has the digest `signed_hash`, at `signed_time`.

    At most `every` records follow before the next one. `host` is the server whose log this is. `key` is the public key,
    `signature` that over `securecc.audit.checkpoint.statement`.
    """

    pressing: ClassVar[bool] = True
    signed_seq: int
    signed_hash: str
    signed_time: str
    every: int
    host: str
    key: str
    signature: str


def connection(
    decision: Decision,
    *,
    peer: str,
    principal: str,
    reference: str,
    rule: str = "",
    reason: str = "",
    policy: str = "",
) -> Connection:
    """The record of an admission or refusal. `principal` is `str` of it; `policy` is the revision that decided."""
    return Connection(
        decision, text(peer), rendered(principal), text(rule), text(reference), text(reason), text(policy)
    )


def daemon(
    event: DaemonEvent,
    *,
    detail: str = "",
    version: str = "",
    policy: str = "",
    layers: Iterable[str] = (),
) -> Daemon:
    """The record of an event of the daemon."""
    return Daemon(event, text(detail), text(version), text(policy), tuple(map(text, layers)))


def strangers(source: str, minute: str, counts: Mapping[str, int], sources: int = 1) -> Strangers:
    """The record of one source's refusals in a minute."""
    return Strangers("denied", text(source), sources, minute, {text(name): count for name, count in counts.items()})
