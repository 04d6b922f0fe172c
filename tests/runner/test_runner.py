"""The runner, spoken to as the front does, with each way into the sandbox: first honest compiles, then attacks."""

# ruff: noqa: ASYNC110, ASYNC221, ASYNC230, ASYNC240 - these loops have nothing else to do

import asyncio
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from securecc.model import limits
from securecc.model.grant import JobLimits
from securecc.model.manifest import INPUT, Entry, Kind, Role
from securecc.model.messages import Terminal
from securecc.runner_protocol import packets
from securecc.runner_protocol.messages import WorkBlobs, WorkOrder, WorkTree
from securecc.sandbox import jail
from tests.runnerside import Content, Runner, children_of, file, from_disk, headers, listed
from tests.waiting import CEILING_S

GCC_INCLUDES = ("/usr/include", "/usr/local/include", "/usr/include/x86_64-linux-gnu")
C = b'#include <stdio.h>\n#include "h.h"\nint main(int c, char **v) { return printf("%d%s", c, H(v[0])); }\n'
CPP = b"#include <vector>\n#include <string>\nint f(std::vector<std::string> &v) { return v.size(); }\n"


ROOT = {"dev", "jobs", "proc", "seccomp", "tmp", "toolchains"}
OURS = os.fsdecode(jail.find()).split("/")[1]  # where this checkout lies: both ways need a program of ours
PROGRAMS = {"jail": {OURS}, "bubblewrap": {OURS, "lib", "lib64", "usr"}}
HOME = listed({b"/home/alice": None})


