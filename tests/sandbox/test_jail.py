"""The jail itself, without a runner and mostly without a filter: what it promises must hold alone."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securecc.model import limits
from securecc.model.errors import SandboxError
from securecc.model.grant import JobLimits
from securecc.sandbox import jail, sandbox, seccomp
from securecc.sandbox.jail import Jail
from tests.runnerside import NOBODY, children_of
from tests.waiting import until

HERE = os.path.dirname(__file__)
SMALL = JobLimits(memory=64 * limits.MIB, processes=12, output=limits.MIB, diagnostics=limits.MIB, cpu_s=7, wall_s=10)


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """A root with one program in it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        source = os.path.join(HERE, "prisoner.c")
        subprocess.run(["gcc", "-static", "-O1", "-o", folder + "/prisoner", source], check=True)
        os.makedirs(folder + "/home/alice")
        with open(folder + "/text", "wb") as text:
            text.write(b"no program")
        yield folder


@pytest.fixture
def rules(tmp_path: Path) -> bytes:
    path = tmp_path / "rules"
    path.write_bytes(seccomp.program())
    return os.fsencode(path)


def run(
    inside: str, *words: bytes, way: Jail | None = None, given: JobLimits = SMALL, **more: Any
) -> tuple[sandbox.SandboxResult, bytes]:
    """How it ended, and what it wrote."""

    async def whole() -> tuple[sandbox.SandboxResult, bytes]:
        with tempfile.TemporaryFile() as out:
            spec = sandbox.SandboxSpec(os.fsencode(inside), b"/home/alice", words, {}, 0o027, (out.fileno(),) * 3)
            ending = await (way or Jail(jail.find())).start(replace(spec, **more), given).ended()
            out.seek(0)
            return ending, out.read()

    before = os.listdir("/proc/self/fd"), children_of(os.getpid())
    found = asyncio.run(whole())
    assert (os.listdir("/proc/self/fd"), children_of(os.getpid())) == before
    return found


def test_every_word_has_its_place() -> None:
    spec = sandbox.SandboxSpec(b"--root", b"--cwd", (b"--help", b"-c"), {}, 0o7027, (0, 1, 2))
    line = jail.command_line(Jail(b"/jail", b"--filter"), spec, SMALL)
    assert line[:4] == [b"/jail", b"--root", b"--cwd", b"--filter"]
    numbers = [int(word) for word in line[4].split()]
    assert numbers[:4] == [os.getpid(), 0o027, 0, 0]
    assert numbers[4:] == [number for limit in sandbox.rlimits(SMALL) for number in limit]
    assert line[5:] == [b"--help", b"-c"]


def test_the_layers_say_who_makes_it() -> None:
    assert Jail(b"/jail").layers == ("jail", *sandbox.LAYERS)
    assert Jail(b"/jail", b"/seccomp").layers == ("jail", *sandbox.LAYERS, "seccomp")


def test_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.path.basename(jail.find()) == b"securecc-jail"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sandbox, "PROGRAM_DIRECTORIES", (str(tmp_path),))
    with pytest.raises(SandboxError, match=r"sandbox\.program"):
        jail.find()


