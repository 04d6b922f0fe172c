"""The system call filter, tried by calls that a compiler never makes."""

import errno
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from securecc.sandbox import seccomp

TRY = """
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
result = libc.syscall(*(ctypes.c_long(int(word, 0)) for word in sys.argv[1:]))
print(ctypes.get_errno() if result < 0 else 0)
"""
X86 = platform.machine() == "x86_64"
DENIED = {  # numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl)
    "socket": (41, 2, 1, 0),
    "socketpair": (53, 1, 1, 0),
    "ptrace": (101, 0, 0, 0),
    "mount": (165, 0, 0, 0),
    "umount2": (166, 0, 0),
    "unshare": (272, 0x10000000),
    "setns": (308, 0, 0),
    "keyctl": (250, 0, 0),
    "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, 0),
    "io_uring_setup": (425, 1, 0),
    "process_vm_readv": (310, 1, 0, 0),
    "userfaultfd": (323, 0),
    "chroot": (161, 0),
    "clone3": (435, 0, 0),
    "clone with a new user namespace": (56, 0x10000000, 0, 0, 0, 0),
    "ioctl TIOCSTI": (16, 0, 0x5412, 0),
    "ioctl TIOCSTI with high bits": (16, 0, 0x100005412, 0),
    "personality ADDR_NO_RANDOMIZE": (135, 0x0040000),
}


def filtered(command: Sequence[str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "filter"
    path.write_bytes(seccomp.program())
    with path.open("rb") as file:
        return subprocess.run(
            ["bwrap", "--dev-bind", "/", "/", "--seccomp", str(file.fileno()), "--", *command],
            pass_fds=[file.fileno()],
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.mark.skipif(not X86, reason="the table's numbers are those of x86-64")
@pytest.mark.parametrize("call", DENIED.values(), ids=DENIED)
def test_what_no_compiler_needs_is_as_if_the_kernel_never_had_it(call: tuple[int, ...], tmp_path: Path) -> None:
    before = subprocess.run([sys.executable, "-c", TRY, *map(hex, call)], capture_output=True, text=True, check=False)
    assert before.stdout.strip() != str(errno.ENOSYS), "this kernel lacks the call: nothing is shown"
    done = filtered([sys.executable, "-c", TRY, *map(hex, call)], tmp_path)
    assert done.stdout.strip() == str(errno.ENOSYS), done.stderr


@pytest.mark.skipif(not X86, reason="x32 is an ABI of x86-64")
def test_the_x32_abi_is_no_way_round(tmp_path: Path) -> None:
    done = filtered([sys.executable, "-c", TRY, hex(0x40000000 | 41), "2", "1", "0"], tmp_path)
    assert done.returncode == 128 + signal.SIGSYS or done.stdout.strip() == str(errno.ENOSYS)


def test_gcc_works_under_it(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text('#include <stdio.h>\nint main(void) { return puts("a") < 0; }\n')
    done = filtered(["gcc", "-O2", "-g", "-pipe", "-c", str(tmp_path / "a.c"), "-o", str(tmp_path / "a.o")], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.path.getsize(tmp_path / "a.o") > 0


def test_a_machine_without_libseccomp_is_told_apart() -> None:
    """In a process of its own: the library is looked for when the module is imported."""
    script = (
        "import sys; sys.modules['pyseccomp'] = None\n"
        "from securecc.sandbox import seccomp\n"
        "from securecc.model.errors import SandboxError\n"
        "try:\n    seccomp.program()\nexcept SandboxError as error:\n    print(error.advice)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "apt install libseccomp2\n"
