"""The processes of one sandbox: their start, their supervision and their end, whichever program made it.

A program that makes a sandbox leads a process group that contains only its child, the sandbox's init, and processes
that do not have their own session yet. If the program is killed before it has tied the init's life to its own, the init
becomes our child, since a runner is a subreaper (prctl(2)), and the group tells which child that is. Otherwise
processes are known by their pidfds.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Mapping, Sequence

from securecc.model import limits as bound
from securecc.model.grant import JobLimits
from securecc.model.messages import LimitName, Usage
from securecc.sandbox import process_tree
from securecc.sandbox.sandbox import SandboxResult
from securecc.system.descriptors import close_all

_IGNORED_SIGNALS = {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT}  # by the runner; a compiler must not
_OWN_PROCESSES = 4  # processes of a sandbox that are not the job's: its maker and its init
_AGAIN_S = 0.001  # how soon a killed init is checked again: ending the processes inside takes a moment


def spawn(line: list[bytes], environment: Mapping[bytes, bytes], descriptors: Sequence[int]) -> int:
    """Starts a program whose descriptors 0, 1, 2 and so on are `descriptors`, as leader of a session, and so of a
    process group. Returns the pid.

    Raises:
        OSError: the system refuses.
        ValueError: one of the words contains a NUL.
    """
    lifted: list[int] = []
    actions = []
    try:
        for target, source in enumerate(descriptors):
            if target != source < len(descriptors):  # an earlier descriptor may be duplicated over this one
                source = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, len(descriptors))  # noqa: PLW2901
                lifted.append(source)
            actions.append((os.POSIX_SPAWN_DUP2, source, target))
        return os.posix_spawn(
            line[0], line, environment, file_actions=actions, setsid=True, setsigdef=_IGNORED_SIGNALS, setsigmask=()
        )
    finally:
        close_all(lifted)


class SupervisedProcess:
    """A running sandbox (`sandbox.RunningSandbox`): the started process, with which the whole sandbox dies.

    A subclass reads its program's report of the end (`_finish_by_report`).
    """

    def __init__(self, pid: int, limits: JobLimits, overflowing: Callable[[], bool], *, supervised: int = 0) -> None:
        """`pid` is a child of ours that leads the sandbox's process group. `supervised` is the process whose usage is
        bounded together with that of its descendants, 0 while unknown.
        """
        self._loop = asyncio.get_running_loop()
        self._pid = pid
        self._limits = limits
        self._overflowing = overflowing
        self._supervised = supervised
        self._status = 0
        self._limit: LimitName = ""
        self._began = self._loop.time()
        self._usage = Usage()
        self._done: asyncio.Future[SandboxResult] = self._loop.create_future()
        self._pidfd = os.pidfd_open(pid)
        self._loop.add_reader(self._pidfd, self._outer_ended)
        self._wall = self._loop.call_later(limits.wall_s, self.kill, "wall")
        self._supervision = self._loop.call_later(bound.SUPERVISION_S, self._supervise)

    @property
    def pid(self) -> int:
        """See `sandbox.RunningSandbox`."""
        return self._pid

    async def ended(self) -> SandboxResult:
        """See `sandbox.RunningSandbox`."""
        return await asyncio.shield(self._done)

    def kill(self, limit: LimitName = "") -> None:
        """See `sandbox.RunningSandbox`."""
        if self._done.done():
            return
        self._limit = self._limit or limit
        with contextlib.suppress(OSError):  # it has gone, and its remains are being reaped
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _finish_by_report(self) -> None:
        """Called when no process is left: reads the program's report and calls `_finish`."""
        raise NotImplementedError

    def _outer_ended(self) -> None:
        """Handles the end of the outer process, usually because all have ended. It is reaped only after the group is
        killed: until then no other process can get its number.
        """
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._kill_init()
        self._status = self._reap(self._pid) or 0
        self._reap_init()

    def _kill_init(self) -> None:
        os.killpg(self._pid, signal.SIGKILL)

    def _reap_init(self) -> None:
        """Finishes when no child of ours is left in the group."""
        try:
            while self._reap(-self._pid) is not None:
                pass
        except ChildProcessError:
            self._finish_by_report()
        else:
            self._loop.call_later(_AGAIN_S, self._reap_init)

    def _reap(self, pid: int) -> int | None:
        """Reaps a child and counts its usage, which includes that of children it has reaped. `pid` is as for
        waitpid(2). Returns its exit status or minus a signal; None if it is running.

        Raises:
            ChildProcessError: there is no such child.
        """
        found, status, used = os.wait4(pid, os.WNOHANG)
        if not found:
            return None
        was = self._usage
        memory = max(was.memory, used.ru_maxrss * bound.KIB)
        self._usage = Usage(0.0, was.user_s + used.ru_utime, was.system_s + used.ru_stime, memory)
        return os.waitstatus_to_exitcode(status)

    def _finish(self, status: int, *, ran: bool, memory: int = 0) -> None:
        """`memory` in bytes, if known better than by `_reap`."""
        self._wall.cancel()
        self._supervision.cancel()
        used = self._usage
        usage = Usage(self._loop.time() - self._began, used.user_s, used.system_s, memory or used.memory)
        self._done.set_result(SandboxResult(status, self._limit, usage, ran))

    def _supervise(self) -> None:
        """Enforces what no rlimit bounds: diagnostics, and processor time and memory of all processes together."""
        if self._overflowing():
            self.kill("diagnostics")
        if self._supervised:
            cpu_s, memory = process_tree.usage(self._supervised, _OWN_PROCESSES + self._limits.processes)
            if cpu_s > self._limits.cpu_s:
                self.kill("cpu")
            if memory > self._limits.memory:
                self.kill("memory")
        self._supervision = self._loop.call_later(bound.SUPERVISION_S, self._supervise)  # however long this took
