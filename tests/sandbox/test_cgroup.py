"""Control groups: where this process is, and what bounds and ends a job where there are some."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from securecc.model import limits
from securecc.model.errors import SandboxError
from securecc.model.grant import JobLimits
from securecc.sandbox import cgroup
from securecc.sandbox.machine_advice import CgroupPlacement
from tests.runnerside import NOBODY, Runner, listed
from tests.waiting import CEILING_S, until

HERE = cgroup.placement()
HOME = listed({b"/home/alice": None})
SMALL = JobLimits(wall_s=20, memory=32 * limits.MIB, processes=12, output=limits.MIB, diagnostics=limits.MIB)


@pytest.fixture
def folder() -> Iterator[str]:
    """A directory of control groups of this test's own."""
    made = f"{HERE.mount}/securecc-test-{os.getpid()}"
    try:
        if not HERE.mount:
            raise FileNotFoundError
        os.mkdir(made)
    except OSError as error:
        pytest.skip(f"no control group (version 2) can be made here: {error.strerror or 'it is not mounted'}")
    try:
        yield made
    finally:
        empty(made)


def processes(path: str) -> list[str]:
    """Those that live in a group; none if it has gone."""
    try:
        return Path(path, "cgroup.procs").read_text().split()
    except OSError:
        return []


def empty(made: str) -> None:
    """Whatever lives there goes back where this process is; what is left is removed."""
    for name in sorted((path for path, _, _ in os.walk(made)), key=len, reverse=True):
        with contextlib.suppress(OSError):
            for pid in processes(name):
                Path(HERE.folder or HERE.mount, "cgroup.procs").write_text(pid)
        os.rmdir(name)


def settled(folder: str) -> cgroup.JobGroups:
    """As a daemon's parent leaves it for another user."""
    return cgroup.JobGroups(cgroup.prepare(folder, (NOBODY, NOBODY)))


