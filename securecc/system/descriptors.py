"""File descriptors: closing many, and raising their limit."""

import contextlib
import os
import resource
from collections.abc import Iterable

_HIGHEST = 1 << 20  # fs.nr_open of Linux, unless raised


def close_all(descriptors: Iterable[int]) -> None:
    """Closes each one, even if closing another fails."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def close_all_but(kept: int) -> None:
    """Closes all descriptors of this process except 0, 1, 2 and `kept`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(3, kept)
    os.closerange(kept + 1, min(most, _HIGHEST))


def allow_as_many_as_possible() -> None:
    """Raises the soft limit on open descriptors to the hard one (RLIMIT_NOFILE of setrlimit(2))."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
