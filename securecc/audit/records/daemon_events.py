"""Records of the daemon's own life: who was judged, what strangers caused, what befell daemon and log."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from securecc.audit.records.escaped_text import rendered, text
from securecc.audit.records.record import Decision, Record

DaemonEvent = Literal["start", "stop", "reload", "reload-refused"]
Problem = Literal["torn", "missing", "unwritten"]


class Connection(Record, frozen=True, tag="connection"):
    """A peer was judged, at its arrival or again at a reload, or for what it said. `reference` is what it is told."""

    decision: Decision
    peer: str
    principal: str
    rule: str
    reference: str
    reason: str
    policy: str

    @property
    def permits(self) -> bool:
        """Who cannot be recorded does not come in."""
        return self.decision == "allowed"


class Daemon(Record, frozen=True, tag="daemon"):
    """The daemon itself: started, stopped, loaded a policy or would not."""

    pressing: ClassVar[bool] = True
    event: DaemonEvent
    detail: str
    version: str
    policy: str
    sandbox: tuple[str, ...]


class Strangers(Record, frozen=True, tag="strangers"):
    """What unauthenticated peers of one source caused in one minute. `source` is ``others`` for all that had no place
    of their own, `sources` how many they were at least.
    """

    decision: Decision
    source: str
    sources: int
    minute: str
    counts: dict[str, int]


class Repair(Record, frozen=True, tag="repair"):
    """The log itself: a torn tail was cut (`bytes`, `sha256` of it), records are missing, or could not be written."""

    problem: Problem
    count: int
    sha256: str
    detail: str


class Checkpoint(Record, frozen=True, tag="checkpoint"):
    """A signature over the chain up to record `signed_seq`, whose line has the digest `signed_hash`, at `signed_time`.

    `every` says how many records may follow without another one, `host` whose log it is. `key` is the public key,
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
    """The record of a judged peer. `principal` is `str` of it; `policy` is the revision that decided."""
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
    """The record of something that befell the daemon."""
    return Daemon(event, text(detail), text(version), text(policy), tuple(map(text, layers)))


def strangers(source: str, minute: str, counts: Mapping[str, int], sources: int = 1) -> Strangers:
    """The record of one source's minute."""
    return Strangers("denied", text(source), sources, minute, {text(name): count for name, count in counts.items()})
