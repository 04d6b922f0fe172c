"""The way into a sandbox through bubblewrap (bwrap(1)): its command line, its start, its end."""

import contextlib
import json
import os
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from securecc.model import limits as bound
from securecc.model.errors import SandboxError
from securecc.model.grant import JobLimits
from securecc.sandbox import cgroup, mount_plan, sandbox
from securecc.sandbox.sandbox import SandboxSpec

_NAMESPACES = (
    b"--unshare-user",
    b"--unshare-ipc",
    b"--unshare-pid",
    b"--unshare-uts",
    b"--unshare-cgroup-try",
    b"--disable-userns",
    b"--die-with-parent",
    b"--new-session",
    b"--clearenv",
)
_STATUS, _GATE, _FURTHER = 3, 4, 5  # descriptors of bwrap: where it reports, waits for our word; filter and rulesets
_STEP = mount_plan.OWN_DIRECTORY + b"/confine"  # where jobs see it
_SIGNALLED = 128  # bwrap passes on a signal as a shell does
_LAST_SIGNAL = 64
_ADVICE = "install it (apt install bubblewrap), 0.8 or later"


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """Bwrap's path, the path of the system call filter (`securecc.sandbox.seccomp`), empty where there is none, and
    that of the program that confines a job further when bwrap's work is done (`securecc/sandbox/jail/confine.c`), empty
    where there is none: then a spec's rulesets do not come into force.

    With the filter no job can make a socket, so all may share the runner's own network namespace, in which there is
    none but a loopback that is down: one namespace less to make, for a quarter of the time that a sandbox costs.
    """

    name: ClassVar[str] = "bubblewrap"
    program: bytes
    filter: bytes = b""
    step: bytes = b""

    @property
    def layers(self) -> tuple[str, ...]:
        """What is in force for every job."""
        return sandbox.layers(self.name, self.filter)

    @property
    def programs(self) -> tuple[bytes, ...]:
        """What must be there to make it."""
        return (self.program, *((self.step,) if self.step else ()))

    @property
    def confines(self) -> bool:
        """Where there is a program to do it."""
        return bool(self.step)

    def start(
        self, spec: SandboxSpec, limits: JobLimits, overflowing: Callable[[], bool] = sandbox.never_overflows
    ) -> "RunningBubblewrap":
        """See `sandbox.Sandbox`."""
        ours, theirs = socket.socketpair()
        before = os.umask(spec.umask & 0o777)
        filters: list[int] = []
        try:
            if self.filter:
                filters.append(os.open(self.filter, os.O_RDONLY | os.O_CLOEXEC))
            further = (*filters, *(spec.rulesets if self.step else ()))
            pid = sandbox.spawn(command_line(self, spec), {}, (*spec.stdio, theirs.fileno(), theirs.fileno(), *further))
        except (OSError, ValueError) as error:
            ours.close()
            raise SandboxError(f"cannot start {os.fsdecode(self.program)}: {error}", _ADVICE) from error
        finally:
            os.umask(before)
            theirs.close()
            for descriptor in filters:
                os.close(descriptor)
        return RunningBubblewrap(pid, ours, limits, overflowing, spec.group)


def command_line(way: Bubblewrap, spec: SandboxSpec) -> list[bytes]:
    """Bwrap's arguments for a spec."""
    line = [way.program, *_NAMESPACES, b"--json-status-fd", b"%d" % _STATUS, b"--block-fd", b"%d" % _GATE]
    if not way.filter:
        line.append(b"--unshare-net")
    elif not way.step:
        line += [b"--seccomp", b"%d" % _FURTHER]
    for name, value in spec.environment.items():
        line += [b"--setenv", name, value]
    line += [b"--dev-bind", spec.root, b"/"]
    if way.step:
        line += [b"--ro-bind", way.step, _STEP]
    line += [b"--chdir", spec.cwd, b"--", *(_confined(way, spec) if way.step else ()), *spec.arguments]
    return line


def _confined(way: Bubblewrap, spec: SandboxSpec) -> tuple[bytes, bytes, bytes]:
    """The words before a command that is to be confined when all mounts are made."""
    first = _FURTHER + bool(way.filter)
    rulesets = b" ".join(b"%d" % number for number in range(first, first + len(spec.rulesets)))
    return _STEP, b"%d" % _FURTHER if way.filter else b"", rulesets


def find() -> bytes:
    """The path of bwrap. Raises SandboxError with advice if there is none."""
    return sandbox.find("bwrap", sandbox.PROGRAM_DIRECTORIES, _ADVICE)


class RunningBubblewrap(sandbox.RunningSandbox):
    """A sandbox of bwrap's that runs. Bwrap waits until we have set the limits of its child, the init."""

    def __init__(
        self, pid: int, status: socket.socket, limits: JobLimits, overflowing: Callable[[], bool], group: int = -1
    ) -> None:
        super().__init__(pid, limits, overflowing)
        self._group = group
        self._status = status
        self._said = b""
        self._outcome = 0
        _ours.add(pid)
        status.setblocking(False)
        self._loop.add_reader(status, self._hear)

    def _hear(self) -> None:
        """Bwrap reports its child when namespaces are made; it goes on only when we have set the limits."""
        try:
            heard = self._status.recv(bound.WORK_PACKET)
        except OSError:
            heard = b""
        self._said += heard
        if not heard:
            self._loop.remove_reader(self._status)
        elif not self._top and b"}" in self._said:
            try:
                self._top = int(json.loads(self._said[: self._said.index(b"}") + 1])["child-pid"])
                _ours.add(self._top)
                restrict(self._top, self._limits)
                if self._group >= 0:
                    cgroup.enter(self._group, self._top)
                self._status.send(b"\n")
            except (ValueError, KeyError, OSError):
                self.kill()

    def _gone(self) -> None:
        """Bwrap has gone; its child, the init of the pid namespace, goes with it, and all that is inside with that."""
        self._unwatch()
        code = self._collect(self._pid) or 0
        self._outcome = _SIGNALLED - code if _SIGNALLED < code <= _SIGNALLED + _LAST_SIGNAL else code
        self._hear()
        self._top = self._top or _orphan()
        if not self._top:
            self._close()
            return
        _ours.add(self._top)
        try:
            self._watch(self._top, self._init_gone)
        except ProcessLookupError:
            self._close()
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._watched, signal.SIGKILL)

    def _init_gone(self) -> None:
        self._unwatch()
        with contextlib.suppress(ChildProcessError):  # bwrap itself has reaped it
            self._collect(self._top)
        self._close()

    def _close(self) -> None:
        _ours.difference_update((self._pid, self._top))
        self._loop.remove_reader(self._status)
        self._status.close()
        self._finish(self._outcome, ran=b'"exit-code"' in self._said or self._outcome < 0)


_ours: set[int] = set()
"""The processes of all sandboxes that run: bwrap's own, and the inits that it has named."""


def _orphan() -> int:
    """The init of a sandbox whose bwrap was killed before it named its child; 0 if there is none. It has become a child
    of ours, for we are the subreaper (prctl(2)), and is one that nobody here knows.
    """
    found = (child for child in sandbox.children(os.getpid()) if child not in _ours and sandbox.comm(child) == b"bwrap")
    return next(found, 0)


def restrict(pid: int, limits: JobLimits) -> None:
    """Set the resource limits of a process and its children to be (prlimit(2)). Raises OSError."""
    for what, soft, hard in sandbox.rlimits(limits):
        _, most = resource.prlimit(pid, what)
        top = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.prlimit(pid, what, (min(soft, top), top))
