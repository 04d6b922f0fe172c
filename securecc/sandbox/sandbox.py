"""A job's sandbox, whichever program makes it: what it shows, its limits, its result.

It consists of separate namespaces (user, mount, pid, net, ipc, uts, cgroup if the kernel has them), the mounts that
its `SandboxSpec` names and no others, and resource limits that are in force before anything of the job runs.
"""

import math
import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from securecc.model import limits as bound
from securecc.model.errors import SandboxError
from securecc.model.grant import JobLimits
from securecc.model.messages import LimitName, Usage

PROGRAM_DIRECTORIES = ("/usr/bin", "/usr/local/bin", "/bin")
"""Where programs that make sandboxes are installed."""
LAYERS = ("userns", "mountns", "pidns", "netns", "ipcns", "utsns", "noexec", "no-new-privs", "rlimits")
"""In force for every job; ``seccomp`` as well if a `Sandbox` has a filter, and ``landlock`` if its spec has rulesets.
"""
_STACK = 8 * bound.MIB, 64 * bound.MIB  # gcc raises the soft limit to 64 MiB itself
_OPEN_FILES = 1024

# What gcc's driver says when a limit ended one of its programs; in English, since jobs have no other catalogue.
_LIMIT_MESSAGES: tuple[tuple[bytes, LimitName], ...] = (
    (b"CPU time limit exceeded signal terminated", "cpu"),
    (b"File size limit exceeded", "output"),
    (b"No space left on device", "output"),
    (b"out of memory allocating", "memory"),
    (b"virtual memory exhausted", "memory"),
    (b"Cannot allocate memory", "memory"),
    (b"Resource temporarily unavailable", "processes"),
)


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What one sandbox shows and runs. `root` becomes its root directory, with everything mounted below it; those
    mounts decide what can be written, executed or used as a device. `stdio` are the descriptors of standard input,
    output and error; no others are passed on. `rulesets` are at most two descriptors of Landlock rulesets
    (`securecc.sandbox.landlock`) that restrict it; `group` is the descriptor of the control group's directory that it
    runs in, -1 for none.
    """

    root: bytes
    cwd: bytes
    arguments: tuple[bytes, ...]
    environment: Mapping[bytes, bytes]
    umask: int
    stdio: tuple[int, int, int]
    rulesets: tuple[int, ...] = ()
    group: int = -1


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How it ended: `status` is an exit status or minus a signal; `limit` is the limit that ended it, if one did.
    `ran` is false if the sandbox itself failed before the program began; the reason is on its standard error then.
    """

    status: int
    limit: LimitName
    usage: Usage
    ran: bool


class RunningSandbox(Protocol):
    """A running sandbox."""

    @property
    def pid(self) -> int:
        """The outer process: all others of the sandbox die with it."""
        ...

    async def ended(self) -> SandboxResult:
        """Waits until none of its processes is left."""
        ...

    def kill(self, limit: LimitName = "") -> None:
        """Ends all of it at once; the first limit given is reported."""
        ...


class Sandbox(Protocol):
    """A program that makes sandboxes."""

    @property
    def name(self) -> str:
        """``jail`` or ``bubblewrap``."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """The sandbox layers in force for every job, the program's own name first."""
        ...

    @property
    def confines(self) -> bool:
        """Whether the rulesets of a spec come into force."""
        ...

    def start(self, spec: SandboxSpec, limits: JobLimits, overflowing: Callable[[], bool] = ...) -> RunningSandbox:
        """Starts a sandbox on the running event loop, from the main thread, with which it dies (PR_SET_PDEATHSIG).
        `overflowing` is asked several times a second whether the diagnostics exceed their limit.

        Raises:
            SandboxError: the program cannot be started.
        """
        ...


def find_program(name: str, directories: Sequence[str], advice: str) -> bytes:
    """The path of a program in the first of these directories that has it.

    Raises:
        SandboxError: none has it; the error carries this advice.
    """
    for directory in directories:
        path = os.fsencode(os.path.join(directory, name))
        if os.access(path, os.X_OK):
            return path
    raise SandboxError(f"no {name} in {':'.join(directories)}", advice)


def layers(program: str, syscall_filter: bytes) -> tuple[str, ...]:
    """The layers in force for every job of the program; `syscall_filter` is the filter's path, empty for none."""
    return (program, *LAYERS, *(("seccomp",) if syscall_filter else ()))


def never_overflows() -> bool:
    """For diagnostics without a limit."""
    return False


def rlimits(limits: JobLimits) -> tuple[tuple[int, int, int], ...]:
    """The resource limits of a job, as (which, soft, hard) of setrlimit(2). NPROC counts within the innermost user
    namespace, so it must be set after that is made.
    """
    cpu = math.ceil(limits.cpu_s)
    file = max(limits.output, 2 * limits.diagnostics)
    return (
        (resource.RLIMIT_AS, limits.memory, limits.memory),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_FSIZE, file, file),
        (resource.RLIMIT_NPROC, limits.processes, limits.processes),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_STACK, *_STACK),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
    )


def limit_from_diagnostics(result: SandboxResult, diagnostics: bytes, limits: JobLimits) -> LimitName:
    """The limit that ended a failed job, as far as its usage and the end of its diagnostics show."""
    if result.limit or result.status == 0:
        return result.limit
    if result.status == -signal.SIGXCPU or result.usage.user_s + result.usage.system_s >= limits.cpu_s:
        return "cpu"
    if result.status == -signal.SIGXFSZ:
        return "output"
    return next((limit for message, limit in _LIMIT_MESSAGES if message in diagnostics), "")
