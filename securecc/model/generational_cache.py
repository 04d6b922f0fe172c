"""A dictionary of bounded size that costs no more time or memory per entry than a plain one."""

from collections.abc import Callable
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class GenerationalCache(Generic[_K, _V]):
    """Forgets what has not been used recently: used entries are in the young generation; when that weighs half of
    `most`, it becomes the old one, and old entries that were not used since are dropped.

    An LRU cache keeps a linked list as well, which doubles memory and time if entries are small and a compile looks up
    hundreds of them. `weigh` returns a value's weight; without it every value weighs 1. Values are never None.
    """

    __slots__ = ("_half", "_old", "_weigh", "_weight", "_young")

    def __init__(self, most: int, weigh: Callable[[_V], int] | None = None) -> None:
        self._half = max(most // 2, 1)
        self._weigh = weigh
        self._weight = 0
        self._young: dict[_K, _V] = {}
        self._old: dict[_K, _V] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, key: _K) -> _V | None:
        """The value, which now counts as used; None if there is none."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self[key] = value
        return value

    def __setitem__(self, key: _K, value: _V) -> None:
        known = self._young.get(key)
        self._weight += self._weight_of(value) - (self._weight_of(known) if known is not None else 0)
        self._young[key] = value
        if self._weight >= self._half:
            self._old, self._young, self._weight = self._young, {}, 0

    def clear(self) -> None:
        """Forgets everything."""
        self._young, self._old, self._weight = {}, {}, 0

    def _weight_of(self, value: _V) -> int:
        return 1 if self._weigh is None else self._weigh(value)
