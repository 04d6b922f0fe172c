"""The C library's heap, told to stay small: agents and daemons live long, and hold much for a moment (mallopt(3),
malloc_trim(3)); and what Python makes of it.
"""

import contextlib
import ctypes
import gc
import itertools

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_THRESHOLD = 64 * 1024
"""Bytes. What is larger (a source, a header's text) is mapped by itself and goes back to the system when dropped."""
_YOUNG = 10_000
"""Objects that are made, and not dropped by their users, before cycles among them are looked for: a few MiB at most."""
_EVERY = 10
"""Calls of `trim` between looks at everything, but for what `freeze_gc` left alone."""
_looks = itertools.count(1)


def tune_malloc() -> None:
    """One arena for all threads, and nothing large kept for later. Where the C library is another, nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)
        library.mallopt(_M_TRIM_THRESHOLD, _THRESHOLD)


def freeze_gc() -> None:
    """What there is now stays as long as the process: Python's collector of cycles need not look at it any more. A look
    at all that a daemon has imported takes it some 10 to 25 ms, in which nobody is served, and strangers by the hundred
    bring one about each second. At what comes and goes it looks more seldom: a job makes some thousand objects, hardly
    one of them in a cycle, and the looks took a seventh of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


def trim() -> None:
    """Returns what lies free between what is used, and what only cycles hold. Takes some 0.1 ms for each 10 MiB of
    heap, and a millisecond for the cycles.

    Young ones are looked for each time, all of them every so many times: who calls this each second keeps Python's own
    collector from its turn, and what was in use at one look and is a cycle at the next would stay for ever.
    """
    gc.collect(2 if next(_looks) % _EVERY == 0 else 1)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
