"""The only place that knows bubblewrap (bwrap(1)): its command line, its start, its limits, its end.

A job's sandbox is made of namespaces of its own (user, mount, pid, net, ipc, uts, cgroup where there), the mounts that
its `Cell` has and nothing else, and resource limits that are set on it before anything of the job runs.
"""

import asyncio
import contextlib
import json
import math
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from securecc.words import limits as bound
from securecc.words.errors import SandboxError
from securecc.words.grant import JobLimits
from securecc.words.messages import LimitName, Usage

LAYERS = ("bubblewrap", "userns", "mountns", "pidns", "netns", "ipcns", "utsns", "noexec", "no-new-privs", "rlimits")
"""In force for every job; ``seccomp`` as well where a `Jailer` has a filter."""
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
_STATUS, _GATE, _FILTER = 3, 4, 5  # descriptors of bwrap: where it reports, waits for our word, reads its filter
_STACK = 8 * bound.MIB, 64 * bound.MIB  # gcc raises the soft limit to 64 MiB itself
_OPEN_FILES = 1024
_FORGOTTEN = {signal.SIGPIPE, signal.SIGXFSZ}  # Python ignores these; a compiler must not
_SIGNALLED = 128  # bwrap passes on a signal as a shell does
_LAST_SIGNAL = 64
_ADVICE = "install it (apt install bubblewrap), 0.8 or later"

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
class Jailer:
    """Bwrap's path, and the path of the system call filter (`securecc.server.seccomp`), empty where there is none.

    With the filter no job can make a socket, so all may share the runner's own network namespace, in which there is
    none but a loopback that is down: one namespace less to make, for a quarter of the time that a sandbox costs.
    """

    program: bytes
    filter: bytes = b""

    @property
    def layers(self) -> tuple[str, ...]:
        """What is in force for every job."""
        return (*LAYERS, "seccomp") if self.filter else LAYERS


@dataclass(frozen=True, slots=True)
class Cell:
    """What one sandbox shows and runs. `root` becomes its root, with all that is mounted below; those mounts say what
    can be written, executed or used as a device there. `stdio` are the descriptors of standard input, output and error;
    no other is passed on.
    """

    root: bytes
    cwd: bytes
    arguments: tuple[bytes, ...]
    environment: Mapping[bytes, bytes]
    umask: int
    stdio: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended: an exit status or minus a signal, the limit that ended it, and what it used. `ran` is false when
    the sandbox itself failed, before the program began; it has said why on standard error.
    """

    status: int
    limit: LimitName
    usage: Usage
    ran: bool


def command_line(jailer: Jailer, cell: Cell) -> list[bytes]:
    """Bwrap's arguments for a cell."""
    line = [jailer.program, *_NAMESPACES, b"--json-status-fd", b"%d" % _STATUS, b"--block-fd", b"%d" % _GATE]
    line += [b"--seccomp", b"%d" % _FILTER] if jailer.filter else [b"--unshare-net"]
    for name, value in cell.environment.items():
        line += [b"--setenv", name, value]
    line += [b"--dev-bind", cell.root, b"/", b"--chdir", cell.cwd, b"--", *cell.arguments]
    return line


def find(search_path: str = "/usr/bin:/usr/local/bin:/bin") -> bytes:
    """The path of bwrap. Raises SandboxError with advice if there is none."""
    for place in search_path.split(":"):
        path = os.fsencode(os.path.join(place, "bwrap"))
        if os.access(path, os.X_OK):
            return path
    raise SandboxError(f"no bwrap in {search_path}", _ADVICE)


def start(jailer: Jailer, cell: Cell, limits: JobLimits, overflowing: Callable[[], bool] = lambda: False) -> "Running":
    """Start a sandbox on the running event loop; from the main thread, which `--die-with-parent` follows.

    `overflowing` is asked now and then whether the diagnostics are over their limit. Raises SandboxError.
    """
    ours, theirs = socket.socketpair()
    actions: list[tuple[int, ...] | tuple[int, int, bytes, int, int]]
    actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(cell.stdio)]
    actions += [(os.POSIX_SPAWN_DUP2, theirs.fileno(), target) for target in (_STATUS, _GATE)]
    if jailer.filter:
        actions.append((os.POSIX_SPAWN_OPEN, _FILTER, jailer.filter, os.O_RDONLY, 0))
    before = os.umask(cell.umask & 0o777)
    try:
        pid = os.posix_spawn(
            jailer.program, command_line(jailer, cell), {}, file_actions=actions, setsigdef=_FORGOTTEN, setsigmask=()
        )
    except OSError as error:
        ours.close()
        raise SandboxError(f"cannot start {os.fsdecode(jailer.program)}: {error.strerror}", _ADVICE) from error
    finally:
        os.umask(before)
        theirs.close()
    return Running(pid, ours, limits, overflowing)


