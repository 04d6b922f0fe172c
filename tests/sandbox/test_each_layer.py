"""Each layer of the sandbox with all others switched off: what it promises, it holds alone.

Layers are composed here as no configuration of a daemon can compose them. What one layer holds in detail is tested
beside it (test_path_rules, test_mount_plan, test_tree_builder, test_output_scan, test_jail, test_seccomp,
test_landlock, test_cgroup).
"""

import asyncio
import os
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from securecc.compiler.command_line import compile_plan
from securecc.model import limits
from securecc.model.errors import PathError, StaysLocal
from securecc.model.grant import JobLimits
from securecc.model.manifest import Entry, Kind
from securecc.runner.output_scan import scan_outputs
from securecc.sandbox import jail, landlock, mount_plan, sandbox, seccomp, tree_builder
from tests.runnerside import NOBODY, Runner
from tests.waiting import CEILING_S

UNBOUNDED = JobLimits(wall_s=20, cpu_s=10_000, memory=1 << 45, processes=1 << 20, output=1 << 30, diagnostics=1 << 28)
SMALL = JobLimits(wall_s=20, cpu_s=1, memory=64 * limits.MIB, processes=12, output=limits.MIB, diagnostics=limits.KIB)


def answers(said: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in said.decode().splitlines() if "=" in line)


# The allow-list of options: nothing else stands between a word and the compiler here.


@pytest.mark.parametrize(
    "words",
    [
        (b"-fplugin=x.so",),
        (b"-Wp,-fplugin=x.so",),
        (b"-Xpreprocessor", b"-fplugin=x.so"),
        (b"-specs", b"x"),
        (b"--specs=x",),
        (b"-wrapper", b"/bin/sh,-c"),
        (b"-B/home/alice",),
        (b"-fmodule-mapper=|touch x",),
        (b"-no-such-option",),
        (b"--output=@x",),
        (b"-Wa,-a=/etc/x",),
    ],
)
def test_options_alone(words: tuple[bytes, ...]) -> None:
    with pytest.raises(StaysLocal):
        compile_plan.parse((b"gcc", b"-c", b"a.c", b"-o", b"a.o", *words))


# The tree: built in a directory of this machine, and looked through after somebody has been in it.


@pytest.mark.parametrize(
    "entries",
    [
        [Entry(b"/../x", Kind.FILE)],
        [Entry(b"/home", Kind.LINK, b"/etc"), Entry(b"/home/x", Kind.FILE)],
        [Entry(b"/home", Kind.FILE), Entry(b"/home/x", Kind.FILE)],
        [Entry(b"/x", Kind.FILE), Entry(b"/x", Kind.LINK, b"/etc/passwd")],
        [Entry(b"relative", Kind.FILE)],
    ],
)
def test_a_tree_alone_leads_nowhere_else(tmp_path: Path, entries: list[Entry]) -> None:
    (tmp_path / "root").mkdir()
    empty = os.open("/dev/null", os.O_RDONLY)
    try:
        with pytest.raises(PathError):
            tree_builder.build(os.fsencode(tmp_path / "root"), entries, [empty] * len(entries))
    finally:
        os.close(empty)
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("path", [b"/usr/bin/as", b"/etc/ld.so.preload", b"/proc/self/mem", b"/dev/zero"])
def test_a_tree_alone_takes_no_place_of_the_toolchains(path: bytes) -> None:
    tree = mount_plan.ToolchainTree(frozenset({b"usr"}), (), (), frozenset({b"/usr/bin"}), ())
    with pytest.raises(PathError):
        mount_plan.mountpoints([Entry(path, Kind.FILE)], tree)


def test_the_output_scan_alone_follows_no_link(tmp_path: Path) -> None:
    """The intruder runs unconfined in the tree that is scanned."""
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("secret")
    built = tree_builder.build(os.fsencode(tmp_path / "root"), [Entry(b"/home", Kind.DIRECTORY, mode=0o755)], [-1])
    try:
        (tmp_path / "root/home/a.o").symlink_to(tmp_path / "secret")
        (tmp_path / "root/home/d").symlink_to(tmp_path)
        os.mkfifo(tmp_path / "root/home/f")
        (tmp_path / "root/home/made").write_text("made")
        found = scan_outputs(built, [Entry(b"/home", Kind.DIRECTORY, mode=0o755)], frozenset(), limits.MIB, ())
        assert [made.path for made in found.made] == [b"/home/made"]
        for descriptor in found.descriptors:
            os.close(descriptor)
    finally:
        os.close(built.root)


# Namespaces and mounts: no filter, no Landlock, limits that bound nothing.


