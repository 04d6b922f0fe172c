"""Control groups, version 2 (cgroups(7)): one for each job, if a service manager has delegated a directory of them to
us.

They bound the memory, processes and processor use of a whole job, and end all of it with one write. Each controller
is used if the directory offers it, and so is `cgroup.kill`.
"""

import contextlib
import os
from collections.abc import Iterable

from securecc.model import limits as bound
from securecc.model.documentation import page
from securecc.model.errors import SandboxError
from securecc.model.grant import JobLimits
from securecc.model.messages import LimitName
from securecc.sandbox.machine_advice import CgroupPlacement

CONTROLLERS = ("memory", "pids", "cpu")
KILL = "cgroup-kill"
LAYERS = (*(f"cgroup-{name}" for name in CONTROLLERS), KILL)
"""The controllers that may be in force for jobs."""

_PERIOD_US = 100_000
_PROC = "/proc"
_MAIN = b"main"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DELEGATED = (
    "user.delegate",
    "trusted.delegate",
)  # how systemd marks delegated directories (251 and later; the second for root)
_ADVICE = f"see {page('sandbox.md')} for how to give the runner a directory of control groups"


def placement(proc: str = _PROC) -> CgroupPlacement:
    """Where this process is. `proc` stands for /proc in tests."""
    mount, root = _mounted(_lines(f"{proc}/self/mountinfo"))
    own = next((line[3:] for line in _lines(f"{proc}/self/cgroup") if line.startswith("0::")), "")
    if not mount or not own:
        return CgroupPlacement(mount)
    inside = own.removeprefix(root.rstrip("/")).strip("/")
    return placement_at(mount, os.path.join(mount, inside) if inside else mount)


def placement_at(mount: str, folder: str) -> CgroupPlacement:
    """What a directory of the hierarchy mounted at `mount` offers."""
    return CgroupPlacement(mount, folder, _is_delegated(folder), controllers(folder))


def controllers(folder: str) -> frozenset[str]:
    """The controllers that a directory offers, of those that bound a job."""
    said = next(iter(_lines(os.path.join(folder, "cgroup.controllers"))), "")
    return frozenset(said.split()) & frozenset(CONTROLLERS)


def prepare(folder: str, owner: tuple[int, int] | None = None) -> str:
    """Prepares a directory of control groups; returns the directory for jobs. With an `owner` (uid, gid) that is a
    directory below it, which the owner gets: root's own processes stay beside it.

    Raises:
        SandboxError: the directory cannot be used; the advice says what to do.
    """
    try:
        _settle(folder)
        if owner is None:
            return folder
        inner = os.path.join(folder, "runner")
        _make(inner)
        _settle(inner)
        for place in (inner, _main(inner)):
            for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
                os.chown(os.path.join(place, name), *owner)
        return inner
    except OSError as error:
        raise SandboxError(f"cannot use the control groups of {folder}: {error.strerror}", _ADVICE) from error


def join(folder: str, pid: int) -> None:
    """Moves a process that is not a job beside the jobs' groups: only from there may it move others into them.

    Raises:
        SandboxError: the system refuses.
    """
    try:
        _move(_main(folder), (str(pid),))
    except OSError as error:
        raise SandboxError(f"cannot join the control groups of {folder}: {error.strerror}", _ADVICE) from error


def _main(folder: str) -> str:
    """The directory for processes that are not jobs: a group whose controllers are in force for others may have none
    itself.
    """
    return os.path.join(folder, os.fsdecode(_MAIN))


def _settle(folder: str) -> None:
    """Moves its processes to the directory for them, and enables its controllers for those beside it."""
    _make(_main(folder))
    _move(_main(folder), _lines(os.path.join(folder, "cgroup.procs")))
    for name in controllers(folder):
        with contextlib.suppress(OSError):  # shown by what is enabled afterwards
            _write(os.path.join(folder, "cgroup.subtree_control"), f"+{name}")


def _make(folder: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o755)


