"""Results that wait for their clients: the memory that they take, and which channel is closed when it is too much."""

from typing import Protocol

from securecc.model import limits
from securecc.model.messages import Goodbye


class Receiver(Protocol):
    """A channel that results are sent to."""

    @property
    def reference(self) -> str:
        """By which the audit log finds it."""

    def close(self, goodbye: Goodbye | None = None) -> None:
        """Says goodbye and closes."""


class DeliveryBacklog:
    """At most RESULTS_WAITING bytes: a result stays in memory until its client has received it, however slowly."""

    def __init__(self) -> None:
        self.total = 0
        self._receivers: dict[Receiver, int] = {}

    def __len__(self) -> int:
        """How many channels have results waiting."""
        return len(self._receivers)

    def add(self, receiver: Receiver, size: int) -> None:
        """Adds a waiting result of `size` bytes. If that is too much, the channel with the most bytes waiting is
        closed.
        """
        self.total += size
        self._receivers[receiver] = self._receivers.get(receiver, 0) + size
        if self.total > limits.RESULTS_WAITING:
            slowest = max(self._receivers, key=self._receivers.__getitem__)
            reason = f"{self._receivers[slowest]} bytes of your results are waiting: the server holds no more"
            slowest.close(Goodbye("limit", reason, slowest.reference))

    def remove(self, receiver: Receiver, size: int) -> None:
        """Removes a result that has been received, or never will be."""
        self.total -= size
        rest = self._receivers[receiver] - size
        if rest:
            self._receivers[receiver] = rest
        else:
            del self._receivers[receiver]
