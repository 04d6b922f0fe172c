"""Whether those who wait for a compile still live: make may be killed without a word to the launcher below it.

A shell, libtool or ccache between make and the launcher lives on when make is killed; so the line is followed upwards
through such go-betweens to the first process that is none, and all of them are watched.
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
"""Programs that run one command for somebody and wait for it, by the name of their executable."""

WATCHED_AFTER_S = 0.7
"""A compile that takes no longer is not worth the watch; what is left behind ends within a second all the same."""

_GENERATIONS = 12


class ProcessAncestry:
    """Watches from some time after `start` until `stop`; calls `orphaned` once if somebody in the line dies."""

    def __init__(self, process: int, parent: int, orphaned: Callable[[], None]) -> None:
        self._process = process
        self._parent = parent
        self._orphaned = orphaned
        self._line: list[int] = []
        self._descriptors: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins the wait. Whom it is for is seen now: a shell whose make was killed shows init above it later."""
        self._line = ancestors(self._process)
        self._timer = asyncio.get_running_loop().call_later(WATCHED_AFTER_S, self._watch)

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
        children = (self._process, *self._line)
        parents = (self._parent, *self._line[1:])
        if any(_adopted(child, parent) for child, parent in zip(children, parents, strict=False)):
            self._died()
            return
        for process in self._line:
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


def ancestors(process: int) -> list[int]:
    """The process ids above `process`, nearest first, up to the first that is no go-between. Empty where /proc does not
    show them.
    """
    line: list[int] = []
    try:
        if not os.path.samestat(os.stat(f"/proc/{process}/ns/pid"), _our_numbers()):
            return []  # its own numbers are others than ours
        while len(line) < _GENERATIONS:
            process = _parent_of(process)
            if process <= 1:
                break
            line.append(process)
            if os.readlink(b"/proc/%d/exe" % process).rpartition(b"/")[2] not in GO_BETWEENS:
                break
    except OSError:
        pass
    return line


@functools.cache
def _our_numbers() -> os.stat_result:
    """The namespace that the agent's process ids are of: it never changes (pid_namespaces(7))."""
    return os.stat("/proc/self/ns/pid")


def _adopted(process: int, parent: int) -> bool:
    """Whether somebody else, init for example, is the parent now. Not where /proc does not show it."""
    try:
        return _parent_of(process) != parent
    except OSError:
        return False


def _parent_of(process: int) -> int:
    """Fourth field of /proc/PID/stat (proc(5)); the second may hold blanks and parentheses."""
    with open(b"/proc/%d/stat" % process, "rb", buffering=0) as file:
        return int(file.read(4096).rpartition(b")")[2].split()[1])