@pytest.mark.parametrize("way", ["jail", "bubblewrap"])
def test_namespaces_alone(intruder: str, way: str, tmp_path: Path) -> None:
    program = intruder.encode()
    (tmp_path / "keytab").write_bytes(b"secret")

    async def whole() -> tuple[dict[str, str], dict[str, str]]:
        async with Runner(compilers=[intruder], sandbox=way, without=["seccomp", "landlock"]) as runner:
            assert not {"seccomp", "landlock"} & set(runner.ready.layers)
            words = [b"read", os.fsencode(tmp_path / "keytab"), b"read", b"/etc/passwd", b"read", b"/proc/self/status"]
            words += [b"read", b"/dev/zero", b"write", program, b"unlink", program, b"chmod", program]
            words += [b"create", b"/usr/bin/as", b"device", b"d.o", b"exec", b"./as", b"kill", b"%d" % os.getpid()]
            words += [b"trace", b"%d" % os.getpid()]
            mine = {b"/home/alice/as": (Entry(b"", Kind.FILE, b"", 2, mode=0o755, mtime_ns=1), b"#!")}
            probed = answers((await runner.run([program, *words], mine, limits=UNBOUNDED)).stdout)
            with socket.create_server(("127.0.0.1", 0)) as listening:
                port = b"%d" % listening.getsockname()[1]
                looked = answers((await runner.run([program, b"look", port], {b"/usr": None}, limits=UNBOUNDED)).stdout)
            assert looked["connect"] in ("ENETUNREACH", "ECONNREFUSED")  # a loopback of its own, down or up
            orphan = await runner.run([program, b"bomb", b"orphan"], limits=UNBOUNDED)
            assert orphan.report.status == 0
            return probed, looked

    probed, looked = asyncio.run(whole())
    assert {error for name, error in probed.items()} <= {"ENOENT", "EROFS", "EACCES", "EPERM", "ESRCH"}
    assert {looked[name] for name in ("unshare", "mount", "remount", "setuid")} <= {"EPERM", "EINVAL", "ENOSPC"}
    assert looked["kill"] == "ESRCH"


# System calls, Landlock: neither namespaces nor mounts nor limits.


def confined(
    filters: Sequence[int], rulesets: Sequence[int], program: str, *words: str, where: Path | str
) -> dict[str, str]:
    line: list[str | bytes] = [
        jail.find(jail.CONFINE),
        *(" ".join(map(str, each)) for each in (filters, rulesets)),
        program,
    ]
    done = subprocess.run(
        [*line, *words], capture_output=True, pass_fds=(*filters, *rulesets), cwd=where, timeout=CEILING_S, check=True
    )
    return answers(done.stdout)


def test_system_calls_alone(intruder: str, tmp_path: Path) -> None:
    (tmp_path / "rules").write_bytes(seccomp.program())
    here = str(os.getpid())
    with (tmp_path / "rules").open("rb") as rules, socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        filters = [rules.fileno()]
        seen = confined(filters, [], intruder, "look", port, where=tmp_path)
        assert {seen[name] for name in ("connect", "unshare", "mount", "remount", "setuid")} == {"ENOSYS"}
        seen = confined(
            filters, [], intruder, "trace", here, "fifo", "f", "device", "d", "abstract", "x", where=tmp_path
        )
        assert set(seen.values()) == {"ENOSYS"}


@pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock, or was started without it")
def test_landlock_alone(intruder: str, tmp_path: Path) -> None:
    for folder in ("usr/bin", "home"):
        (tmp_path / "tree" / folder).mkdir(parents=True)
    program = str(shutil.copy(intruder, tmp_path / "tree/usr/bin/gcc"))
    shutil.copy(intruder, tmp_path / "tree/home/as")
    (tmp_path / "keytab").write_text("secret")
    root = os.open(tmp_path / "tree", os.O_RDONLY)
    rulesets = [
        landlock.programs([os.fsencode(program)]),
        landlock.tree(landlock.abi(), root, [os.fsencode(tmp_path / "tree/home")], []),
    ]
    words = ["read", "../../keytab", "read", "/etc/passwd", "write", program, "create", "../usr/bin/as", "exec", "./as"]
    words += ["exec", "/bin/sh", "symlink", "s", "device", "d", "link", program, "trace", str(os.getpid())]
    try:
        seen = confined([], rulesets, program, *words, where=tmp_path / "tree/home")
    finally:
        for descriptor in (root, *rulesets):
            os.close(descriptor)
    assert set(seen.values()) <= {"EACCES", "EXDEV", "EPERM"}
    assert sorted(os.listdir(tmp_path / "tree/home")) == ["as"]


# Resource limits: a process of this machine with nothing else around it.


def limited(program: str, *words: str, where: Path | str) -> subprocess.Popen[bytes]:
    def limit() -> None:
        for which, soft, hard in sandbox.rlimits(SMALL):
            resource.setrlimit(which, (soft, hard))

    someone: dict[str, Any] = {"user": NOBODY - 7, "group": NOBODY - 7, "extra_groups": []} if os.getuid() == 0 else {}
    return subprocess.Popen(
        [program, *words],
        preexec_fn=limit,  # noqa: PLW1509 - there is one thread
        stdout=subprocess.PIPE,
        cwd=where,
        start_new_session=True,
        **someone,
    )


@pytest.mark.skipif(os.getuid() != 0, reason="processes are counted by user: it takes one who has none")
def test_limits_alone_on_processes(intruder: str) -> None:
    with limited(intruder, "bomb", "fork", where="/") as process:
        assert process.stdout is not None
        count, error = process.stdout.readline().split()
        os.killpg(process.pid, signal.SIGKILL)
    assert int(count) <= SMALL.processes
    assert error == b"EAGAIN"


def test_limits_alone_on_memory_and_processor(intruder: str) -> None:
    with limited(intruder, "bomb", "memory", where="/") as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) < 64
    with limited(intruder, "bomb", "loop", where="/") as process:
        assert process.wait(CEILING_S) in (-signal.SIGXCPU, -signal.SIGKILL)


def test_limits_alone_on_files(intruder: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with limited(intruder, "bomb", "fill", "big", where=tmp_path) as process:
        assert process.wait(CEILING_S) == -signal.SIGXFSZ
    assert os.path.getsize(tmp_path / "big") <= SMALL.output
