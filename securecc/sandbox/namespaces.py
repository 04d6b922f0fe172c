"""The runner's own surroundings: namespaces, an unprivileged user and tmpfs mounts, by system call (unshare(2),
mount(2)).

All of it belongs to the process: nothing needs root, and nothing outlives the runner.
"""

import contextlib
import ctypes
import os
import platform
import time

from securecc.model.errors import SandboxError

_THREADS_END_S, _LOOK_S = 1.0, 0.001
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_MS_RDONLY = 1
_MS_NOSUID = 2
_MS_NODEV = 4
_MS_NOEXEC = 8
_MS_REMOUNT = 32
_MS_BIND = 4096
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MS_STRICTATIME = 1 << 24
_MNT_DETACH = 2
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

_ADVICE = (
    "the kernel must allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
    "user.max_user_namespaces > 0, kernel.apparmor_restrict_unprivileged_userns=0)"
)


def switch_user(uid: int, gid: int) -> None:
    """Drops root for good.

    Raises:
        SandboxError: the system refuses, or the process could become root again.
    """
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        message = f"cannot become uid {uid}, gid {gid}: {error.strerror}"
        raise SandboxError(message, "start as root, or as that user") from error
    if uid != 0:
        with contextlib.suppress(PermissionError):
            os.setuid(0)
            raise SandboxError(f"uid {uid} can become root again")


def harden() -> None:
    """Keeps everything that this process or its children execute from gaining privileges, and its memory and
    descriptors from other processes of its user and from core dumps (prctl(2), ptrace(2)).

    Raises:
        SandboxError: the system refuses.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)


def become_subreaper() -> None:
    """Makes orphaned descendants of this process its children (PR_SET_CHILD_SUBREAPER of prctl(2)).

    Raises:
        SandboxError: the system refuses.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def enter() -> None:
    """Moves this process to user, mount, net, ipc and uts namespaces of its own, with its uid and gid unchanged. It
    must have one thread.

    Raises:
        SandboxError: the kernel does not allow it; the advice says how to allow it.
    """
    uid, gid = os.getuid(), os.getgid()
    _wait_for_threads()
    _prctl(_PR_SET_DUMPABLE, 1)
    flags = _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    if _libc.unshare(flags):
        raise SandboxError(f"cannot create namespaces: {_reason()}", _ADVICE)
    try:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    except OSError as error:
        raise SandboxError(f"cannot map uid {uid} in a user namespace: {error.strerror}", _ADVICE) from error
    _mount(b"none", b"/", b"", _MS_REC | _MS_PRIVATE)
    _prctl(_PR_SET_DUMPABLE, 0)


def _wait_for_threads() -> None:
    """Waits for threads that Python has joined to leave the kernel, which counts them until then."""
    last = time.monotonic() + _THREADS_END_S
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < last:
        time.sleep(_LOOK_S)


def mount_tmpfs(path: bytes, size: int, *, inodes: int = 0, programs: bool = False) -> None:
    """Mounts a new tmpfs of at most `size` bytes and `inodes` inodes (0: the kernel's default), always nosuid and
    nodev.

    Every read shows in a file's atime. Programs on it may run only with `programs`, which also puts large ones in huge
    pages, if the kernel has them: they start faster than from pages of 4 KiB.

    Raises:
        SandboxError: the system refuses.
    """
    flags = _MS_NOSUID | _MS_NODEV | _MS_STRICTATIME | (0 if programs else _MS_NOEXEC)
    data = b"size=%d,nr_inodes=%d,mode=755" % (size, inodes)
    if programs:
        with contextlib.suppress(SandboxError):  # a kernel without huge pages knows no such option (tmpfs(5))
            return _mount(b"tmpfs", path, b"tmpfs", flags, data + b",huge=within_size")
    return _mount(b"tmpfs", path, b"tmpfs", flags, data)


def mount_terminals(path: bytes) -> None:
    """Mounts a devpts instance of our own.

    Raises:
        SandboxError: the system refuses.
    """
    _mount(b"devpts", path, b"devpts", _MS_NOSUID | _MS_NOEXEC, b"newinstance,ptmxmode=0666,mode=0600")


def bind(source: bytes, target: bytes, *, recursive: bool = False) -> None:
    """Shows `source` at `target` as well; with `recursive` the mounts below it too.

    Raises:
        SandboxError: the system refuses.
    """
    _mount(source, target, b"", _MS_BIND | (_MS_REC if recursive else 0))


def bind_read_only(source: bytes, target: bytes, *, programs: bool = True) -> None:
    """Shows `source` at `target`, read-only, and not executable unless `programs`.

    Raises:
        SandboxError: the system refuses.
    """
    bind(source, target)
    flags = _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | (0 if programs else _MS_NOEXEC)
    _mount(b"none", target, b"", flags)


def unmount(path: bytes) -> None:
    """Removes a mount at once, even if files are open below it.

    Raises:
        SandboxError: the system refuses.
    """
    if _libc.umount2(path, _MNT_DETACH):
        raise SandboxError(f"cannot unmount {os.fsdecode(path)}: {_reason()}")


def change_root(new_root: bytes) -> None:
    """Makes the mount `new_root` the process's root directory and lets go of the old one (pivot_root(2), "." over ".").

    Raises:
        SandboxError: the system refuses, or the architecture is unknown.
    """
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise SandboxError(f"pivot_root is not known on {platform.machine()}")
    os.chdir(new_root)
    if _libc.syscall(ctypes.c_long(number), b".", b"."):
        raise SandboxError(f"cannot make {os.fsdecode(new_root)} the root: {_reason()}")
    unmount(b".")
    os.chdir("/")


def _mount(source: bytes, target: bytes, kind: bytes, flags: int, data: bytes = b"") -> None:
    if _libc.mount(source, target, kind or None, ctypes.c_ulong(flags), data or None):
        what = f"{kind.decode() or 'bind'} mount on {os.fsdecode(target)}"
        raise SandboxError(f"no {what}: {_reason()}", _ADVICE)


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if _libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero):
        raise SandboxError(f"prctl {option}: {_reason()}")


def _reason() -> str:
    return os.strerror(ctypes.get_errno())


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
