"""Results that wait for their clients: how much they hold together, and who is cut off when that is too much."""

from typing import Protocol

from securecc.model import limits
from securecc.model.messages import Goodbye


class Taker(Protocol):
    """A channel, as far as it matters here."""

    reference: str

    def close(self, goodbye: Goodbye | None = None) -> None:
        """Says goodbye and ends."""


class DeliveryBacklog:
    """At most RESULTS_WAITING bytes: a result is held in memory until its client has taken it, and whether it does is
    up to the client.
    """

    def __init__(self) -> None:
        self.total = 0
        self._takers: dict[Taker, int] = {}

    def add(self, taker: Taker, size: int) -> None:
        """A result of `size` bytes waits. If that is too much, the channel that has most waiting is closed."""
        self.total += size
        self._takers[taker] = self._takers.get(taker, 0) + size
        if self.total > limits.RESULTS_WAITING:
            slowest = max(self._takers, key=self._takers.__getitem__)
            reason = f"{self._takers[slowest]} bytes of results wait for you, and the server has no more room"
            slowest.close(Goodbye("limit", reason, slowest.reference))

    def remove(self, taker: Taker, size: int) -> None:
        """It has been taken, or never will be."""
        self.total -= size
        rest = self._takers[taker] - size
        if rest:
            self._takers[taker] = rest
        else:
            del self._takers[taker]
