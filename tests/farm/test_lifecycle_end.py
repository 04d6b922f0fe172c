"""A compile that nobody waits for any more, or that took too long, ends on the server at once and whole."""

import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.farm.farmside import POLICY, Farm, FarmMaker, alive, below, slow_source, sources, until
from tests.waiting import CEILING_S

Begun = tuple[subprocess.Popen[str], list[int]]
Compiling = Callable[..., Begun]
_NO_LINGER = struct.pack("ii", 1, 0)


@pytest.fixture
def compiling(farm: Farm, tmp_path: Path) -> Iterator[Compiling]:
    """A make that waits for one long remote compile; `between` stands between it and the launcher."""

    def begin(between: str = "") -> Begun:
        farm.makefile(tmp_path, [slow_source(tmp_path)], between=between)
        process = farm.begin("make", "-s", cwd=tmp_path)
        until(lambda: compilers(farm), what="the remote compiler")
        return process, farm.server.sandboxed

    started: list[Begun] = []

    def remembered(between: str = "") -> Begun:
        started.append(begin(between))
        return started[-1]

    yield remembered
    for process, _ in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=CEILING_S)
    until(lambda: not farm.server.sandboxed, what="the end of what was left")


def compilers(farm: Farm) -> list[int]:
    return [pid for pid in farm.server.sandboxed if Path(f"/proc/{pid}/comm").read_text().strip() == "cc1plus"]


def ended_whole(farm: Farm, processes: list[int]) -> None:
    """All processes of the job go, and there is one record of its end."""
    until(lambda: not any(map(alive, processes)), what="the end of the sandbox")
    until(lambda: not farm.server.sandboxed, what="the end of the sandbox")
    until(lambda: records(farm)[0] == records(farm)[1], what="the record of the job's end")


def records(farm: Farm) -> tuple[int, int]:
    return len(farm.audit(kind="job-start")), len(farm.audit(kind="job-end"))


def well(farm: Farm, folder: Path) -> None:
    """A legitimate compile succeeds, on the server."""
    (source,) = sources(folder, 1)
    before = len(farm.audit(kind="job-end", outcome="done"))
    done = farm.compile(source)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(farm.audit(kind="job-end", outcome="done")) == before + 1


def test_ctrl_c_on_make_ends_the_remote_compile(farm: Farm, tmp_path: Path, compiling: Compiling) -> None:
    make, processes = compiling()
    os.killpg(make.pid, signal.SIGINT)
    ended_whole(farm, processes)
    assert make.wait(CEILING_S) != 0
    assert not (tmp_path / "slow.o").exists()
    assert farm.audit(kind="job-end")[-1]["outcome"] == "cancelled"
    well(farm, tmp_path)


@pytest.mark.parametrize("between", ["", "env", "sh -c 'exec 3>&1; \"$$@\"; exit $$?' x"], ids=["none", "env", "sh"])
def test_sigkill_of_make_ends_it_whoever_stands_between(
    farm: Farm, tmp_path: Path, compiling: Compiling, between: str
) -> None:
    make, processes = compiling(between)
    make.kill()
    ended_whole(farm, processes)
    until(lambda: not alive(make.pid))
    until(lambda: not launchers(tmp_path), what="the launcher's end")
    assert not (tmp_path / "slow.o").exists()
    well(farm, tmp_path)


def launchers(folder: Path) -> list[int]:
    """Processes that work in that folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and Path(entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_sigkill_of_the_launcher_ends_it(farm: Farm, tmp_path: Path, compiling: Compiling) -> None:
    make, processes = compiling()
    (launcher,) = [pid for pid in below(make.pid) if Path(f"/proc/{pid}/comm").read_text().strip() == "securecc"]
    os.kill(launcher, signal.SIGKILL)
    ended_whole(farm, processes)
    assert make.wait(CEILING_S) != 0
    well(farm, tmp_path)


def test_an_agent_that_is_killed_closes_its_channel_and_its_jobs_end(
    farm: Farm, tmp_path: Path, compiling: Compiling
) -> None:
    """FIN: the kernel closes what the agent had open. The launcher then compiles by itself; that is ended here."""
    make, processes = compiling()
    os.kill(farm.agent, signal.SIGKILL)
    ended_whole(farm, processes)
    until(lambda: any("cc1plus" in Path(f"/proc/{pid}/comm").read_text() for pid in below(make.pid)), what="local run")
    os.killpg(make.pid, signal.SIGKILL)
    make.wait(CEILING_S)
    well(farm, tmp_path)


def test_a_connection_that_is_reset_ends_its_jobs(farm: Farm, tmp_path: Path, compiling: Compiling) -> None:
    """RST: as SO_LINGER 0 and close make it, on the agent's own socket."""
    make, processes = compiling()
    reset_connections(farm.agent, farm.server.port)
    ended_whole(farm, processes)
    os.killpg(make.pid, signal.SIGKILL)
    make.wait(CEILING_S)
    well(farm, tmp_path)


def reset_connections(pid: int, port: int) -> None:
    """Takes the process's connections to `port` by pidfd_getfd(2), and resets them (connect(2) to AF_UNSPEC)."""
    pidfd = os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if not os.readlink(entry).startswith("socket:"):
                continue
            with socket.socket(fileno=_pidfd_getfd(pidfd, int(entry.name))) as taken:
                if taken.family == socket.AF_INET and taken.getpeername()[1] == port:
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                    _disconnect(taken)
    finally:
        os.close(pidfd)


def _pidfd_getfd(pidfd: int, number: int) -> int:
    import ctypes

    return int(ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, number, 0))


def _disconnect(connection: socket.socket) -> None:
    import ctypes

    address = struct.pack("H14x", socket.AF_UNSPEC)
    assert ctypes.CDLL(None).connect(connection.fileno(), address, len(address)) == 0


@pytest.mark.parametrize(("limit", "value"), [("wall", "1s"), ("cpu", "1s")])
def test_a_limit_ends_the_whole_tree_and_the_local_run_decides(
    some_farm: FarmMaker, tmp_path: Path, limit: str, value: str
) -> None:
    text = POLICY.read_text()
    old = {"wall": "wall: 10min", "cpu": "cpu: 5min"}[limit]
    assert old in text
    policy = tmp_path / "policy.yaml"
    policy.write_text(text.replace(old, f"{limit}: {value}"))
    with some_farm(policy=policy) as farm:
        source = slow_source(tmp_path, parts=6)
        done = farm.compile(source, SECURECC_FALLBACK="0")
        assert done.returncode != 0
        assert f"the job reached its {limit} limit on " in done.stderr
        assert "ask its admin for a higher one" in done.stderr
        assert not source.with_suffix(".o").exists()
        (end,) = farm.audit(kind="job-end")
        assert end["limit"] == limit
        assert farm.server.sandboxed == []
        done = farm.compile(source)
        assert (done.returncode, done.stderr) == (0, "")
        assert source.with_suffix(".o").exists()
        assert farm.counts("limit")
        farm.server.put_policy(text)  # on a busy machine any compile may reach that limit
        well(farm, tmp_path)
