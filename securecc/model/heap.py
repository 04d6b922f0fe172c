"""Keeps the heap small (mallopt(3), malloc_trim(3)) and the garbage collector quick: agents and daemons live long, and
hold much for a moment.
"""

import contextlib
import ctypes
import gc
import itertools

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_THRESHOLD = 64 * 1024
"""Bytes. Larger blocks (a source, a header's text) are mapped one by one and go back to the system when freed."""
_YOUNG = 10_000
"""Objects allocated and not freed before cycles among them are looked for: a few MiB at most."""
_EVERY = 10
"""Calls of `trim` between full collections."""
_looks = itertools.count(1)


def tune_malloc() -> None:
    """One arena for all threads, and no large free blocks are kept. Does nothing where the C library is not glibc."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)
        library.mallopt(_M_TRIM_THRESHOLD, _THRESHOLD)


def freeze_gc() -> None:
    """Exempts all objects there are from garbage collection: they live as long as the process. A full collection over
    all that a daemon has imported takes 10 to 25 ms, in which nobody is served, and a hundred connections bring one
    about each second. Of what comes and goes it collects less often: a job makes some thousand objects, hardly one of
    them in a cycle, and collections took a seventh of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


def trim() -> None:
    """Returns free memory to the system, that of unreachable cycles too. Takes some 0.1 ms for each 10 MiB of heap, and
    a millisecond for the cycles.

    Young objects are collected each time, all every so many times: called each second, this keeps Python's own
    collector from running, and what was in use at one collection and is a cycle at the next would never be freed.
    """
    gc.collect(2 if next(_looks) % _EVERY == 0 else 1)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