def test_what_a_prisoner_sees(root: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        words = (b"/prisoner", b"look", b"%d" % listening.getsockname()[1])
        ending, said = run(root, *words, environment={b"LANG": b"C", b"PATH": b"/"})
    assert (ending.status, ending.ran) == (0, True)
    lines = said.decode().splitlines()
    seen = dict(line.split("=", 1) for line in lines)
    assert {line for line in lines if line.startswith("env ")} == {"env LANG=C", "env PATH=/", "env PWD=/home/alice"}
    assert [name for name in seen if name.startswith("descriptor") and seen[name] == "open"] == [
        f"descriptor{number}" for number in range(3)
    ]
    assert seen["capabilities"] == "0 0 0 0 0 0 0 0"
    assert seen["above"] == "nothing"
    assert seen["cwd"] == "/home/alice"
    assert seen["ids"] == "2 1 2 2"
    assert seen["umask"] == "27"
    assert (seen["no-new-privs"], seen["ignored"]) == ("1", "0")
    assert seen["connect"] == "ENETUNREACH"
    for which, soft, hard in sandbox.rlimits(SMALL)[:6]:
        assert seen[f"limit{which}"] == f"{soft} {hard}"
    assert (seen["user"], seen["clone-user"]) == ("ENOSPC", "ENOSPC")
    refused = "mount pid net ipc uts tmpfs remount umount chroot sethostname ptrace-init setns-init device"
    assert {seen[name] for name in (*refused.split(), "descriptor-of-init")} <= {"EPERM", "EINVAL"}
    assert seen["kill-all"] == "ESRCH"


def test_with_a_filter_none_of_it_can_be_asked(root: str, rules: bytes) -> None:
    _, said = run(root, b"/prisoner", b"look", b"1", way=Jail(jail.find(), rules))
    seen = dict(line.split("=", 1) for line in said.decode().splitlines())
    for name in ("user", "mount", "tmpfs", "ptrace-init", "setns-init", "connect", "clone-user"):
        assert seen[name] == "ENOSYS"


def test_words_are_never_options(root: str) -> None:
    words = (b"--", b"-h", b"--root=/", b"", b"\xff\n", b"x" * 100_000)
    ending, said = run(root, b"/prisoner", b"words", *words)
    assert (ending.status, said) == (0, b"".join(b"[%s]" % word for word in words))
    ending, said = run(root, b"--version")
    assert not ending.ran


def test_a_large_environment(root: str) -> None:
    many = {b"V%d" % number: b"x" * 4096 for number in range(32)}
    assert run(root, b"/prisoner", b"length", b"V31", environment=many)[1] == b"4096"
    one = {b"V": b"x" * (128 * limits.KIB - 3)}
    assert run(root, b"/prisoner", b"length", b"V", environment=one)[1] == b"131069"
    with pytest.raises(SandboxError, match="cannot start"):
        run(root, b"/prisoner", environment={b"V": b"x" * 128 * limits.KIB})
    with pytest.raises(SandboxError, match="cannot start"):
        run(root, b"/prisoner", b"\0")


@pytest.mark.parametrize("status", [0, 1, 2, 125, 127, 128, 137, 139, 255])
def test_an_exit_status_is_passed_on(root: str, status: int) -> None:
    ending, _ = run(root, b"/prisoner", b"exit", b"%d" % status)
    assert (ending.status, ending.ran) == (status, True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGXFSZ, signal.SIGPIPE])
def test_a_signal_is_passed_on(root: str, number: int) -> None:
    ending, _ = run(root, b"/prisoner", b"raise", b"%d" % number)
    assert (ending.status, ending.ran) == (-number, True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"arguments": (b"/nowhere",)}, b"cannot run /nowhere: No such file"),
        ({"arguments": (b"/text",)}, b"cannot run /text: Permission denied"),
        ({"cwd": b"/nowhere"}, b"cannot enter /nowhere: No such file"),
        ({"cwd": b"/text"}, b"cannot enter /text: Not a directory"),
        ({"root": b"/nowhere"}, b"cannot mount /nowhere: No such file"),
    ],
)
def test_what_could_not_begin_did_not_run(root: str, more: Any, said: bytes) -> None:
    ending, words = run(root, b"/prisoner", **more)
    assert (ending.status, ending.ran) == (1, False)
    assert words.startswith(b"securecc-jail: " + said)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 8, b"\0" * 8 * 5000])
