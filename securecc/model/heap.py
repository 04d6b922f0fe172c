"""Keeps the heap small (mallopt(3), malloc_trim(3)) and the garbage collector quick: agents and daemons run for long,
and hold much memory for short moments.
"""

import contextlib
import ctypes
import gc
import itertools

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_THRESHOLD = 64 * 1024
"""Bytes. Larger blocks (a source, a header's text) are mapped one by one and returned to the system when freed."""
_YOUNG = 10_000
"""How many objects may be allocated and not freed before a search for cycles: a few MiB at most."""
_EVERY = 10
"""Calls of `trim` between full collections."""
_looks = itertools.count(1)


def tune_malloc() -> None:
    """Sets one arena for all threads, and keeps no large free blocks. Does nothing if the C library is not glibc."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)
        library.mallopt(_M_TRIM_THRESHOLD, _THRESHOLD)


def freeze_gc() -> None:
    """Exempts all existing objects from garbage collection: they live as long as the process. A full collection over
    all that a daemon has imported takes 10 to 25 ms, during which no one is served, and a hundred connections cause one
    each second. Short-lived objects are collected less often: a job makes some thousand objects, hardly one of them in
    a cycle, and collections took a seventh of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


def trim() -> None:
    """Returns free memory to the system, including that of unreachable cycles. Takes some 0.1 ms for each 10 MiB of
    heap, and a millisecond for the cycles.

    Collects young objects each time, and all of them every so many calls: called each second, it keeps Python's own
    collector from running, and objects that were in use at one collection and are garbage at the next would never be
    freed.
    """
    gc.collect(2 if next(_looks) % _EVERY == 0 else 1)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
