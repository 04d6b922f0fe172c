"""The command line of bwrap, its start and its end; real compiles run in test_runner."""

import asyncio
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from securecc.model.errors import SandboxError
from securecc.model.grant import JobLimits
from securecc.sandbox import bubblewrap, sandbox
from securecc.sandbox.bubblewrap import Bubblewrap

SPEC = sandbox.SandboxSpec(
    root=b"/jobs/1",
    cwd=b"/home/alice",
    arguments=(b"gcc", b"--bind", b"/", b"/", b"-c", b"a.c"),
    environment={b"LANG": b"--bind"},
    umask=0o022,
    stdio=(0, 1, 2),
)


def test_the_command_line_holds_every_promise() -> None:
    line = bubblewrap.command_line(Bubblewrap(b"/usr/bin/bwrap"), SPEC)
    for flag in ("user", "ipc", "pid", "net", "uts"):
        assert f"--unshare-{flag}".encode() in line
    for option in (b"--disable-userns", b"--die-with-parent", b"--new-session", b"--clearenv"):
        assert option in line
    own = line[: line.index(b"--")]
    assert own.count(b"--dev-bind") == 1
    assert not {b"--proc", b"--dev", b"--share-net", b"--cap-add", b"--ro-bind"} & set(own)
    assert line[line.index(b"--") + 1 :] == list(SPEC.arguments)


def test_a_filter_stands_in_for_a_network_namespace_of_each_job() -> None:
    line = bubblewrap.command_line(Bubblewrap(b"/usr/bin/bwrap", b"/seccomp"), SPEC)
    assert b"--unshare-net" not in line
    assert line[line.index(b"--seccomp") + 1] == b"5"
    assert Bubblewrap(b"/usr/bin/bwrap", b"/seccomp").layers == ("bubblewrap", *sandbox.LAYERS, "seccomp")
    assert Bubblewrap(b"/usr/bin/bwrap").layers == ("bubblewrap", *sandbox.LAYERS)


def test_bwrap_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bubblewrap.find() == b"/usr/bin/bwrap"
    monkeypatch.setattr(sandbox, "PROGRAM_DIRECTORIES", (str(tmp_path),))
    with pytest.raises(SandboxError, match="apt install bubblewrap"):
        bubblewrap.find()


def test_no_program_to_start() -> None:
    async def whole() -> None:
        Bubblewrap(b"/nonexistent/bwrap").start(SPEC, JobLimits())

    before = len(os.listdir("/proc/self/fd"))
    mask = os.umask(0o027)
    with pytest.raises(SandboxError, match="cannot start"):
        asyncio.run(whole())
    assert len(os.listdir("/proc/self/fd")) == before
    assert os.umask(mask) == 0o027


def test_a_sandbox_that_cannot_be_made_did_not_run(tmp_path: Path) -> None:
    """bwrap dies without a word to us: noticed, and its own words are on standard error."""

    async def whole() -> Any:
        with open(tmp_path / "error", "w+b") as error:  # noqa: ASYNC230 - nothing else waits
            spec = sandbox.SandboxSpec(b"/nonexistent", b"/", (b"true",), {}, 0, (error.fileno(),) * 3)
            ending = await Bubblewrap(bubblewrap.find()).start(spec, JobLimits()).ended()
            error.seek(0)
            return ending, error.read()

    ending, said = asyncio.run(whole())
    assert not ending.ran
    assert b"/nonexistent" in said


def test_limits_are_set_on_the_process() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        bubblewrap.set_limits(
            child.pid, JobLimits(cpu_s=1.5, memory=1 << 30, processes=9, output=1 << 20, diagnostics=10)
        )
        expected = {
            resource.RLIMIT_AS: (1 << 30, 1 << 30),
            resource.RLIMIT_CPU: (2, 3),
            resource.RLIMIT_FSIZE: (1 << 20, 1 << 20),
            resource.RLIMIT_NPROC: (9, 9),
            resource.RLIMIT_CORE: (0, 0),
        }
        assert {what: resource.prlimit(child.pid, what) for what in expected} == expected
        child.kill()
