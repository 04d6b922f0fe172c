"""What has been mounted and unmounted since the last call, which no watch on a directory reports."""

import os
import select
import weakref
from collections.abc import Callable
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
_POINT = 4  # of a line's words, proc_pid_mountinfo(5)


class MountTable:
    """The mount points of this process's mount namespace (proc(5): the table can be polled for changes, unread)."""

    def __init__(self) -> None:
        """Reads the table.

        Raises:
            OSError: there is no /proc.
        """
        self._descriptor = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLPRI)
        self._known = _lines()
        self._close = weakref.finalize(self, os.close, self._descriptor)

    def changed(self) -> tuple[bytes, ...]:
        """The mount points where something was mounted, unmounted or remounted since the last call; the root if the
        table shows the same as before, since one file system may have come in place of another.
        """
        if not self._poll.poll(0):
            return ()
        before, self._known = self._known, _lines()
        return tuple({_point(line) for line in before ^ self._known}) or (b"/",)

    def close(self) -> None:
        """Closes the table, as does its end as an object."""
        self._close()


def changes() -> Callable[[], tuple[bytes, ...]]:
    """A new table's `MountTable.changed`; without a /proc, anything may have changed at any time."""
    try:
        return MountTable().changed
    except OSError:
        return lambda: (b"/",)


def overlap(one: bytes, other: bytes) -> bool:
    """Whether one of two absolute paths is the other, or lies below it."""
    short, long = sorted((one.rstrip(b"/"), other.rstrip(b"/")), key=len)
    return long == short or long.startswith(short + b"/")


def _lines() -> frozenset[bytes]:
    return frozenset(_TABLE.read_bytes().splitlines())


def _point(line: bytes) -> bytes:
    """The mount point of a line, whose blanks, newlines and backslashes are octal escapes."""
    return line.split(b" ")[_POINT].decode("unicode_escape").encode("latin-1")
