"""Rooms of one's own: each test enters them in a child process, and nothing of it is seen outside."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import CEILING_S

Inside = Callable[..., str]
PREFIX = """
import os, shutil, socket, sys
from securecc.sandbox import namespaces
from securecc.model.errors import SandboxError
base = os.fsencode(sys.argv[1])
if os.getuid() == 0:
    namespaces.switch_user(64986, 64986)
namespaces.harden()
namespaces.enter()
"""


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    """Run code after `enter`; what it prints. Its directory is one that any uid may enter."""

    def run(code: str, prefix: str = PREFIX) -> str:
        done = subprocess.run(
            [sys.executable, "-I", "-c", prefix + textwrap.dedent(code), "/mnt"],
            capture_output=True,
            text=True,
            timeout=CEILING_S,
            cwd="/",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


CLOSED = """
import ctypes, os
from securecc.sandbox import namespaces
libc = ctypes.CDLL(None)
namespaces.harden()
print([libc.prctl(number, 0, 0, 0, 0) for number in (3, 39)])  # PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS
namespaces.become_subreaper()
if not os.fork():
    if not os.fork():
        os.read(0, 1)
        os._exit(7)
    os._exit(0)
os.wait()
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_what_is_renounced_and_adopted() -> None:
    line = [sys.executable, "-c", CLOSED]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CEILING_S, check=True)
    assert done.stdout == "[0, 1]\n7\n"


def test_no_way_back_and_no_network(inside: Inside) -> None:
    said = inside("""
        print(os.getuid() != 0, os.getgid() != 0)
        try:
            os.setuid(0)
        except OSError:
            print("not root")
        try:
            socket.socket().connect(("127.0.0.1", 9))
        except OSError as error:
            print(error.errno)
    """)
    assert said.split() == ["True", "True", "not", "root", "101"]


def test_a_tmpfs_has_its_size_its_inodes_and_tells_of_reads(inside: Inside) -> None:
    said = inside("""
        namespaces.mount_tmpfs(base, 1 << 20, inodes=20)
        os.chdir(base)
        with open("f", "wb") as file:
            file.write(b"x")
        os.utime("f", (0, 0))
        print(os.stat("f").st_atime)
        open("f").read()
        print(os.stat("f").st_atime > 0)
        os.symlink("/usr/bin/true", "t")
        shutil.copy("/usr/bin/true", "mine")
        try:
            os.execv("mine", ["mine"])
        except PermissionError:
            print("noexec")
        try:
            open("g", "wb").write(bytes(1 << 21))
        except OSError as error:
            print(error.strerror)
        try:
            for number in range(30):
                os.mkdir(str(number))
        except OSError as error:
            print(error.strerror)
    """)
    assert said.splitlines() == ["0.0", "True", "noexec"] + ["No space left on device"] * 2
    assert not os.path.exists("/mnt/f")


def test_programs_lie_in_huge_pages_where_there_are_any(inside: Inside) -> None:
    said = inside("""
        for programs in (False, True):
            namespaces.mount_tmpfs(base, 1 << 20, programs=programs)
            with open("/proc/self/mountinfo") as mounts:
                print("huge=within_size" in mounts.read().splitlines()[-1])
    """)
    known = os.path.exists("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    assert said.split() == ["False", str(known)]


def test_a_kernel_that_knows_no_huge_pages_mounts_all_the_same(inside: Inside) -> None:
    said = inside("""
        mount = namespaces._mount
        def old_kernel(source, target, kind, flags, data=b""):
            if b"huge" in data:
                raise SandboxError("no tmpfs mount: Invalid argument")
            mount(source, target, kind, flags, data)
        namespaces._mount = old_kernel
        namespaces.mount_tmpfs(base, 1 << 20, programs=True)
        print(os.path.ismount(base))
    """)
    assert said.split() == ["True"]


def test_a_read_only_view(inside: Inside) -> None:
    said = inside("""
        namespaces.mount_tmpfs(base, 1 << 20, programs=True)
        os.chdir(base)
        os.makedirs("a/b")
        os.mkdir("v")
        namespaces.bind_read_only(base + b"/a", base + b"/v")
        for path in ("a/one", "v/two"):
            try:
                open(path, "w").close()
                print("written")
            except OSError as error:
                print(error.strerror)
        print(sorted(os.listdir("v")))
        namespaces.unmount(base + b"/v")
        print(sorted(os.listdir("v")))
    """)
    assert said.splitlines() == ["written", "Read-only file system", "['b', 'one']", "[]"]


def test_a_read_only_view_without_programs(inside: Inside) -> None:
    said = inside("""
        import shutil
        namespaces.mount_tmpfs(base, 1 << 20, programs=True)
        os.chdir(base)
        for name in ("a", "job"):
            os.mkdir(name)
        shutil.copy("/usr/bin/true", "a/mine")
        os.utime("a/mine", (0, 0))
        namespaces.bind_read_only(base + b"/a", base + b"/a", programs=False)
        namespaces.bind(base + b"/a", base + b"/job")
        open("job/mine", "rb").read()
        print(os.stat("job/mine").st_atime)
        for attempt in (
            lambda: os.execv("job/mine", ["mine"]),
            lambda: os.chmod("job/mine", 0o777),
            lambda: os.utime("job/mine", (1, 1)),
            lambda: open("job/mine", "ab"),
            lambda: os.mkdir("job/new"),
        ):
            try:
                attempt()
                print("done")
            except OSError as error:
                print(error.strerror)
    """)
    assert said.splitlines() == ["0.0", "Permission denied"] + ["Read-only file system"] * 4


def test_a_root_of_ones_own(inside: Inside) -> None:
    said = inside("""
        namespaces.mount_tmpfs(base, 1 << 20)
        os.mkdir(base + b"/only")
        namespaces.change_root(base)
        print(os.listdir("/"), os.getcwd(), os.path.exists("/etc/passwd"))
    """)
    assert said.split() == ["['only']", "/", "False"]


def test_refusals_say_what_and_why(inside: Inside) -> None:
    said = inside("""
        for attempt in (
            lambda: namespaces.mount_tmpfs(b"/nonexistent", 1),
            lambda: namespaces.unmount(b"/nonexistent"),
            lambda: namespaces.bind(b"/nonexistent", base),
            lambda: namespaces.switch_user(0, 0),
        ):
            try:
                attempt()
            except SandboxError as error:
                print(error)
    """)
    lines = said.splitlines()
    assert len(lines) == 4
    assert "/nonexistent" in lines[0]
    assert "No such file" in lines[0]
    assert "user namespaces" in lines[0]


@pytest.mark.skipif(os.getuid() != 0, reason="nothing to drop")
def test_dropping_root_is_for_good(inside: Inside) -> None:
    said = inside(
        """
        namespaces.switch_user(64986, 64987)
        print(os.getresuid(), os.getresgid(), os.getgroups())
        """,
        prefix="import os\nfrom securecc.sandbox import namespaces\n",
    )
    assert said.strip() == "(64986, 64986, 64986) (64987, 64987, 64987) []"


def test_threads_that_are_ending_are_waited_for() -> None:
    program = (
        "import os, threading, time; from securecc.sandbox import namespaces\n"
        "threading.Thread(target=time.sleep, args=(0.05,)).start()\n"
        "namespaces._wait_for_threads(); print(len(os.listdir('/proc/self/task')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
