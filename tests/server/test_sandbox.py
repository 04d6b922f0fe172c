"""The command line of bwrap, the limits, and how an ending is read; the real thing runs in test_runner."""

import asyncio
import os
import resource
import signal
import subprocess

import pytest

from securecc.server import sandbox
from securecc.words import limits
from securecc.words.errors import SandboxError
from securecc.words.grant import JobLimits
from securecc.words.messages import Usage

CELL = sandbox.Cell(
    root=b"/jobs/1",
    cwd=b"/home/alice",
    arguments=(b"gcc", b"--bind", b"/", b"/", b"-c", b"a.c"),
    environment={b"LANG": b"--bind"},
    umask=0o022,
    stdio=(0, 1, 2),
)


def test_the_command_line_holds_every_promise():
    line = sandbox.command_line(sandbox.Jailer(b"/usr/bin/bwrap"), CELL)
    for flag in ("user", "ipc", "pid", "net", "uts"):
        assert f"--unshare-{flag}".encode() in line
    for flag in (b"--disable-userns", b"--die-with-parent", b"--new-session", b"--clearenv"):
        assert flag in line
    own = line[: line.index(b"--")]
    assert own.count(b"--dev-bind") == 1
    assert not {b"--proc", b"--dev", b"--share-net", b"--cap-add", b"--ro-bind"} & set(own)
    assert line[line.index(b"--") + 1 :] == list(CELL.arguments)


def test_a_filter_stands_in_for_a_network_namespace_of_each_job():
    line = sandbox.command_line(sandbox.Jailer(b"/usr/bin/bwrap", b"/seccomp"), CELL)
    assert b"--unshare-net" not in line
    assert line[line.index(b"--seccomp") + 1] == b"5"
    assert sandbox.Jailer(b"/usr/bin/bwrap", b"/seccomp").layers == (*sandbox.LAYERS, "seccomp")
    assert sandbox.Jailer(b"/usr/bin/bwrap").layers == sandbox.LAYERS


def test_bwrap_is_looked_for(tmp_path):
    assert sandbox.find() == b"/usr/bin/bwrap"
    with pytest.raises(SandboxError, match="apt install bubblewrap"):
        sandbox.find(str(tmp_path))


def test_no_program_to_start():
    async def whole():
        sandbox.start(sandbox.Jailer(b"/nonexistent/bwrap"), CELL, JobLimits())

    before = len(os.listdir("/proc/self/fd"))
    mask = os.umask(0o027)
    with pytest.raises(SandboxError, match="cannot start"):
        asyncio.run(whole())
    assert len(os.listdir("/proc/self/fd")) == before
    assert os.umask(mask) == 0o027


def test_a_sandbox_that_cannot_be_made_did_not_run(tmp_path):
    """bwrap dies without a word to us: noticed, and its own words are on standard error."""

    async def whole():
        with open(tmp_path / "error", "w+b") as error:  # noqa: ASYNC230 - nothing else waits
            cell = sandbox.Cell(b"/nonexistent", b"/", (b"true",), {}, 0, (error.fileno(),) * 3)
            ending = await sandbox.start(sandbox.Jailer(sandbox.find()), cell, JobLimits()).ended()
            error.seek(0)
            return ending, error.read()

    ending, said = asyncio.run(whole())
    assert not ending.ran
    assert b"/nonexistent" in said


def test_limits_are_set_on_the_process():
    with subprocess.Popen(["sleep", "60"]) as child:
        sandbox.restrict(child.pid, JobLimits(cpu_s=1.5, memory=1 << 30, processes=9, output=1 << 20, diagnostics=10))
        expected = {
            resource.RLIMIT_AS: (1 << 30, 1 << 30),
            resource.RLIMIT_CPU: (2, 3),
            resource.RLIMIT_FSIZE: (1 << 20, 1 << 20),
            resource.RLIMIT_NPROC: (9, 9),
            resource.RLIMIT_CORE: (0, 0),
        }
        assert {what: resource.prlimit(child.pid, what) for what in expected} == expected
        child.kill()


def test_the_processes_of_a_tree_are_summed():
    script = "sleep 60 & sleep 60 & i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as child:
        child.stdout.readline()
        cpu_s, memory = sandbox._together(child.pid)
        os.killpg(child.pid, signal.SIGKILL)
    assert cpu_s > 0
    assert memory > 3 * 100 * limits.KIB
    assert sandbox._together(child.pid) == (0, 0)


def ending(status, limit="", cpu_s=0.0):
    return sandbox.Ending(status, limit, Usage(user_s=cpu_s), ran=True)


@pytest.mark.parametrize(
    ("how", "diagnostics", "limit"),
    [
        (ending(0), b"No space left on device", ""),
        (ending(1), b"a.c:1: error: x", ""),
        (ending(-9, "wall"), b"", "wall"),
        (ending(-signal.SIGXCPU), b"", "cpu"),
        (ending(-signal.SIGXFSZ), b"", "output"),
        (ending(1, cpu_s=61.0), b"", "cpu"),
        (ending(1), b"gcc: fatal error: CPU time limit exceeded signal terminated program cc1", "cpu"),
        (ending(1), b"File size limit exceeded signal terminated program as", "output"),
        (ending(1), b"/.securecc/tmp/x.s: No space left on device", "output"),
        (ending(1), b"cc1plus: out of memory allocating 65536 bytes", "memory"),
        (ending(1), b"gcc: fatal error: cannot execute 'as': vfork: Resource temporarily unavailable", "processes"),
    ],
)
def test_which_limit_it_was(how, diagnostics, limit):
    assert sandbox.recognise(how, diagnostics, JobLimits()) == limit
