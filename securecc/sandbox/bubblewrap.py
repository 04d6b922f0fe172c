"""Sandboxes made by bubblewrap (bwrap(1)): its command line, its start, its end."""

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
from securecc.sandbox.supervised_process import SupervisedProcess, spawn
from securecc.system.descriptors import close_all

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
_STATUS, _GATE, _FURTHER = 3, 4, 5  # bwrap's descriptors: where it reports, where it waits for us; filter and rulesets
_CONFINE = mount_plan.OWN_DIRECTORY + b"/confine"  # where jobs see that program
_SIGNALLED = 128  # bwrap reports a signal as a shell does
_LAST_SIGNAL = 64
_ADVICE = "install it (apt install bubblewrap), 0.8 or later"


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """`program` is the path of bwrap; `filter` that of the system call filter (`securecc.sandbox.seccomp`), empty for
    none; `confine` that of ``securecc-confine`` (`securecc/sandbox/jail/confine.c`), which restricts a job further once
    bwrap has made its mounts, empty for none.

    With the filter no job can make a socket, so all may share the runner's own network namespace, which has only a
    loopback interface that is down. That saves one namespace, a quarter of a sandbox's time.
    """

    name: ClassVar[str] = "bubblewrap"
    program: bytes
    filter: bytes = b""
    confine: bytes = b""

    @property
    def layers(self) -> tuple[str, ...]:
        """See `sandbox.Sandbox`."""
        return sandbox.layers(self.name, self.filter)

    @property
    def programs(self) -> tuple[bytes, ...]:
        """The programs that a runner must have to start it."""
        return (self.program, *((self.confine,) if self.confine else ()))

    @property
    def confines(self) -> bool:
        """Whether the Landlock rulesets of a spec come into force: only if ``securecc-confine`` is installed, since a
        process restricted by Landlock cannot mount, which bwrap has to do first.
        """
        return bool(self.confine)

    def start(
        self, spec: SandboxSpec, limits: JobLimits, overflowing: Callable[[], bool] = sandbox.never_overflows
    ) -> "RunningBubblewrap":
        """See `sandbox.Sandbox`.

        Raises:
            SandboxError: the program cannot be started.
        """
        ours, theirs = socket.socketpair()
        before = os.umask(spec.umask & 0o777)
        filters: list[int] = []
        try:
            if self.filter:
                filters.append(os.open(self.filter, os.O_RDONLY | os.O_CLOEXEC))
            further = (*filters, *(spec.rulesets if self.confine else ()))
            descriptors = (*spec.stdio, theirs.fileno(), theirs.fileno(), *further)
            pid = spawn(command_line(self, spec), {}, descriptors)
        except (OSError, ValueError) as error:
            ours.close()
            raise SandboxError(f"cannot start {os.fsdecode(self.program)}: {error}", _ADVICE) from error
        finally:
            os.umask(before)
            theirs.close()
            close_all(filters)
        return RunningBubblewrap(pid, ours, limits, overflowing, spec.group)


def command_line(bubblewrap: Bubblewrap, spec: SandboxSpec) -> list[bytes]:
    """Bwrap's arguments for a spec."""
    line = [bubblewrap.program, *_NAMESPACES, b"--json-status-fd", b"%d" % _STATUS, b"--block-fd", b"%d" % _GATE]
    if not bubblewrap.filter:
        line.append(b"--unshare-net")
    elif not bubblewrap.confine:
        line += [b"--seccomp", b"%d" % _FURTHER]
    for name, value in spec.environment.items():
        line += [b"--setenv", name, value]
    line += [b"--dev-bind", spec.root, b"/"]
    if bubblewrap.confine:
        line += [b"--ro-bind", bubblewrap.confine, _CONFINE]
    confined = _confined(bubblewrap, spec) if bubblewrap.confine else ()
    line += [b"--chdir", spec.cwd, b"--", *confined, *spec.arguments]
    return line


