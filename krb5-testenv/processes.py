"""Descendants of this process: lists them, ends them all, waits for one and reaps the rest."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_GRACE_S = 2.0  # between asking and killing
_KILLED_S = 60.0  # for the kernel to end what was killed


def adopt_orphans() -> None:
    """Makes orphaned descendants of this process its children, so that none is lost from sight."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def below(pid: int) -> Iterator[int]:
    """All descendants of `pid`, parents first."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from below(int(child))


def send(pid: int, number: int) -> None:
    """Sends a signal to `pid` and all its descendants."""
    for target in [pid, *below(pid)]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(target, number)


def wait_for(pid: int) -> int:
    """The exit status of `pid`, 128 + N for a signal; reaps whatever else ends meanwhile."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def end_all(spared: frozenset[int]) -> None:
    """Ends all descendants of this process, except those `spared` and theirs."""
    for number, patience in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _KILLED_S)):
        deadline = time.monotonic() + patience
        for pid in _ours(spared):
            send(pid, number)
        while _ours(spared) and time.monotonic() < deadline:
            time.sleep(0.01)


def _ours(spared: frozenset[int]) -> list[int]:
    """Living children, of any thread, that are not spared; dead ones are reaped on the way."""
    children: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            children += (task / "children").read_text().split()
    ours = [int(child) for child in children if int(child) not in spared]
    return [pid for pid in ours if not _reaped(pid)]


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
