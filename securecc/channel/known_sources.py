"""Sources from which a client was admitted recently: the gate has separate limits for them.

A source is what `securecc.model.address.source_of` returns. Times are seconds since the epoch and outlive the daemon:
after a restart, the hundred users of a login node reconnect all at once.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from securecc.model import limits


class KnownSources:
    """At most KNOWN_SOURCES, each for KNOWN_SOURCE_S after a client was last admitted from there."""

    def __init__(self, seen: Mapping[str, float] | None = None, clock: Callable[[], float] = time.time) -> None:
        """`seen` is when a client was last admitted, by source. A time in the future counts as now."""
        now = clock()
        rows = sorted(((min(at, now), source) for source, at in (seen or {}).items()), key=lambda row: row[0])
        self._seen = OrderedDict((source, at) for at, source in rows[-limits.KNOWN_SOURCES :])
        self._clock = clock
        self.changed = False

    def __contains__(self, source: str) -> bool:
        at = self._seen.get(source)
        return at is not None and self._clock() - at < limits.KNOWN_SOURCE_S

    def __len__(self) -> int:
        return len(self._seen)

    def learn(self, source: str) -> None:
        """Records that a client was admitted from there. `changed` says that there is something new to save."""
        now = self._clock()
        before = self._seen.get(source)
        if before is not None and 0 <= now - before < limits.KNOWN_RENEWAL_S:
            return
        self._seen[source] = now
        self._seen.move_to_end(source)
        if len(self._seen) > limits.KNOWN_SOURCES:
            self._seen.popitem(last=False)
        self.changed = True

    def take(self) -> dict[str, float]:
        """Times by source, to be saved; resets `changed`."""
        self.changed = False
        return dict(self._seen)
