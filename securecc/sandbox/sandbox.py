"""A job's sandbox, whichever program makes it: what it shows, its limits, its supervision and its end.

It is made of namespaces of its own (user, mount, pid, net, ipc, uts, cgroup where there), the mounts that its
`SandboxSpec` has and nothing else, and resource limits that are set on it before anything of the job runs.
"""

import asyncio
import contextlib
import fcntl
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
"""Where programs are that make sandboxes."""
LAYERS = ("userns", "mountns", "pidns", "netns", "ipcns", "utsns", "noexec", "no-new-privs", "rlimits")
"""In force for every job, beside the program that sees to it; ``seccomp`` as well where a `Sandbox` has a filter, and
``landlock`` where specs have rulesets."""
DEFAULT_SIGNALS = {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT}
"""What the runner ignores; a compiler must not."""
_STACK = 8 * bound.MIB, 64 * bound.MIB  # gcc raises the soft limit to 64 MiB itself
_OPEN_FILES = 1024
_OURS = 4  # processes of a sandbox that are not the job's: what makes it, its init

# What gcc's driver says (in its C messages, no others are there) when a limit ended one of its programs.
_SIGNS: tuple[tuple[bytes, LimitName], ...] = (
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
    """What one sandbox shows and runs. `root` becomes its root, with all that is mounted below; those mounts say what
    can be written, executed or used as a device there. `stdio` are the descriptors of standard input, output and error;
    no other is passed on. `rulesets` are those of `securecc.sandbox.landlock` that it is restricted to, at most two;
    `group` is the control group that it lives in (a directory's descriptor), -1 if it has none of its own.
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
    """How it ended: an exit status or minus a signal, the limit that ended it, and what it used. `ran` is false when
    the sandbox itself failed, before the program began; it has said why on standard error.
    """

    status: int
    limit: LimitName
    usage: Usage
    ran: bool


class Sandbox(Protocol):
    """A way into a sandbox."""

    @property
    def name(self) -> str:
        """The program that makes it: ``jail`` or ``bubblewrap``."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """What is in force for every job, the program's own name first."""
        ...

    @property
    def confines(self) -> bool:
        """Whether a spec's rulesets come into force."""
        ...

    def start(self, spec: SandboxSpec, limits: JobLimits, overflowing: Callable[[], bool] = ...) -> "RunningSandbox":
        """Start a sandbox on the running event loop; from the main thread, with which it dies (PR_SET_PDEATHSIG).

        `overflowing` is asked now and then whether the diagnostics are over their limit. Raises SandboxError.
        """
        ...


def spawn(line: list[bytes], environment: Mapping[bytes, bytes], descriptors: Sequence[int]) -> int:
    """Start a program; `descriptors` are its 0, 1, 2 and so on. Its pid. Raises OSError, and ValueError for a word with
    a NUL in it.
    """
    lifted: list[int] = []
    actions = []
    try:
        for target, source in enumerate(descriptors):
            if target != source < len(descriptors):  # one that a descriptor before it may be put over
                source = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, len(descriptors))  # noqa: PLW2901
                lifted.append(source)
            actions.append((os.POSIX_SPAWN_DUP2, source, target))
        return os.posix_spawn(
            line[0], line, environment, file_actions=actions, setsigdef=DEFAULT_SIGNALS, setsigmask=()
        )
    finally:
        for descriptor in lifted:
            os.close(descriptor)


def find(program: str, places: Sequence[str], advice: str) -> bytes:
    """The path of a program in the first of these directories that has it. Raises SandboxError with this advice."""
    for place in places:
        path = os.fsencode(os.path.join(place, program))
        if os.access(path, os.X_OK):
            return path
    raise SandboxError(f"no {program} in {':'.join(places)}", advice)


def layers(name: str, rules: bytes) -> tuple[str, ...]:
    """What is in force for every job of a program of this name, with a system call filter where there is one."""
    return (name, *LAYERS, *(("seccomp",) if rules else ()))


def never_overflows() -> bool:
    """Diagnostics that are never over their limit."""
    return False


