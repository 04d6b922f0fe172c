"""Equal values as one object. An agent remembers thousands of compiles that read mostly the same."""

from typing import TypeVar

_T = TypeVar("_T")

KEPT = 65536
"""Values; beyond that it begins anew, and memory grows a little."""


class Interner:
    """Gives back the first object that was equal to one. Values must be immutable and hashable."""

    def __init__(self) -> None:
        self._known: dict[object, object] = {}

    def one(self, value: _T) -> _T:
        """The object that stands for `value` and all that are equal and of its type."""
        known = self._known.setdefault(value, value)
        if len(self._known) > KEPT:
            self._known.clear()
        return known if type(known) is type(value) else value
