"""Which system calls a job may make, as a filter for the kernel (seccomp(2)); the only file that imports libseccomp.

Denied by default: what is not listed fails with ENOSYS, as on a kernel that never had it, and glibc falls back where it
can. So there is no socket of any kind, no new namespace, mount, tracing, io_uring, key or foreign ABI.
"""

import contextlib
import errno
import tempfile
from types import ModuleType

from securecc.model.errors import SandboxError

seccomp: ModuleType | None = None
_lacking = ""
try:  # imported here, since the runner's user may not be able to read this installation later
    import pyseccomp

    seccomp = pyseccomp
except (ImportError, RuntimeError, OSError) as missing:  # no libseccomp
    _lacking = str(missing)

_FILES = """
access chdir chmod close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchdir
fchmod fchmodat fcntl fdatasync flock fstat fstatfs fsync ftruncate getcwd getdents getdents64 link linkat lseek lstat
mkdir mkdirat newfstatat open openat openat2 pipe pipe2 pread64 preadv pwrite64 pwritev read readlink readlinkat readv
rename renameat renameat2 rmdir sendfile stat statfs statx symlink symlinkat sync truncate umask unlink unlinkat utime
utimensat utimes write writev
"""
_MEMORY = "brk madvise mincore mmap mprotect mremap msync munmap"
_PROCESSES = """
arch_prctl execve exit exit_group fork futex get_robust_list getegid geteuid getgid getgroups getpgid getpgrp getpid
getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid kill pause prlimit64 rseq
sched_getaffinity sched_yield set_robust_list set_tid_address setpgid setpriority setrlimit setsid tgkill uname vfork
wait4 waitid sysinfo
"""
_SIGNALS = """
alarm rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait setitimer getitimer
sigaltstack restart_syscall
"""
_TIME = (
    "clock_getres clock_gettime clock_nanosleep getrandom gettimeofday nanosleep poll ppoll pselect6 select time times"
)

_NEW_NAMESPACES = 0x7E020080  # CLONE_NEWUSER, NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS, NEWCGROUP, NEWTIME (sched.h)
_IOCTLS = (0x5401, 0x5413, 0x5450, 0x5451, 0x541B)  # TCGETS, TIOCGWINSZ, FIONCLEX, FIOCLEX, FIONREAD; never TIOCSTI
_WORD = 0xFFFFFFFF
_TREE = 2  # a binary tree: for each job, the kernel runs a new filter on every system call number
_PERSONALITY_ASK = 0xFFFFFFFF


def program() -> bytes:
    """The filter as the kernel takes it (struct sock_filter).

    Raises:
        SandboxError: libseccomp is not installed, or makes no filter.
    """
    if seccomp is None:
        raise SandboxError(f"no libseccomp: {_lacking}", "apt install libseccomp2")
    try:
        made = seccomp.SyscallFilter(seccomp.ERRNO(errno.ENOSYS))
        with contextlib.suppress(ValueError, AttributeError):  # libseccomp before 2.5
            made.set_attr(seccomp.Attr.CTL_OPTIMIZE, _TREE)
        for name in f"{_FILES} {_MEMORY} {_PROCESSES} {_SIGNALS} {_TIME}".split():
            if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) >= 0:
                made.add_rule(seccomp.ALLOW, name)
        made.add_rule(seccomp.ALLOW, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, _NEW_NAMESPACES, 0))
        made.add_rule(seccomp.ALLOW, "personality", seccomp.Arg(0, seccomp.EQ, _PERSONALITY_ASK))
        for request in _IOCTLS:
            made.add_rule(seccomp.ALLOW, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, _WORD, request))
        with tempfile.TemporaryFile() as file:
            made.export_bpf(file)
            file.seek(0)
            return file.read()
    except (OSError, ValueError) as error:
        raise SandboxError(f"libseccomp makes no filter: {error}", "apt install libseccomp2") from error