@pytest.fixture(params=["jail", "bubblewrap"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way into the sandbox, for all runners of a test."""
    monkeypatch.setattr(Runner, "sandbox", request.param)
    chosen: str = request.param
    return chosen


def served(body: Callable[[Runner], Awaitable[None]], **config: Any) -> str:
    """Run the coroutine function `body(runner)` with a runner of its own."""

    async def whole() -> str:
        async with Runner(**config) as runner:
            assert runner.ready.layers[0] == runner.sandbox
            await body(runner)
            log = runner.said()
        assert "Traceback" not in log
        return log

    return asyncio.run(whole())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "a.c").write_bytes(C)
    (tmp_path / "h.h").write_bytes(b"#define H(x) (x)\n")
    (tmp_path / "b.cc").write_bytes(CPP)
    return tmp_path


def world(command: list[str], folder: Path) -> dict[bytes, Any]:
    """The tree that the client would send for this command."""
    cwd = os.fsencode(folder)
    tree = from_disk(headers(command, cwd), cwd)
    for include in GCC_INCLUDES:
        if os.path.isdir(include):
            tree.setdefault(include.encode(), None)
    return tree


@pytest.mark.parametrize(
    "command",
    [
        ["gcc", "-g", "-O2", "-c", "a.c", "-o", "a.o"],
        ["/usr/bin/cc", "-g", "-O2", "-MD", "-c", "a.c"],
        ["g++", "-g", "-O2", "-c", "b.cc", "-o", "sub/b.o"],
        ["gcc", "-g", "-gsplit-dwarf", "-fstack-usage", "-c", "a.c"],
    ],
)
def test_outputs_equal_a_local_compile(project: Path, command: list[str]) -> None:
    (project / "sub").mkdir()

    async def body(runner: Runner) -> None:
        tree = world(command, project) | {os.fsencode(project / "sub"): None}
        subprocess.run(command, cwd=project, check=True)
        outcome = await runner.run([word.encode() for word in command], tree, cwd=os.fsencode(project))
        assert (outcome.report.status, outcome.report.failure, outcome.stderr) == (0, "", b"")
        assert outcome.report.strays == ()
        assert outcome.made
        for path, content in outcome.made.items():
            with open(path, "rb") as local:
                assert content == local.read()

    served(body)


def test_a_project_below_a_directory_of_the_toolchains_top() -> None:
    """``/usr/src``: the toolchain's ``/usr`` is mounted over the job's, and the client's directory on top again."""

    async def body(runner: Runner) -> None:
        folder = b"/usr/src/project"
        tree = {folder: None, folder + b"/out": None, folder + b"/a.c": b"int x;\n", b"/usr/include": None}
        outcome = await runner.run([b"gcc", b"-c", b"a.c", b"-o", b"out/a.o"], tree, cwd=folder)
        assert (outcome.report.status, outcome.report.failure) == (0, "")
        assert list(outcome.made) == [folder + b"/out/a.o"]

    served(body)


def test_strays_are_read_and_unread_files_that_should_not_be(project: Path) -> None:
    async def body(runner: Runner) -> None:
        tree = world(["gcc", "-c", "a.c"], project)
        folder = os.fsencode(project)
        tree[folder + b"/unread.h"] = (file(b"", b"x", mtime_ns=5), b"x")
        tree[folder + b"/maybe.h"] = (file(b"", b"x", mtime_ns=5, role=Role.MAY_READ), b"x")
        entry, content = tree[folder + b"/h.h"]
        tree[folder + b"/h.h"] = (file(b"", content, mtime_ns=entry.mtime_ns, role=Role.PRESENT), content)
        outcome = await runner.run([b"gcc", b"-c", b"a.c"], tree, cwd=folder)
        paths = sorted(tree)
        assert [paths[index] for index in outcome.report.strays] == [folder + b"/h.h", folder + b"/unread.h"]
        read = [path for index, path in enumerate(paths) if outcome.report.read[index >> 3] >> (index & 7) & 1]
        assert {folder + b"/a.c", folder + b"/h.h"} <= set(read)
        assert not {folder + b"/maybe.h", folder + b"/unread.h", folder} & set(read)

    served(body)


def test_a_failing_compile_says_so_with_carets() -> None:
    async def body(runner: Runner) -> None:
        tree = {b"/home/alice/a.c": b"int x\n", b"/usr/include": None}
        outcome = await runner.run([b"gcc", b"-c", b"a.c"], tree)
        assert outcome.report.status == 1
        assert outcome.report.failure == ""
        assert 0 < outcome.report.usage.tree_s < 5
        assert b"    1 | int x\n      | ^~~\n" in outcome.stderr
        assert outcome.made == {}

    served(body)


def test_standard_input_is_a_file_without_a_name(intruder: str) -> None:
    async def body(runner: Runner) -> None:
        source = b'#if __has_include("/.securecc/input")\n#error seen\n#endif\n#include "h.h"\nint a = N;\n'
        tree = {INPUT: source, b"/home/alice/h.h": b"#define N 1\n", b"/usr/include": None}
        outcome = await runner.run([b"gcc", b"-x", b"c", b"-c", b"-", b"-o", b"a.o"], tree)
        assert (outcome.report.failure, outcome.stderr, outcome.report.status) == ("", b"", 0)
        assert list(outcome.made) == [b"/home/alice/a.o"]
        assert outcome.report.strays == ()

    served(body)


def test_a_terminal_of_the_clients_size(intruder: str) -> None:
    async def body(runner: Runner) -> None:
        terminal = Terminal(input=True, error=True, columns=132, rows=43)
        outcome = await runner.run([intruder.encode(), b"look"], terminal=terminal)
        for line in (b"tty0=1", b"tty1=0", b"tty2=1", b"size=132x43"):
            assert line in outcome.stdout
        outcome = await runner.run([intruder.encode(), b"speak"], terminal=terminal)
        assert outcome.stderr == b"one\ntwo\n"
        outcome = await runner.run([intruder.encode(), b"look"], terminal=Terminal(input=True))
        assert b"tty0=1" in outcome.stdout
        assert b"tty2=0" in outcome.stdout

    served(body, compilers=[intruder])


def test_what_a_job_sees(intruder: str, tmp_path: Path) -> None:
    secret = tmp_path / "keytab"
    secret.write_bytes(b"secret")
    secret.chmod(0o644)
    paths = [b"/etc/passwd", b"/proc", b"/proc/self/status", b"/dev/zero", b"/dev/pts", b"/sys", b"/jobs", b"/usr/bin"]
    paths += [b"/toolchains", os.fsencode(secret), b"/usr/bin/bwrap", b"/dev/tty", b"/run"]

    async def body(runner: Runner) -> None:
        words = [word for path in paths for word in (b"read", path)]
        words += [b"read", b"/dev/null", b"read", b"/dev/urandom"]
        outcome = await runner.run([intruder.encode(), *words])
        seen = dict(line.split(b"=") for line in outcome.stdout.splitlines())
        assert seen.pop(b"/dev/null") == seen.pop(b"/dev/urandom") == b"ok"
        assert {path for path, result in seen.items() if result != b"ENOENT"} == set()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            words = [b"look", b"%d" % listening.getsockname()[1]]
            environment = {b"LANG": b"C", b"LD_PRELOAD": b"/x"}
            outcome = await runner.run([intruder.encode(), *words], environment=environment)
        assert b"connect=ENOSYS" in outcome.stdout
        assert b"descriptor" not in outcome.stdout
        for refused in (b"unshare", b"mount", b"remount", b"setuid"):
            assert refused + b"=E" in outcome.stdout
        seen_environment = {line[4:] for line in outcome.stdout.splitlines() if line.startswith(b"env ")}
        search = os.fsencode(os.path.dirname(intruder))
        assert seen_environment == {b"LANG=C", b"PATH=" + search, b"TMPDIR=/.securecc/tmp", b"PWD=/home/alice"}

    served(body, compilers=[intruder])


def test_jobs_do_not_see_each_other(intruder: str) -> None:
    async def body(runner: Runner) -> None:
        other = runner.post(
            [intruder.encode(), b"bomb", b"sleep"], *listed({b"/home/bob/secret.c": b"x", b"/home/alice": None})
        )
        words = [b"read", b"/home/bob/secret.c", b"read", b"/jobs", b"create", b"/home/alice/mine"]
        outcome = await runner.run([intruder.encode(), *words], {b"/home/alice/a.c": b"x"})
        assert outcome.stdout == b"/home/bob/secret.c=ENOENT\n/jobs=ENOENT\n/home/alice/mine=ok\n"
        assert not other.done()
        runner.cancel(other.job)
        await other

    served(body, compilers=[intruder])


def test_the_toolchain_cannot_be_changed(intruder: str) -> None:
    program = intruder.encode()
    words = []
    for word in (b"write", b"unlink", b"chmod", b"append", b"link"):
        words += [word, program]
    words += [b"create", os.path.dirname(program) + b"/as", b"exec", b"/home/alice/as"]

    async def body(runner: Runner) -> None:
        mine = {b"/home/alice/as": (file(b"", b"#!", mode=0o755, mtime_ns=1), b"#!")}
        for _ in range(2):
            outcome = await runner.run([program, *words], mine)
            results = [line.rpartition(b"=")[2] for line in outcome.stdout.splitlines()]
            assert results == [b"EACCES", b"EROFS", b"EROFS", b"EACCES", b"EXDEV", b"EROFS", b"EACCES"]

    served(body, compilers=[intruder])


def test_inputs_are_the_jobs_own_copies(intruder: str) -> None:
    program = intruder.encode()
    path = b"/home/alice/a.c"

    async def body(runner: Runner) -> None:
        for _ in range(2):
            words = [b"chmod", path, b"append", path, b"link", path]
            outcome = await runner.run([program, *words], {path: b"int x;\n"})
            assert set(outcome.stdout.splitlines()) == {path + b"=ok"}
            assert outcome.made == {path: b"int x;\n!", b"/home/alice/stolen": b"int x;\n!"}

    served(body, compilers=[intruder])


def test_links_fifos_and_devices_are_no_outputs(intruder: str) -> None:
    async def body(runner: Runner) -> None:
        words = [b"symlink", b"a.o", b"fifo", b"b.o", b"device", b"c.o", b"create", b"d.o"]
        outcome = await runner.run([intruder.encode(), *words], {b"/home/alice": None})
        assert outcome.stdout == b"a.o=ok\nb.o=ENOSYS\nc.o=ENOSYS\nd.o=ok\n"
        assert outcome.made == {b"/home/alice/d.o": b""}

    served(body, compilers=[intruder], without=["landlock"])


def test_a_directory_swapped_for_a_symlink_leads_nowhere(intruder: str) -> None:
    """The runner's own root would be read through it otherwise."""

    async def body(runner: Runner) -> None:
        tree = {b"/home/alice/proc/status": b"x", b"/home/alice/sub/proc/version": b"x"}
        outcome = await runner.run([intruder.encode(), b"swap", b"/home/alice/sub"], tree)
        assert outcome.stdout == b"/home/alice/sub=ok\n"
        assert set(outcome.made) <= {b"/home/alice/sub.old/proc/version"}

    served(body, compilers=[intruder], without=["landlock"])


def test_bombs_are_bounded(intruder: str) -> None:
    program = intruder.encode()
    small = JobLimits(wall_s=5, memory=64 * limits.MIB, processes=12, output=8 * limits.MIB, diagnostics=limits.MIB)

    async def body(runner: Runner) -> None:
        outcome = await runner.run([program, b"bomb", b"fork"], limits=small)
        count, error = outcome.stdout.split()
        assert (int(count) <= 12, error) == (True, b"EAGAIN")
        outcome = await runner.run([program, b"bomb", b"memory"], limits=small)
        assert int(outcome.stdout) < 64
        outcome = await runner.run([program, b"bomb", b"manymemory"], limits=small)
        assert (outcome.report.status, outcome.report.limit) == (-signal.SIGKILL, "memory")
        outcome = await runner.run([program, b"bomb", b"chatter"], limits=small)
        assert outcome.report.limit in ("diagnostics", "output")
        assert len(outcome.stderr) == small.diagnostics
        outcome = await runner.run([program, b"bomb", b"fill", b"big.o"], limits=small)
        assert (outcome.report.status, outcome.report.limit) == (-signal.SIGXFSZ, "output")
        outcome = await runner.run([program, b"bomb", b"names"], limits=small)
        assert int(outcome.stdout.split()[0]) < 10000
        assert len(outcome.report.made) == limits.WORK_MADE
        assert outcome.report.more > 0
        assert outcome.report.limit == "output"
        terminal = Terminal(error=True, columns=80, rows=24)
        outcome = await runner.run([program, b"bomb", b"chatter"], limits=small, terminal=terminal)
        assert (outcome.report.limit, len(outcome.stderr)) == ("diagnostics", small.diagnostics)
        outcome = await runner.run([program, b"speak"])
        assert (outcome.report.status, outcome.stderr) == (0, b"one\ntwo\n")

    served(body, compilers=[intruder])


def processes_of(runner: Runner) -> list[str]:
    """All processes below the runner."""
    found, todo = [], [str(runner.process.pid)]
    while todo:
        below = children_of(todo.pop())
        found += below
        todo += below
    return found


@pytest.mark.parametrize("bomb", [b"spin", b"sleep"])
def test_the_whole_tree_ends_at_the_wall_limit(intruder: str, bomb: bytes) -> None:
    async def body(runner: Runner) -> None:
        began = time.monotonic()
        outcome = await runner.run([intruder.encode(), b"bomb", bomb], limits=JobLimits(wall_s=0.4))
        assert (outcome.report.status, outcome.report.limit) == (-signal.SIGKILL, "wall")
        assert time.monotonic() - began >= 0.4
        assert processes_of(runner) == []

    served(body, compilers=[intruder])


def test_processor_time_of_all_processes_together(intruder: str) -> None:
    async def body(runner: Runner) -> None:
        outcome = await runner.run([intruder.encode(), b"bomb", b"spin"], limits=JobLimits(wall_s=30, cpu_s=0.5))
        assert outcome.report.limit == "cpu"
        assert processes_of(runner) == []

    served(body, compilers=[intruder])


def test_cancel_ends_the_whole_tree(intruder: str) -> None:
    async def body(runner: Runner) -> None:
        future = runner.post([intruder.encode(), b"bomb", b"spin"], *HOME)
        while len(processes_of(runner)) < 5:
            await asyncio.sleep(0.01)
        runner.cancel(future.job)
        outcome = await future
        assert outcome.report.failure == "cancelled"
        assert processes_of(runner) == []

    served(body, compilers=[intruder])


def test_nothing_outlives_a_job_or_the_front(intruder: str) -> None:
    pids = []

    async def body(runner: Runner) -> None:
        outcome = await runner.run([intruder.encode(), b"bomb", b"orphan"])
        assert outcome.report.status == 0
        assert processes_of(runner) == []
        runner.post([intruder.encode(), b"bomb", b"sleep"], *HOME)
        while len(processes_of(runner)) < 4:
            await asyncio.sleep(0.01)
        pids.extend(processes_of(runner))

    served(body, compilers=[intruder])
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []


def test_sandboxes_end_when_the_runner_is_killed(intruder: str) -> None:
    async def whole() -> None:
        async with Runner(compilers=[intruder]) as runner:
            runner.post([intruder.encode(), b"bomb", b"sleep"], *HOME)
            while len(processes_of(runner)) < 4:
                await asyncio.sleep(0.01)
            pids = processes_of(runner)
            runner.process.kill()
            for _ in range(100):
                if not any(os.path.exists(f"/proc/{pid}") and state(pid) != "Z" for pid in pids):
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("a sandbox outlived its runner")

    asyncio.run(whole())


def state(pid: int | str) -> str:
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


FORBIDDEN = [
    b"/usr/lib/gcc/x86_64-linux-gnu/12/specs",
    b"/usr/lib/gcc/x86_64-linux-gnu/specs",
    b"/usr/x86_64-linux-gnu/bin/as",
    b"/usr/bin/as",
    b"/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libc.so.6",
    b"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
    b"/usr/share/locale/de/LC_MESSAGES/gcc-12.mo",
    b"/etc/ld.so.preload",
    b"/proc/self/x",
    b"/dev/null",
    b"/.securecc/tmp/x",
    b"/home/alice/../bob/x",
    b"/home//alice/x",
    b"home/alice/x",
    b"/lib/x86_64-linux-gnu/libc.so.6",
]


def test_paths_that_no_tree_may_have() -> None:
    async def body(runner: Runner) -> None:
        for path in FORBIDDEN:
            outcome = await runner.run([b"gcc", b"-v"], {path: b"*asm:\n"})
            assert outcome.report.failure, path
            assert outcome.report.made == ()
        outcome = await runner.run([b"gcc", b"-v"], {b"/home/alice": None})
        assert outcome.report.status == 0

    served(body)


def test_contents_must_be_what_the_entries_say() -> None:
    async def body(runner: Runner) -> None:
        for entry in (file(b"/a.c", b"x" * 5), file(b"/a.c", b"x" * 3)):
            outcome = await asyncio.wait_for(runner.post([b"gcc", b"-v"], [entry], [b"four"]), CEILING_S)
            assert "bytes" in outcome.report.failure
        outcome = await asyncio.wait_for(runner.post([b"gcc", b"-v"], [file(b"/a.c", b"four")], [None]), CEILING_S)
        assert "no content" in outcome.report.failure
        outcome = await runner.run([b"gcc", b"-v"], toolchain=b"another")
        assert "no toolchain" in outcome.report.failure
        outcome = await runner.run([b"gcc", b"-v"], cwd=b"/nowhere")
        assert "nowhere" in outcome.report.failure

    served(body)


async def settled(runner: Runner) -> int:
    """The runner's open descriptors, once it has closed those of the last report."""
    count = -1
    while count != (count := len(os.listdir(f"/proc/{runner.process.pid}/fd"))):
        await asyncio.sleep(0.05)
    return count


def test_garbage_from_the_front_is_survived() -> None:
    async def body(runner: Runner) -> None:
        end = runner.end
        end.send(b"\0nonsense")
        end.send(b"\1")
        end.send(b"x")
        socket.send_fds(end, [b"\1"], [end.fileno()])
        socket.send_fds(end, [b"\0" + b"\xff" * 100], [0, 0, 0])
        runner.connection.send(WorkBlobs(7), [0])
        runner.cancel(7)
        runner.cancel(8)
        order = WorkOrder(0, b"", (), {}, b"/", 0, Terminal(), JobLimits(), 0)
        future = runner.waiting[0] = asyncio.get_running_loop().create_future()
        packets.post_order(runner.connection, order, WorkTree((), ()), [])
        assert (await future).report.failure
        outcome = await runner.run([b"gcc", b"-v"])
        assert outcome.report.status == 0
        if os.getuid() == 0:
            descriptors = await settled(runner)
            for cwd in (b"/home/alice", b"/nowhere", b"/home/alice", b"/nowhere"):
                terminal = Terminal(input=True, error=True)
                await runner.run([b"gcc", b"-v"], {b"/home/alice/a.c": b"x"}, cwd=cwd, terminal=terminal)
            assert await settled(runner) == descriptors

    assert "invalid packet" in served(body)


def test_the_working_directory_is_spelled_as_the_client_does() -> None:
    async def body(runner: Runner) -> None:
        tree: dict[bytes, Content] = {
            b"/real/src/a.c": b"int x;\n",
            b"/home/link": Entry(b"", Kind.LINK, b"/real"),
            b"/usr/include": None,
        }
        for named, expected in ((b"/home/link/src", b"/home/link/src"), (b"/elsewhere", b"/real/src")):
            arguments = [b"gcc", b"-g", b"-S", b"-o", b"-", b"a.c", b"-ffreestanding"]
            outcome = await runner.run(arguments, tree, cwd=b"/real/src", environment={b"PWD": named})
            assert re.search(b'.string\t"%s"' % expected, outcome.stdout), outcome

    served(body)


def test_a_runner_is_small_and_has_no_sight_of_the_host(way: str) -> None:
    async def body(runner: Runner) -> None:
        pid = runner.process.pid
        with open(f"/proc/{pid}/status") as status:
            said = status.read()
        resident, users = re.search(r"VmRSS:\s+(\d+)", said), re.search(r"Uid:.*", said)
        assert resident is not None
        assert users is not None
        assert int(resident[1]) < 60 * limits.KIB
        assert re.search(r"NoNewPrivs:\s+1", said)
        if os.getuid() == 0:
            assert set(os.listdir(f"/proc/{pid}/root/")) == ROOT | PROGRAMS[way]
            assert os.listdir(f"/proc/{pid}/root/jobs") == []
            assert "0\t0" not in users[0]

    served(body)


async def not_reached(_runner: Runner) -> None:
    raise AssertionError("this runner should not have started")


def test_no_compiler_no_runner() -> None:
    with pytest.raises(RuntimeError, match="none of the compilers can be used"):
        served(not_reached, compilers=["/nonexistent/gcc"])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can fail to be someone else")
def test_root_is_refused() -> None:
    with pytest.raises(RuntimeError, match="as root"):
        served(not_reached, uid=0, gid=0)
