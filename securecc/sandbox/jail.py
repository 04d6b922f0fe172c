"""The way into a sandbox through our own small program, ``securecc-jail`` (`securecc/sandbox/jail/jail.c`)."""

import contextlib
import os
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from securecc.model import limits as bound
from securecc.model.errors import SandboxError
from securecc.model.grant import JobLimits
from securecc.sandbox import sandbox
from securecc.sandbox.sandbox import SandboxSpec

PROGRAM, CONFINE = "securecc-jail", "securecc-confine"
_STATUS = 3  # the program's descriptor on which it tells how the job ended
_OUTCOME = struct.Struct("=iI")  # `struct outcome` of jail.c: a status of wait(2), KiB
_AGAIN_S = 0.001  # how soon an init that was killed is looked at again: it takes a moment to end what is inside
_ADVICE = "install securecc with its programs, or set sandbox.program to bubblewrap in config.yaml"


@dataclass(frozen=True, slots=True)
class Jail:
    """The program's path, and the path of the system call filter (`securecc.sandbox.seccomp`), empty where there is
    none: then each job gets a network namespace, as in `Bubblewrap`.
    """

    name: ClassVar[str] = "jail"
    program: bytes
    filter: bytes = b""

    @property
    def layers(self) -> tuple[str, ...]:
        """What is in force for every job."""
        return sandbox.layers(self.name, self.filter)

    @property
    def programs(self) -> tuple[bytes, ...]:
        """What must be there to make it."""
        return (self.program,)

    @property
    def confines(self) -> bool:
        """It does."""
        return True

    def start(
        self, spec: SandboxSpec, limits: JobLimits, overflowing: Callable[[], bool] = sandbox.never_overflows
    ) -> "RunningJail":
        """See `sandbox.Sandbox`."""
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        environment = {**spec.environment, b"PWD": spec.cwd}
        group = () if spec.group < 0 else (spec.group,)
        try:
            pid = sandbox.spawn(
                command_line(self, spec, limits), environment, (*spec.stdio, theirs, *group, *spec.rulesets)
            )
        except (OSError, ValueError) as error:
            os.close(ours)
            raise SandboxError(f"cannot start {os.fsdecode(self.program)}: {error}", _ADVICE) from error
        finally:
            os.close(theirs)
        return RunningJail(pid, ours, limits, overflowing)


def command_line(way: Jail, spec: SandboxSpec, limits: JobLimits) -> list[bytes]:
    """The program's arguments for a spec: each has its place, and none is an option."""
    numbers = [os.getpid(), spec.umask & 0o777, spec.group >= 0, len(spec.rulesets)]
    for limit in sandbox.rlimits(limits):
        numbers += limit
    return [way.program, spec.root, spec.cwd, way.filter, b" ".join(b"%d" % n for n in numbers), *spec.arguments]


def find(program: str = PROGRAM) -> bytes:
    """The path of a program of ours: beside this interpreter, or where programs are. Raises SandboxError."""
    return sandbox.find(program, (os.path.dirname(sys.executable), *sandbox.PROGRAM_DIRECTORIES), _ADVICE)


class RunningJail(sandbox.RunningSandbox):
    """A sandbox of the jail's that runs. Its outer process and the init are one process group, in which nothing else
    ever is: so the init is known for ours even where the outer process was killed before it had bound it. For it to
    come to us then we must be a subreaper (prctl(2)).
    """

    def __init__(self, pid: int, status: int, limits: JobLimits, overflowing: Callable[[], bool]) -> None:
        super().__init__(pid, limits, overflowing)
        self._top = pid
        self._status = status
        self._outcome = 0

    def _gone(self) -> None:
        """The outer process has ended: mostly because all have. It is not reaped before the group was killed: until
        then no other can have its number.
        """
        self._unwatch()
        with contextlib.suppress(ProcessLookupError):  # it was killed before it led a group
            os.killpg(self._pid, signal.SIGKILL)
        self._outcome = self._collect(self._pid) or 0
        self._reap_init()

    def _reap_init(self) -> None:
        try:
            while self._collect(-self._pid) is not None:
                pass
            self._loop.call_later(_AGAIN_S, self._reap_init)
        except ChildProcessError:
            self._close()

    def _close(self) -> None:
        try:
            told = os.read(self._status, _OUTCOME.size)
        except OSError:
            told = b""
        os.close(self._status)
        if len(told) == _OUTCOME.size:
            status, kibibytes = _OUTCOME.unpack(told)
            self._finish(os.waitstatus_to_exitcode(status), ran=True, memory=kibibytes * bound.KIB)
        else:
            self._finish(self._outcome, ran=self._outcome < 0)