def _confined(bubblewrap: Bubblewrap, spec: SandboxSpec) -> tuple[bytes, bytes, bytes]:
    """The words before a command that ``securecc-confine`` runs."""
    first = _FURTHER + bool(bubblewrap.filter)
    rulesets = b" ".join(b"%d" % number for number in range(first, first + len(spec.rulesets)))
    return _CONFINE, b"%d" % _FURTHER if bubblewrap.filter else b"", rulesets


def find() -> bytes:
    """The path of bwrap.

    Raises:
        SandboxError: it is not installed.
    """
    return sandbox.find_program("bwrap", sandbox.PROGRAM_DIRECTORIES, _ADVICE)


class RunningBubblewrap(SupervisedProcess):
    """A running sandbox made by bwrap. Its init waits at a gate until we have set its limits. Before the gate it is in
    bwrap's process group; after it, it has its own session, and is known by its pidfd.
    """

    def __init__(
        self, pid: int, status: socket.socket, limits: JobLimits, overflowing: Callable[[], bool], group: int = -1
    ) -> None:
        """`status` is where bwrap reports and waits, and is closed at the end; `group` as in `SandboxSpec`."""
        super().__init__(pid, limits, overflowing)
        self._group = group
        self._report = status
        self._reported = b""
        self._init_pidfd = -1
        status.setblocking(False)
        self._loop.add_reader(status, self._hear)

    def _hear(self) -> None:
        """Bwrap names its child once namespaces are made, and continues only when we have set the limits."""
        if not self._take_report():
            self._loop.remove_reader(self._report)
        elif not self._supervised and b"}" in self._reported:
            try:
                self._let_through(int(json.loads(self._reported[: self._reported.index(b"}") + 1])["child-pid"]))
            except (ValueError, KeyError, OSError):
                self.kill()

    def _take_report(self) -> bool:
        """Whether there was anything."""
        try:
            heard = self._report.recv(bound.WORK_PACKET)
        except OSError:
            heard = b""
        self._reported += heard
        return bool(heard)

    def _let_through(self, init: int) -> None:
        pidfd = os.pidfd_open(init)
        if os.getpgid(init) != self._pid:  # it has gone, and another process may have its number now
            os.close(pidfd)
            raise ProcessLookupError
        self._init_pidfd, self._supervised = pidfd, init
        set_limits(init, self._limits)
        if self._group >= 0:
            cgroup.enter(self._group, init)
        self._report.send(b"\n")

    def _kill_init(self) -> None:
        super()._kill_init()
        if self._init_pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_pidfd, signal.SIGKILL)

    def _reap_init(self) -> None:
        """Bwrap usually ends a moment before its child, which then becomes ours; otherwise bwrap has reaped it."""
        if self._init_pidfd < 0:
            super()._reap_init()
            return
        try:
            if os.waitid(os.P_PIDFD, self._init_pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                self._loop.add_reader(self._init_pidfd, self._init_ended)
                return
            self._reap(self._supervised)
        except ChildProcessError:
            pass
        self._finish_by_report()

    def _init_ended(self) -> None:
        self._loop.remove_reader(self._init_pidfd)
        self._reap_init()

    def _finish_by_report(self) -> None:
        self._loop.remove_reader(self._report)
        while self._take_report():
            pass
        self._report.close()
        if self._init_pidfd >= 0:
            os.close(self._init_pidfd)
        code = self._status
        status = _SIGNALLED - code if _SIGNALLED < code <= _SIGNALLED + _LAST_SIGNAL else code
        self._finish(status, ran=b'"exit-code"' in self._reported or status < 0)


def set_limits(pid: int, limits: JobLimits) -> None:
    """Sets the resource limits of a process and its future children (prlimit(2)).

    Raises:
        OSError: the system refuses, or there is no such process.
    """
    for what, soft, hard in sandbox.rlimits(limits):
        _, most = resource.prlimit(pid, what)
        top = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.prlimit(pid, what, (min(soft, top), top))