def _move(folder: str, pids: Iterable[str]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            _write(os.path.join(folder, "cgroup.procs"), pid)


def enter(group: int, pid: int) -> None:
    """Moves a process to the group that is open as `group`, before it has children.

    Raises:
        OSError: the system refuses, or the process has gone.
    """
    _put(group, "cgroup.procs", b"%d" % pid)


class JobGroups:
    """The control groups of jobs, in a directory that `prepare` has prepared. It stays open, since a runner changes its
    root.
    """

    def __init__(self, folder: str) -> None:
        """Opens the directory.

        Raises:
            SandboxError: it cannot be used.
        """
        try:
            self._folder = os.open(folder, _FOLDER)
            enabled = _get(self._folder, "cgroup.subtree_control").split()
            self.controllers = tuple(name for name in CONTROLLERS if name in enabled)
            kills = os.access(os.fsdecode(_MAIN) + "/cgroup.kill", os.F_OK, dir_fd=self._folder)
        except OSError as error:
            raise SandboxError(f"cannot use the control groups of {folder}: {error.strerror}", _ADVICE) from error
        self.layers = (*(f"cgroup-{name}" for name in self.controllers), *((KILL,) if kills else ()))
        self._kills = kills
        self._left = {name for name in map(os.fsencode, os.listdir(self._folder)) if _is_stale(name)}

    def new(self, number: int, limits: JobLimits) -> "JobGroup":
        """The group of one job, with its limits set.

        Raises:
            SandboxError: the system refuses.
        """
        name = b"job-%d-%d" % (os.getpid(), number)
        for old in tuple(self._left):
            self.remove(old)
        try:
            group = JobGroup(self, name, self._open(name), kills=self._kills)
        except OSError as error:
            raise SandboxError(_no_group(error), _ADVICE) from error
        try:
            for file, value in group_settings(self.controllers, limits):
                with contextlib.suppress(FileNotFoundError):  # no swap, an older kernel
                    _put(group.folder, file, value)
        except OSError as error:
            group.close()
            raise SandboxError(_no_group(error), _ADVICE) from error
        return group

    def remove(self, name: bytes) -> None:
        """Removes a group, or tries again with the next job if it is still busy."""
        try:
            os.rmdir(name, dir_fd=self._folder)
            self._left.discard(name)
        except FileNotFoundError:
            self._left.discard(name)
        except OSError:
            self._left.add(name)

    def _open(self, name: bytes) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=self._folder)
        return os.open(name, _FOLDER, dir_fd=self._folder)


class JobGroup:
    """One job's group, open as `folder`. Close it when no process of the job is left."""

    def __init__(self, groups: JobGroups, name: bytes, folder: int, *, kills: bool) -> None:
        self._groups = groups
        self._name = name
        self._kills = kills
        self.folder = folder

    def kill(self) -> None:
        """Ends all of it at once, if the kernel can (5.14)."""
        if self._kills:
            with contextlib.suppress(OSError):
                _put(self.folder, "cgroup.kill", b"1")

    def limit(self) -> LimitName:
        """The limit that some process of it has hit, if any."""
        if _count(self.folder, "memory.events", "oom_kill"):
            return "memory"
        return "processes" if _count(self.folder, "pids.events", "max") else ""

    def close(self) -> None:
        """Ends whatever is left in it, and removes it."""
        self.kill()
        os.close(self.folder)
        self._groups.remove(self._name)


def _no_group(error: OSError) -> str:
    return f"no control group for a job: {error.strerror}"


def group_settings(enabled: Iterable[str], limits: JobLimits) -> list[tuple[str, bytes]]:
    """What is written to a new group. What a job writes to its tmpfs counts as its memory too."""
    memory = limits.memory + limits.output + 2 * limits.diagnostics
    values = {
        "memory": [("memory.max", b"%d" % memory), ("memory.swap.max", b"0"), ("memory.oom.group", b"1")],
        "pids": [("pids.max", b"%d" % limits.processes)],
        "cpu": [("cpu.max", b"%d %d" % (bound.JOB_PROCESSORS * _PERIOD_US, _PERIOD_US))],
    }
    return [pair for name in enabled for pair in values[name]]


def _is_stale(name: bytes) -> bool:
    """Whether it is the group of a job whose runner has gone."""
    kind, _, rest = name.partition(b"-")
    pid = rest.partition(b"-")[0]
    return kind == b"job" and pid.isdigit() and not os.path.exists(f"{_PROC}/{int(pid)}")


def _count(folder: int, file: str, word: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in _get(folder, file).splitlines():
            name, _, value = line.partition(" ")
            if name == word:
                return int(value)
    return 0


def _mounted(lines: Iterable[str]) -> tuple[str, str]:
    """Where version 2 is mounted, and which directory of it (proc_pid_mountinfo(5))."""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if after.startswith("cgroup2 ") and len(fields) > 4:  # noqa: PLR2004 - root and mount point are the 4th and 5th
            return fields[4], fields[3]
    return "", ""


def _is_delegated(folder: str) -> bool:
    """Whether a service manager says so. Write permission proves nothing: root has it everywhere, and a user has it in
    the groups of their own sessions, where their shell runs.
    """
    for name in _DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(bound.WORK_PACKET).splitlines()
    except OSError:
        return []


def _write(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def _put(folder: int, name: str, value: bytes) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(file, value)
    finally:
        os.close(file)


def _get(folder: int, name: str) -> str:
    file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(file, bound.WORK_PACKET).decode()
    finally:
        os.close(file)
