"""Equal values as one object: an agent remembers thousands of compiles that read mostly the same."""

from typing import TypeVar

from securecc.model import limits
from securecc.model.generational_cache import GenerationalCache

_T = TypeVar("_T")


class Interner:
    """Returns the first object that was equal to a given one. Values must be immutable and hashable."""

    def __init__(self, most: int = limits.VALUES_SHARED) -> None:
        """Knows at most `most` values; beyond that, equal ones may exist twice."""
        self._known: GenerationalCache[object, object] = GenerationalCache(most)

    def one(self, value: _T) -> _T:
        """The object that stands for all values equal to `value` and of its type."""
        known = self._known.get(value)
        if known is None:
            self._known[value] = known = value
        return known if type(known) is type(value) else value
