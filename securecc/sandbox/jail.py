"""Sandboxes made by our own small program, ``securecc-jail`` (`securecc/sandbox/jail/jail.c`)."""

import os
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
from securecc.sandbox.supervised_process import SupervisedProcess, spawn

PROGRAM, CONFINE = "securecc-jail", "securecc-confine"
_REPORT = struct.Struct("=iI")  # `struct outcome` of jail.c, on descriptor 3: a status of wait(2), KiB
_ADVICE = "install securecc with its programs, or set sandbox.program to bubblewrap in config.yaml"


@dataclass(frozen=True, slots=True)
class Jail:
    """`program` is the path of ``securecc-jail``; `filter` that of the system call filter (`securecc.sandbox.seccomp`),
    empty for none: then each job gets a network namespace, as with `Bubblewrap`.
    """

    name: ClassVar[str] = "jail"
    program: bytes
    filter: bytes = b""

    @property
    def layers(self) -> tuple[str, ...]:
        """See `sandbox.Sandbox`."""
        return sandbox.layers(self.name, self.filter)

    @property
    def programs(self) -> tuple[bytes, ...]:
        """The programs that a runner must have to start it."""
        return (self.program,)

    @property
    def confines(self) -> bool:
        """Always: the program applies the rulesets itself."""
        return True

    def start(
        self, spec: SandboxSpec, limits: JobLimits, overflowing: Callable[[], bool] = sandbox.never_overflows
    ) -> "RunningJail":
        """See `sandbox.Sandbox`.

        Raises:
            SandboxError: the program cannot be started.
        """
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        environment = {**spec.environment, b"PWD": spec.cwd}
        group = () if spec.group < 0 else (spec.group,)
        try:
            descriptors = (*spec.stdio, theirs, *group, *spec.rulesets)
            pid = spawn(command_line(self, spec, limits), environment, descriptors)
        except (OSError, ValueError) as error:
            os.close(ours)
            raise SandboxError(f"cannot start {os.fsdecode(self.program)}: {error}", _ADVICE) from error
        finally:
            os.close(theirs)
        return RunningJail(pid, ours, limits, overflowing)


def command_line(jail: Jail, spec: SandboxSpec, limits: JobLimits) -> list[bytes]:
    """The program's arguments for a spec: all are positional, and none is an option."""
    numbers = [os.getpid(), spec.umask & 0o777, spec.group >= 0, len(spec.rulesets)]
    for limit in sandbox.rlimits(limits):
        numbers += limit
    return [jail.program, spec.root, spec.cwd, jail.filter, b" ".join(b"%d" % n for n in numbers), *spec.arguments]


def find(program: str = PROGRAM) -> bytes:
    """The path of one of our programs: beside this interpreter, or where programs are installed.

    Raises:
        SandboxError: it is not installed.
    """
    directories = (os.path.dirname(sys.executable), *sandbox.PROGRAM_DIRECTORIES)
    return sandbox.find_program(program, directories, _ADVICE)


class RunningJail(SupervisedProcess):
    """A running sandbox made by ``securecc-jail``."""

    def __init__(self, pid: int, report: int, limits: JobLimits, overflowing: Callable[[], bool]) -> None:
        """`report` is the pipe that the program reports on, which is closed at the end."""
        super().__init__(pid, limits, overflowing, supervised=pid)
        self._report = report

    def _finish_by_report(self) -> None:
        try:
            report = os.read(self._report, _REPORT.size)
        except OSError:
            report = b""
        os.close(self._report)
        if len(report) == _REPORT.size:
            status, kibibytes = _REPORT.unpack(report)
            self._finish(os.waitstatus_to_exitcode(status), ran=True, memory=kibibytes * bound.KIB)
        else:
            self._finish(self._status, ran=self._status < 0)
