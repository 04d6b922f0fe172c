"""Totals of a log: who did how much, who was refused what, and what happened to the daemon. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from securecc.model import limits
from securecc.model.address import host_of

Fields = Mapping[str, Any]


@dataclass(slots=True)
class Person:
    """One principal's totals: connections admitted, jobs started and how they ended, CPU time in seconds, output in
    bytes, and the hosts it came from.
    """

    first: str
    last: str = ""
    connections: int = 0
    jobs: int = 0
    denials: int = 0
    failures: int = 0
    cpu_s: float = 0.0
    made: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    hosts: set[str] = field(default_factory=set)


class Summary:
    """Adds up records, in any order. Fields of the wrong type are ignored."""

    def __init__(self) -> None:
        self.first = self.last = ""
        self.records = 0
        self.people: dict[str, Person] = {}
        self.denials: Counter[tuple[str, str, str]] = Counter()
        self.strangers: Counter[tuple[str, str]] = Counter()
        self.daemon: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()

    def add(self, fields: Fields) -> None:
        """Takes one more record."""
        time = _text(fields, "time")
        self.records += 1
        self.first = min(self.first or time, time)
        self.last = max(self.last, time)
        kind = _text(fields, "kind")
        if kind in {"connection", "job-start", "job-end", "job-refused"}:
            self._add_person(kind, time, fields)
        elif kind == "strangers":
            self._add_strangers(fields)
        elif kind == "daemon":
            self.daemon[_text(fields, "event")] += 1
        elif kind == "repair":
            self.repairs[_text(fields, "problem")] += _number(fields, "count")

    def _add_person(self, kind: str, time: str, fields: Fields) -> None:
        principal = _text(fields, "principal")
        person = self.people.setdefault(principal, Person(time))
        person.first, person.last = min(person.first, time), max(person.last, time)
        if len(person.hosts) < limits.AUDIT_ADDRESSES:
            person.hosts.add(host_of(_text(fields, "peer")))
        if kind == "job-refused" or (kind == "connection" and fields.get("decision") != "allowed"):
            person.denials += 1
            self.denials[principal, _text(fields, "code") or "connection", _text(fields, "reason")] += 1
        elif kind == "connection":
            person.connections += 1
        elif kind == "job-start":
            person.jobs += 1
        else:
            _add_end(person, fields)

    def _add_strangers(self, fields: Fields) -> None:
        counts = fields.get("counts")
        if not isinstance(counts, dict):
            return
        for reason in counts:
            self.strangers[_text(fields, "source"), str(reason)] += _number(counts, reason)


def _add_end(person: Person, fields: Fields) -> None:
    usage, outputs = fields.get("usage"), fields.get("outputs")
    if isinstance(usage, dict):
        person.cpu_s += _number(usage, "user_s") + _number(usage, "system_s")
    for made in outputs if isinstance(outputs, list) else ():
        if isinstance(made, dict):
            person.made += int(_number(made, "size"))
    person.ended[_text(fields, "outcome")] += 1
    person.failures += fields.get("outcome") == "failed" or fields.get("exit") not in (0, None)


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _number(fields: Mapping[str, Any], key: str) -> Any:
    value = fields.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST else 0


_MOST = 2**63
