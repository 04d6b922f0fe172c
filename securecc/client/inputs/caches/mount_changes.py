"""What is remembered by path is forgotten when anything is mounted or unmounted.

Another file system at the same place may show equal stat keys: device numbers are given out again, and a copy of an
image has the inodes and times of the original.
"""

from collections.abc import Callable
from typing import Protocol

Points = tuple[bytes, ...]
"""Mount points."""


class Clearable(Protocol):
    """A cache that is keyed by path."""

    def clear(self) -> None:
        """Forgets everything."""


class MountChanges:
    """Clears caches whenever the mount table has changed since the last look."""

    def __init__(
        self, changed: Callable[[], Points], *caches: Clearable, forget: Callable[[Points], None] = lambda _: None
    ) -> None:
        """`changed` returns the mount points that have changed since its last call
        (`securecc.client.host.mount_table.MountTable.changed`). `forget` is for what is too costly to be cleared for a
        mount elsewhere.
        """
        self._changed = changed
        self._caches = caches
        self._forget = forget

    def apply(self) -> None:
        """Call before each compile."""
        points = self._changed()
        if points:
            for cache in self._caches:
                cache.clear()
            self._forget(points)