class Running:
    """A sandbox that runs. `ended` gives its Ending when no process of it is left."""

    def __init__(self, pid: int, status: socket.socket, limits: JobLimits, overflowing: Callable[[], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._pid = pid
        self._status = status
        self._limits = limits
        self._overflowing = overflowing
        self._said = b""
        self._limit: LimitName = ""
        self._init = 0
        self._began = self._loop.time()
        self._usage = Usage()
        self._outcome = 0
        self._done: asyncio.Future[Ending] = self._loop.create_future()
        self._watched = os.pidfd_open(pid)
        _ours.add(pid)
        status.setblocking(False)
        self._loop.add_reader(status, self._hear)
        self._loop.add_reader(self._watched, self._outer_ended)
        self._wall = self._loop.call_later(limits.wall_s, self.kill, "wall")
        self._supervision = self._loop.call_later(bound.SUPERVISION_S, self._supervise)

    async def ended(self) -> Ending:
        """Wait for the end."""
        return await asyncio.shield(self._done)

    def kill(self, limit: LimitName = "") -> None:
        """End all of it at once; the limit named first is the one that is reported."""
        if self._done.done():
            return
        self._limit = self._limit or limit
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._watched, signal.SIGKILL)

    def _hear(self) -> None:
        """Bwrap reports its child when namespaces are made; it goes on only when we have set the limits."""
        try:
            heard = self._status.recv(bound.WORK_PACKET)
        except OSError:
            heard = b""
        self._said += heard
        if not heard:
            self._loop.remove_reader(self._status)
        elif not self._init and b"}" in self._said:
            try:
                self._init = int(json.loads(self._said[: self._said.index(b"}") + 1])["child-pid"])
                _ours.add(self._init)
                restrict(self._init, self._limits)
                self._status.send(b"\n")
            except (ValueError, KeyError, OSError):
                self.kill()

    def _outer_ended(self) -> None:
        """Bwrap has gone; its child, the init of the pid namespace, goes with it, and all that is inside with that."""
        self._forget(self._watched)
        self._outcome = self._collect(self._pid)
        self._hear()
        self._init = self._init or _orphan()
        if not self._init:
            self._finish()
            return
        _ours.add(self._init)
        try:
            self._watched = os.pidfd_open(self._init)
            signal.pidfd_send_signal(self._watched, signal.SIGKILL)
        except ProcessLookupError:
            self._finish()
            return
        self._loop.add_reader(self._watched, self._init_ended)

    def _init_ended(self) -> None:
        self._forget(self._watched)
        self._collect(self._init)
        self._finish()

    def _finish(self) -> None:
        self._wall.cancel()
        self._supervision.cancel()
        _ours.difference_update((self._pid, self._init))
        self._loop.remove_reader(self._status)
        self._status.close()
        ran = b'"exit-code"' in self._said or self._outcome < 0
        usage = Usage(self._loop.time() - self._began, self._usage.user_s, self._usage.system_s, self._usage.memory)
        self._done.set_result(Ending(self._outcome, self._limit, usage, ran))

    def _collect(self, pid: int) -> int:
        """Reap a process of ours, and count what it used; what its parent has reaped is counted there."""
        try:
            _, status, used = os.wait4(pid, os.WNOHANG)
        except ChildProcessError:
            return 0
        was = self._usage
        memory = max(was.memory, used.ru_maxrss * bound.KIB)
        self._usage = Usage(0.0, was.user_s + used.ru_utime, was.system_s + used.ru_stime, memory)
        code = os.waitstatus_to_exitcode(status)
        return _SIGNALLED - code if _SIGNALLED < code <= _SIGNALLED + _LAST_SIGNAL else code

    def _forget(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        os.close(descriptor)

    def _supervise(self) -> None:
        """What no rlimit bounds: diagnostics, and processor time and memory of all processes together."""
        self._supervision = self._loop.call_later(bound.SUPERVISION_S, self._supervise)
        if self._overflowing():
            self.kill("diagnostics")
        if self._init:
            cpu_s, memory = _together(self._init)
            if cpu_s > self._limits.cpu_s:
                self.kill("cpu")
            if memory > self._limits.memory:
                self.kill("memory")


_ours: set[int] = set()
"""The processes of all sandboxes that run: bwrap's own, and the inits that it has named."""


def _orphan() -> int:
    """The init of a sandbox whose bwrap was killed before it named its child; 0 if there is none. It has become a child
    of ours, for we are the subreaper (prctl(2)), and is one that nobody here knows.
    """
    pid = os.getpid()
    with contextlib.suppress(OSError, ValueError):
        for child in _read(f"/proc/{pid}/task/{pid}/children").split():
            if int(child) not in _ours and _read(f"/proc/{int(child)}/comm") == b"bwrap\n":
                return int(child)
    return 0


def restrict(pid: int, limits: JobLimits) -> None:
    """Set the resource limits of a process and its children to be (prlimit(2)). NPROC counts within the innermost user
    namespace, so it must be set after that was made. Raises OSError.
    """
    cpu = math.ceil(limits.cpu_s)
    file = max(limits.output, 2 * limits.diagnostics)
    for what, soft, hard in (
        (resource.RLIMIT_AS, limits.memory, limits.memory),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_FSIZE, file, file),
        (resource.RLIMIT_NPROC, limits.processes, limits.processes),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_STACK, *_STACK),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
    ):
        _, most = resource.prlimit(pid, what)
        top = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.prlimit(pid, what, (min(soft, top), top))


def recognise(ending: Ending, diagnostics: bytes, limits: JobLimits) -> LimitName:
    """The limit that ended a failed job, as far as can be told from the end of its diagnostics and its usage."""
    if ending.limit or ending.status == 0:
        return ending.limit
    if ending.status == -signal.SIGXCPU or ending.usage.user_s + ending.usage.system_s >= limits.cpu_s:
        return "cpu"
    if ending.status == -signal.SIGXFSZ:
        return "output"
    return next((limit for sign, limit in _SIGNS if sign in diagnostics), "")


def _together(init: int) -> tuple[float, int]:
    """Processor seconds and resident bytes of a process and all below it (proc(5))."""
    ticks, pages, todo, seen = 0, 0, [init], 0
    while todo and seen < 4 * bound.PROCESSES:
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
