"""A token bucket: how often something may happen, and how often at once."""

from collections.abc import Callable


class TokenBucket:
    """Fills at `rate` tokens a second up to `burst`, and starts full. Both are given with each call, since a policy may
    change them.
    """

    __slots__ = ("_at", "_clock", "_tokens")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._tokens: float | None = None

    def _fill(self, rate: float, burst: float) -> float:
        now = self._clock()
        kept = burst if self._tokens is None else min(burst, self._tokens + (now - self._at) * rate)
        self._at, self._tokens = now, kept
        return kept

    def take(self, count: float, rate: float, burst: float) -> None:
        """Takes `count` tokens even if there are fewer: the debt must be paid before there are any again."""
        self._tokens = self._fill(rate, burst) - count

    def wait(self, count: float, rate: float, burst: float) -> float:
        """In how many seconds there will be `count` tokens, at most `burst`; 0 if there are now."""
        return max(0.0, (count - self._fill(rate, burst)) / rate)