@contextlib.contextmanager
def in_group(group: cgroup.JobGroup, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that was started in a group."""
    script = "import os, sys; os.write(int(sys.argv[1]), b'0'); os.execvp(sys.argv[2], sys.argv[2:])"
    procs = os.open("cgroup.procs", os.O_WRONLY, dir_fd=group.folder)
    try:
        line = [sys.executable, "-c", script, str(procs), *command]
        with subprocess.Popen(line, pass_fds=[procs], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            yield process
    finally:
        os.close(procs)


def members(group: cgroup.JobGroup) -> list[str]:
    return content(group, "cgroup.procs").split()


def content(group: cgroup.JobGroup, name: str) -> str:
    with open(os.open(name, os.O_RDONLY, dir_fd=group.folder)) as file:
        return file.read()


def jobs(folder: str) -> list[str]:
    return [name for name in os.listdir(f"{folder}/runner") if name.startswith("job-")]


def members_of_jobs(folder: str) -> list[str]:
    return [pid for job in jobs(folder) for pid in processes(f"{folder}/runner/{job}")]


def end(path: str) -> None:
    Path(path, "cgroup.kill").write_text("1")


def needs(folder: str, name: str) -> None:
    if name not in cgroup.controllers(folder):
        pytest.skip(f"this machine's control groups (version 2) have no controller {name}")


# Where this process is.


def proc(tmp_path: Path, mounts: str, groups: str) -> str:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(mounts)
    (tmp_path / "self/cgroup").write_text(groups)
    return str(tmp_path)


def test_a_service_with_a_directory_of_its_own(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    service = mount / "system.slice/securecc-runner.service"
    service.mkdir(parents=True)
    (service / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    os.setxattr(service, "user.delegate", b"1")
    mounts = f"30 23 0:26 / {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    found = cgroup.placement(proc(tmp_path, mounts, "0::/system.slice/securecc-runner.service\n"))
    assert found == CgroupPlacement(str(mount), str(service), True, frozenset({"cpu", "memory", "pids"}))


def test_a_container_that_sees_a_part_of_the_hierarchy(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    (mount / "here").mkdir(parents=True)
    mounts = f"30 23 0:26 /docker/1 {mount} rw - cgroup2 cgroup rw\n"
    found = cgroup.placement(proc(tmp_path, mounts, "9:name=systemd:/\n0::/docker/1/here\n"))
    assert (found.mount, found.folder) == (str(mount), str(mount / "here"))
    assert found.controllers == frozenset()
    assert not found.delegated, "that it can be written to says nothing"


@pytest.mark.parametrize(
    ("mounts", "groups"),
    [("", "0::/\n"), ("30 23 0:26 / /cgroup rw - cgroup cgroup rw,cpu\n", "1:cpu:/\n"), ("nonsense\n - \n", "\n")],
)
def test_a_machine_without_version_2(tmp_path: Path, mounts: str, groups: str) -> None:
    assert cgroup.placement(proc(tmp_path, mounts, groups)) == CgroupPlacement()


def test_no_proc_at_all(tmp_path: Path) -> None:
    assert cgroup.placement(str(tmp_path / "nowhere")) == CgroupPlacement()


# What a directory of groups gives.


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="cannot use the control groups"):
        cgroup.JobGroups(str(tmp_path / "nowhere"))
    with pytest.raises(SandboxError, match="cannot use the control groups"):
        cgroup.prepare(str(tmp_path / "nowhere"))


def test_layers_are_what_is_there(folder: str) -> None:
    groups = settled(folder)
    assert set(groups.layers) <= set(cgroup.LAYERS)
    assert cgroup.KILL in groups.layers
    assert {"main", "runner"} <= set(os.listdir(folder))
    assert os.stat(f"{folder}/runner/cgroup.procs").st_uid == NOBODY
    assert os.stat(f"{folder}/cgroup.procs").st_uid == os.getuid()


def test_all_of_a_group_ends_at_once(folder: str, intruder: str) -> None:
    """Alone: no pid namespace holds them together, and some have a session of their own."""
    group = settled(folder).new(1, SMALL)
    with in_group(group, intruder, "bomb", "sleep") as process:
        until(lambda: len(members(group)) == 2)
        group.kill()
        assert process.wait(CEILING_S) == -signal.SIGKILL
    until(lambda: members(group) == [])
    group.close()
    assert jobs(folder) == []


def test_a_group_that_is_busy_is_removed_later(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = settled(folder)
    group = groups.new(1, SMALL)
    with in_group(group, "sleep", "60") as process:
        until(lambda: members(group) == [str(process.pid)])
        monkeypatch.setattr(cgroup.JobGroup, "kill", lambda _: None)
        group.close()
        assert len(jobs(folder)) == 1
        process.kill()
    groups.new(2, SMALL).close()
    assert jobs(folder) == []


def test_groups_of_a_runner_that_is_no_more_go(folder: str) -> None:
    settled(folder)
    os.mkdir(f"{folder}/runner/job-4194304-1")
    cgroup.JobGroups(f"{folder}/runner").new(1, SMALL).close()
    assert jobs(folder) == []


def test_a_group_that_cannot_be_bounded_is_none(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves neither a directory nor a descriptor: every job after it would leave one more."""
    groups = settled(folder)
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(cgroup, "group_settings", lambda *_: [("cgroup.procs", b"no number")])
    with pytest.raises(SandboxError, match="no control group for a job: Invalid argument"):
        groups.new(1, SMALL)
    assert (os.listdir("/proc/self/fd"), jobs(folder)) == (before, [])


def test_memory_of_all_processes_together(folder: str, intruder: str) -> None:
    needs(folder, "memory")
    group = settled(folder).new(1, SMALL)
    with in_group(group, intruder, "bomb", "manymemory") as process:
        assert process.wait(CEILING_S) == -signal.SIGKILL
    assert group.limit() == "memory"
    until(lambda: members(group) == [])
    group.close()


def test_processes(folder: str, intruder: str) -> None:
    needs(folder, "pids")
    group = settled(folder).new(1, SMALL)
    with in_group(group, intruder, "bomb", "fork") as process:
        assert process.stdout is not None
        count, error = process.stdout.readline().split()
        assert int(count) < SMALL.processes
        assert error == b"EAGAIN"
        assert group.limit() == "processes"
        group.close()


def test_processors(folder: str, intruder: str) -> None:
    """Four that loop get no more than two processors between them."""
    needs(folder, "cpu")
    group = settled(folder).new(1, SMALL)
    assert content(group, "cpu.max").split() == ["200000", "100000"]
    with in_group(group, intruder, "bomb", "spin"):
        began = time.monotonic()
        time.sleep(1)
        used = int(content(group, "cpu.stat").split()[1]) / 1e6
        assert used < 2.2 * (time.monotonic() - began)
        group.close()


def test_who_asks_for_what_is_not_there() -> None:
    values = dict(cgroup.group_settings(("memory", "pids"), SMALL))
    assert values == {
        "memory.max": b"%d" % (35 * limits.MIB),
        "memory.swap.max": b"0",
        "memory.oom.group": b"1",
        "pids.max": b"12",
    }


# Jobs of a runner that has a directory.


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("way", ["jail", "bubblewrap"])
def test_a_job_lives_in_a_group_of_its_own(folder: str, intruder: str, way: str) -> None:
    groups = cgroup.prepare(folder, (NOBODY, NOBODY))

    async def whole() -> None:
        async with Runner(compilers=[intruder], sandbox=way, groups=groups) as runner:
            assert cgroup.KILL in runner.ready.layers
            outcome = await runner.run([intruder.encode(), b"look"])
            assert b"descriptor=" not in outcome.stdout
            future = runner.post([intruder.encode(), b"bomb", b"sleep"], *HOME)
            while len(members_of_jobs(folder)) != 3:  # noqa: ASYNC110 - it has nothing else to do
                await asyncio.sleep(0.005)
            [job] = jobs(folder)
            end(f"{folder}/runner/{job}")
            outcome = await future
            assert outcome.report.status == -signal.SIGKILL
            await runner.run([intruder.encode(), b"speak"])
            assert "Traceback" not in runner.said()

    before = HERE.folder or HERE.mount
    cgroup.join(groups, os.getpid())  # where its children begin: a runner must live beside the jobs
    try:
        asyncio.run(asyncio.wait_for(whole(), CEILING_S))
    finally:
        Path(before, "cgroup.procs").write_text("0")
    assert jobs(folder) == []