class RunningSandbox:
    """A sandbox that runs. `ended` gives its SandboxResult when no process of it is left.

    This is what all ways have in common: `pid` is the process that was started, which dies with the runner and all of
    the sandbox with it. `_gone` is called when it has ended, and sees to what is left.
    """

    def __init__(self, pid: int, limits: JobLimits, overflowing: Callable[[], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._pid = pid
        self._top = 0
        self._limits = limits
        self._overflowing = overflowing
        self._limit: LimitName = ""
        self._began = self._loop.time()
        self._usage = Usage()
        self._done: asyncio.Future[SandboxResult] = self._loop.create_future()
        self._watch(pid, self._gone)
        self._wall = self._loop.call_later(limits.wall_s, self.kill, "wall")
        self._supervision = self._loop.call_later(bound.SUPERVISION_S, self._supervise)

    async def ended(self) -> SandboxResult:
        """Wait for the end."""
        return await asyncio.shield(self._done)

    def kill(self, limit: LimitName = "") -> None:
        """End all of it at once; the limit named first is the one that is reported."""
        if self._done.done():
            return
        self._limit = self._limit or limit
        with contextlib.suppress(OSError):  # it has gone, and what it left is being taken away
            signal.pidfd_send_signal(self._watched, signal.SIGKILL)

    def _gone(self) -> None:
        raise NotImplementedError

    def _watch(self, pid: int, then: Callable[[], None]) -> None:
        """Call `then` when this process has ended."""
        self._watched = os.pidfd_open(pid)
        self._loop.add_reader(self._watched, then)

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._watched)
        os.close(self._watched)
        self._watched = -1

    def _collect(self, pid: int) -> int | None:
        """Reap a process of ours, and count what it used; what its parent has reaped is counted there. `pid` is as for
        waitpid(2). Its exit status or minus a signal; None if it runs. Raises ChildProcessError.
        """
        found, status, used = os.wait4(pid, os.WNOHANG)
        if not found:
            return None
        was = self._usage
        memory = max(was.memory, used.ru_maxrss * bound.KIB)
        self._usage = Usage(0.0, was.user_s + used.ru_utime, was.system_s + used.ru_stime, memory)
        return os.waitstatus_to_exitcode(status)

    def _finish(self, status: int, *, ran: bool, memory: int = 0) -> None:
        """All of it has ended. `memory` in bytes, where it is known better than by `_collect`."""
        self._wall.cancel()
        self._supervision.cancel()
        used = self._usage
        usage = Usage(self._loop.time() - self._began, used.user_s, used.system_s, memory or used.memory)
        self._done.set_result(SandboxResult(status, self._limit, usage, ran))

    def _supervise(self) -> None:
        """What no rlimit bounds: diagnostics, and processor time and memory of all processes together."""
        if self._overflowing():
            self.kill("diagnostics")
        if self._top:
            cpu_s, memory = _together(self._top, _OURS + self._limits.processes)
            if cpu_s > self._limits.cpu_s:
                self.kill("cpu")
            if memory > self._limits.memory:
                self.kill("memory")
        self._supervision = self._loop.call_later(bound.SUPERVISION_S, self._supervise)  # however long this took


def rlimits(limits: JobLimits) -> tuple[tuple[int, int, int], ...]:
    """The resource limits of a job, as (which, soft, hard) of setrlimit(2). NPROC counts within the innermost user
    namespace, so it must be set after that was made.
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


def limit_from_diagnostics(ending: SandboxResult, diagnostics: bytes, limits: JobLimits) -> LimitName:
    """The limit that ended a failed job, as far as can be told from the end of its diagnostics and its usage."""
    if ending.limit or ending.status == 0:
        return ending.limit
    if ending.status == -signal.SIGXCPU or ending.usage.user_s + ending.usage.system_s >= limits.cpu_s:
        return "cpu"
    if ending.status == -signal.SIGXFSZ:
        return "output"
    return next((limit for sign, limit in _SIGNS if sign in diagnostics), "")


def children(pid: int) -> list[int]:
    """The children of a process that has one thread (proc(5)); none where it has gone. One that ends meanwhile may hide
    another: who has to see all of them looks again.
    """
    with contextlib.suppress(OSError):
        return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]
    return []


def comm(pid: int) -> bytes:
    """What a process is called, by the first bytes of its program's name; empty where it has gone."""
    with contextlib.suppress(OSError):
        return _read(f"/proc/{pid}/comm").removesuffix(b"\n")
    return b""


def _together(init: int, most: int) -> tuple[float, int]:
    """Processor seconds and resident bytes of a process and all below it (proc(5)), of which there are so many at
    most: they come and go while they are counted.
    """
    ticks, pages, todo, seen = 0, 0, [init], 0
    while todo and seen < most:
        pid = todo.pop()
        seen += 1
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
            pages += int(fields[21])
            for thread in os.listdir(f"/proc/{pid}/task"):
                todo += [int(child) for child in _read(f"/proc/{pid}/task/{thread}/children").split()]
    return ticks / os.sysconf("SC_CLK_TCK"), pages * resource.getpagesize()


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(bound.WORK_PACKET)
