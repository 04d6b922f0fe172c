"""The C library's heap, told to stay small: agents and daemons live long, and hold much for a moment (mallopt(3),
malloc_trim(3)).
"""

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_THRESHOLD = 64 * 1024
"""Bytes. What is larger (a source, a header's text) is mapped by itself and goes back to the system when dropped."""


def keep_small() -> None:
    """One arena for all threads, and nothing large kept for later. Where the C library is another, nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)
        library.mallopt(_M_TRIM_THRESHOLD, _THRESHOLD)


def give_back() -> None:
    """Returns what lies free between what is used. Takes some 0.1 ms for each 10 MiB of heap."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
