"""Whether the processes that wait for a compile are still alive: make may be killed without the launcher noticing.

A shell, libtool or ccache between make and the launcher survives when make is killed. So ancestors are followed upwards
through such intermediaries to the first process that is not one, and all of them are watched.
"""

import asyncio
import functools
import os
from collections.abc import Callable

GO_BETWEENS = frozenset(
    (
        b"sh",
        b"dash",
        b"bash",
        b"zsh",
        b"ksh",
        b"ksh93",
        b"mksh",
        b"busybox",
        b"ccache",
        b"env",
        b"nice",
        b"time",
        b"cmake",
    )
)
"""Programs that run one command for another process and wait for it, by the name of their executable."""

WATCHED_AFTER_S = 0.7
"""Seconds. A shorter compile is not worth watching: anything it leaves behind ends within a second anyway."""

_GENERATIONS = 12


class ProcessAncestry:
    """Watches from WATCHED_AFTER_S after `start` until `stop`; calls `orphaned` once if one of the ancestors dies."""

    def __init__(self, process: int, parent: int, orphaned: Callable[[], None]) -> None:
        self._process = process
        self._parent = parent
        self._orphaned = orphaned
        self._ancestors: list[int] = []
        self._descriptors: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts. The ancestors are found now: later, a shell whose make was killed has init as its parent."""
        self._ancestors = ancestors(self._process, self._parent)
        self._timer = asyncio.get_running_loop().call_later(WATCHED_AFTER_S, self._watch)

    @property
    def started(self) -> bool:
        """Whether `start` was called, even if watching has not begun yet."""
        return self._timer is not None

    def stop(self) -> None:
        """Ends the watch; may be called more than once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        for descriptor in self._descriptors:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self._descriptors = []

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        children = (self._process, *self._ancestors)
        parents = (self._parent, *self._ancestors[1:])
        if any(_adopted(child, parent) for child, parent in zip(children, parents, strict=False)):
            self._died()
            return
        for process in self._ancestors:
            try:
                descriptor = os.pidfd_open(process)
            except ProcessLookupError:
                self._died()
                return
            except OSError:
                continue
            self._descriptors.append(descriptor)
            loop.add_reader(descriptor, self._died)

    def _died(self) -> None:
        self.stop()
        self._orphaned()


def ancestors(process: int, parent: int) -> list[int]:
    """The process ids above `process`, the child of `parent`: nearest first, up to the first that is not an
    intermediary. Empty if /proc does not show them.
    """
    line: list[int] = []
    try:
        if not os.path.samestat(os.stat(f"/proc/{process}/ns/pid"), _our_pid_namespace()):
            return []  # its process ids differ from those that we see
        while parent > 1 and len(line) < _GENERATIONS:
            line.append(parent)
            if os.readlink(b"/proc/%d/exe" % parent).rpartition(b"/")[2] not in GO_BETWEENS:
                break
            parent = parent_of(parent)
    except OSError:
        pass
    return line


@functools.cache
def _our_pid_namespace() -> os.stat_result:
    """The agent's own PID namespace: it never changes (pid_namespaces(7))."""
    return os.stat("/proc/self/ns/pid")


def _adopted(process: int, parent: int) -> bool:
    """Whether another process, such as init, is the parent now. False if /proc does not show it."""
    try:
        return parent_of(process) != parent
    except OSError:
        return False


def parent_of(process: int) -> int:
    """The parent's process id: field 4 of /proc/PID/stat (proc(5)); field 2 may contain blanks and parentheses.

    Raises:
        OSError: /proc does not show the process.
    """
    with open(b"/proc/%d/stat" % process, "rb", buffering=0) as file:
        return int(file.read(4096).rpartition(b")")[2].split()[1])
