"""Counts events caused by unauthenticated peers, so that they make a bounded number of audit records. Pure."""

from collections import Counter

import msgspec

from securecc.audit.chain import stamp
from securecc.audit.records import daemon_events
from securecc.audit.records.daemon_events import Strangers
from securecc.model import limits
from securecc.model.address import source_of

OTHERS = "others"
_MINUTE_NS = 60_000_000_000
_DAY_NS = 24 * 60 * _MINUTE_NS


def source(address: str) -> str:
    """The source of an address: itself, or its /64 if it is IPv6. Text that is not an address is returned as it is."""
    try:
        return source_of(address)
    except ValueError:
        return address


class RefusalTally:
    """Refused connections by source and reason, for one minute at a time.

    Times are nanoseconds since the epoch. Call `count` for each event, and `take` about once a second and at the end of
    the daemon: it returns the records of each minute that is over.
    """

    def __init__(self, sources: int = limits.STRANGER_SOURCES, day_quota: int = limits.STRANGERS_PER_DAY) -> None:
        self._sources = sources
        self._quota = day_quota
        self._spent = 0
        self._day = -1
        self._minute = -1
        self._counts: dict[str, Counter[str]] = {}
        self._beyond: set[str] = set()
        self._full: list[Strangers] = []

    def __len__(self) -> int:
        """How many sources are counted in the current minute; those beyond `sources` count as one."""
        return len(self._counts)

    def count(self, address: str, reason: str, now_ns: int) -> None:
        """Counts a refused connection. `reason` is the daemon's word, never the peer's."""
        self._turn(now_ns // _MINUTE_NS)
        name = source(address)
        counts = self._counts.get(name)
        if counts is None:
            if len(self._counts) - (OTHERS in self._counts) >= self._sources or self._spent >= self._quota:
                if len(self._beyond) < limits.CONNECTIONS:
                    self._beyond.add(name)
                name = OTHERS
            counts = self._counts.setdefault(name, Counter())
        counts[reason] += 1

    def take(self, now_ns: int, *, ending: bool = False) -> list[Strangers]:
        """The records that are due; with `ending`, those of the current minute as well."""
        self._turn(-1 if ending else now_ns // _MINUTE_NS)
        due, self._full = self._full, []
        return due

    def _turn(self, minute: int) -> None:
        if minute == self._minute:
            return
        when = stamp(max(self._minute, 0) * _MINUTE_NS)
        for name, counts in self._counts.items():
            sources = len(self._beyond) if name == OTHERS else 1
            record = daemon_events.strangers(name, when, counts, sources)
            self._spent += len(msgspec.json.encode(record))
            self._full.append(record)
        self._counts = {}
        self._beyond = set()
        self._minute = minute
        day = minute * _MINUTE_NS // _DAY_NS
        if day > self._day:
            self._day, self._spent = day, 0
