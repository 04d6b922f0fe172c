"""Anomalies in a log, found by rules that need nothing but the log itself. Pure.

The rules look at what happened since a given time and compare it with what was before, the history. docs/audit.md says
what each rule means and how it is set.
"""

import datetime as dt
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from securecc.model import limits
from securecc.model.address import host_of, source_of

AnomalyKind = Literal["first-seen", "new-address", "out-of-hours", "burst"]
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """An anomaly: its rule, when it began, whose it is, and a description."""

    rule: AnomalyKind
    time: str
    principal: str
    detail: str


@dataclass(frozen=True, slots=True)
class Hours:
    """Working hours: from `begin` to `end` (minutes of the day; an `end` after midnight is smaller than `begin`)
    on `days` (0 is Monday) in `zone`.
    """

    begin: int = 6 * 60
    end: int = 22 * 60
    days: frozenset[int] = frozenset(range(7))
    zone: dt.tzinfo | None = None

    def contain(self, moment: dt.datetime) -> bool:
        """Whether a moment lies within them."""
        local = moment.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin <= self.end:
            return day in self.days and self.begin <= minute < self.end
        return (minute >= self.begin and day in self.days) or (minute < self.end and (day - 1) % 7 in self.days)


@dataclass(frozen=True, slots=True)
class Rate:
    """More than `count` within `seconds` is a burst."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class AnomalyRules:
    """What counts as an anomaly. History ends at `since`, a time as records have it (empty: there is no history)."""

    since: str = ""
    hours: Hours = Hours()
    jobs: Rate = Rate(10_000, 600.0)
    connections: Rate = Rate(60, 600.0)
    denials: Rate = Rate(20, 600.0)


@dataclass(slots=True)
class _Person:
    """What is known of one principal so far."""

    known: bool
    sources: set[str] = field(default_factory=set)
    nights: set[str] = field(default_factory=set)
    recent: dict[str, deque[float]] = field(default_factory=dict)
    bursts: dict[str, int] = field(default_factory=dict)


class AnomalyDetector:
    """Takes records in their order; `findings` are the anomalies, at most `limits.AUDIT_FINDINGS`."""

    def __init__(self, rules: AnomalyRules) -> None:
        self._rules = rules
        self._people: dict[str, _Person] = {}
        self._history = False
        self.findings: list[Finding] = []

    @property
    def has_history(self) -> bool:
        """Whether there were older records to compare with."""
        return self._history

    def add(self, fields: Fields) -> None:
        """Takes the next record; records of other things than connections and jobs are ignored."""
        what = _WHAT.get(str(fields.get("kind")))
        time, principal = fields.get("time"), fields.get("principal")
        if what is None or not isinstance(time, str) or not isinstance(principal, str):
            return
        kind = what(fields)
        moment = moment_of(time)
        if not kind or moment is None:
            return
        old = time < self._rules.since
        self._history |= old
        person = self._people.get(principal)
        if person is None:
            person = self._people[principal] = _Person(known=old)
            if not old and self._history and kind != "denials":
                self._find("first-seen", time, principal, f"from {_source(fields)}, rule {fields.get('rule')}")
        self._address(person, fields, kind, old=old)
        if not old:
            self._night(person, fields, kind, moment)
            self._burst(person, fields, kind, moment)

    def _address(self, person: _Person, fields: Fields, kind: str, *, old: bool) -> None:
        source = _source(fields)
        if kind == "denials" or source in person.sources or len(person.sources) >= limits.AUDIT_ADDRESSES:
            return
        if person.sources and not old and self._history:
            self._find("new-address", fields["time"], fields["principal"], f"{source}, not seen before")
        person.sources.add(source)

    def _night(self, person: _Person, fields: Fields, kind: str, moment: dt.datetime) -> None:
        if kind == "denials" or self._rules.hours.contain(moment):
            return
        local = moment.astimezone(self._rules.hours.zone)
        night = local.date().isoformat()
        if night not in person.nights:
            person.nights.add(night)
            what = "a job" if kind == "jobs" else "a connection"
            self._find("out-of-hours", fields["time"], fields["principal"], f"{what} at {local:%a %H:%M %Z}".rstrip())

    def _burst(self, person: _Person, fields: Fields, kind: str, moment: dt.datetime) -> None:
        rate: Rate = getattr(self._rules, kind)
        now = moment.timestamp()
        recent = person.recent.setdefault(kind, deque(maxlen=rate.count + 1))
        recent.append(now)
        while recent and recent[0] <= now - rate.seconds:
            recent.popleft()
        if len(recent) <= rate.count:
            person.bursts.pop(kind, None)
        elif kind not in person.bursts:
            person.bursts[kind] = 1
            self._find("burst", fields["time"], fields["principal"], f"over {rate.count} {kind} in {rate.seconds:g} s")

    def _find(self, rule: AnomalyKind, time: str, principal: str, detail: str) -> None:
        if len(self.findings) < limits.AUDIT_FINDINGS:
            self.findings.append(Finding(rule, time, principal, detail))


def moment_of(time: str) -> dt.datetime | None:
    """A record's time; None if the text is not one."""
    try:
        found = dt.datetime.fromisoformat(time)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


def _source(fields: Fields) -> str:
    peer = str(fields.get("peer", ""))
    try:
        return source_of(host_of(peer))
    except ValueError:
        return peer


def _connection(fields: Fields) -> str:
    return "connections" if fields.get("decision") == "allowed" else "denials"


_WHAT: Mapping[str, Callable[[Fields], str]] = {
    "connection": _connection,
    "job-start": lambda _: "jobs",
    "job-refused": lambda _: "denials",
}