def test_a_filter_that_is_none_starts_nothing(root: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rules"
    path.write_bytes(content)
    ending, words = run(root, b"/prisoner", way=Jail(jail.find(), os.fsencode(path)))
    assert not ending.ran
    assert words.startswith(b"securecc-jail: cannot ")


@pytest.mark.parametrize(
    "words",
    [[], ["/"], ["/", "/", "", "1 2"], ["/", "/", "", "", "true"], ["/", "/", "", "1 -2", "true"]]
    + [
        ["/", "/", "", numbers, "true"]
        for numbers in ("PID 18 0 0 1", "PID 18 0 0 1 2", "PID 18 0 0 1 2 x", "PID 99999999999999999999")
    ]
    + [["/", "/", "", "PID 18 0 0 999 1 1", "true"], ["/", "/", "", "PID 18 0 0" + " 1 2 3" * 17, "true"]],
)
def test_arguments_that_make_no_sense(words: list[str]) -> None:
    words = [word.replace("PID", str(os.getpid())) for word in words]
    done = subprocess.run([jail.find(), *words], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"securecc-jail: cannot ")


def test_only_the_parent_that_it_was_told_of(root: str) -> None:
    done = subprocess.run([jail.find(), root, "/", "", "1 18 0 0", "/prisoner"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"securecc-jail: cannot stay without the parent: No such process\n")


def by_hand(root: str, numbers: str, *words: str, before: str = "") -> str:
    """What a prisoner says whom a shell has put into a jail, as a user who is not root."""
    script = before + ' exec "$0" "$@" 3>&1 2>&1'
    line = [
        "sh",
        "-c",
        script,
        os.fsdecode(jail.find()),
        root,
        "/",
        "",
        f"{os.getpid()} 18 0 0 {numbers}",
        "/prisoner",
        *words,
    ]
    someone: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    said: bytes = subprocess.run(line, stdout=subprocess.PIPE, check=False, **someone).stdout
    return said.decode(errors="replace").partition("\0")[0]


def test_processes_are_counted_in_the_jails_own_namespace(root: str) -> None:
    """As a user who is not root, whom the kernel would not count."""
    assert by_hand(root, f"{resource.RLIMIT_NPROC} 12 12", "fork") == "forks=10 EAGAIN\n"
    assert by_hand(root, f"{resource.RLIMIT_NPROC} 1 1", "fork").startswith("securecc-jail: cannot start /prisoner")


def test_a_limit_is_never_raised(root: str) -> None:
    given = f"{resource.RLIMIT_NOFILE} 1024 2048"
    assert f"limit{resource.RLIMIT_NOFILE}=77 77" in by_hand(root, given, "look", "1", before="ulimit -n 77;")


def test_memory_is_the_programs_own(root: str) -> None:
    small = run(root, b"/prisoner")[0].usage.memory
    large = run(root, b"/prisoner", b"memory")[0].usage.memory
    assert 0 < small < 8 * limits.MIB
    assert 32 * limits.MIB < large < 40 * limits.MIB


def test_children_that_went_their_own_way_end_with_it(root: str) -> None:
    ending, _ = run(root, b"/prisoner", b"orphan")
    assert ending.status == 0
    ending, _ = run(root, b"/prisoner", b"sleep", os.fsencode(root), given=replace(SMALL, wall_s=0.1))
    assert (ending.status, ending.limit, ending.ran) == (-signal.SIGKILL, "wall", True)
    assert gone(*imprisoned(root))  # this process is no subreaper, as the runner is: who waits for them is another


def imprisoned(root: str) -> set[int]:
    """The pids of all prisoners that were told this word."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                if line.read() == b"/prisoner\0sleep\0%s\0" % os.fsencode(root):
                    found.add(int(pid))
        except OSError:
            continue
    return found


def keeper(*words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, os.path.join(HERE, "jailkeeper.py"), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


def test_killed_at_any_moment_it_leaves_nothing(root: str, rules: bytes) -> None:
    with keeper("moments", root, os.fsdecode(rules)) as process:
        assert process.stdout is not None
        said = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert set(said) == {"True -9 []"}
    assert len(said) == 120


def test_so_does_bubblewrap(root: str) -> None:
    with keeper("bubblewrap", root, "") as process:
        assert process.stdout is not None
        said = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert set(said) == {"True -9 []"}


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(*pids: int) -> bool:
    return until(lambda: not any(map(alive, pids)), what=f"the end of {pids}")


@pytest.mark.parametrize("who", ["outer", "init", "keeper"])
def test_killed_before_it_is_set_up(root: str, tmp_path: Path, who: str) -> None:
    """Its init waits for a filter that nobody writes: it has no root of its own yet, no limits, no filter."""
    pipe = tmp_path / "rules"
    os.mkfifo(pipe)
    with keeper("wait", root, str(pipe)) as process:
        assert process.stdout is not None
        outer, init = map(int, process.stdout.readline().split())
        os.kill({"outer": outer, "init": init, "keeper": process.pid}[who], signal.SIGKILL)
        assert gone(outer, init)
        assert process.stdout.read() == ("" if who == "keeper" else "True -9 []\n")


@pytest.mark.parametrize("who", ["outer", "init", "keeper"])
def test_killed_while_it_runs(root: str, rules: bytes, who: str) -> None:
    before = imprisoned(root)
    with keeper("wait", root, os.fsdecode(rules)) as process:
        assert process.stdout is not None
        outer, init = map(int, process.stdout.readline().split())
        until(lambda: len(imprisoned(root) - before) == 2)
        inside = imprisoned(root) - before
        os.kill({"outer": outer, "init": init, "keeper": process.pid}[who], signal.SIGKILL)
        assert gone(outer, init, *inside)
        assert process.stdout.read() == ("" if who == "keeper" else "True -9 []\n")
