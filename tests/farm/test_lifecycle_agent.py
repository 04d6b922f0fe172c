"""The agent's life: started once, found again, replaced when it hangs, dies or is another's; never a build's end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.farm.farmside import BIN, Farm, alive, slow_source, sources, until
from tests.waiting import CEILING_S

QUICK = {"SECURECC_AGENT_TIMEOUT": "5"}
AGENT = [sys.executable, "-I", "-m", "securecc.client", "--socket"]


def test_64_launchers_at_once_start_one_agent(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("many")
    files = sources(tmp_path, 64)
    running = [other.begin("securecc", "gcc", "-c", file.name, "-o", f"{file.stem}.o", cwd=tmp_path) for file in files]
    seen: set[int] = set()
    before: set[int] = set()
    while any(process.poll() is None for process in running):
        # Between fork and exec a child of the agent's shows its parent's command line, for a moment.
        now = set(other.agents())
        seen |= now & before
        before = now
        time.sleep(0.02)
    assert [process.communicate() for process in running] == [("", "")] * 64
    assert [process.returncode for process in running] == [0] * 64
    assert all(file.with_suffix(".o").exists() for file in files)
    assert seen == {other.agent}
    until(lambda: other.journal()["remote"] == 64)


def test_make_in_a_pipe_ends_when_make_does(farm: Farm, tmp_path: Path) -> None:
    """The agent that this make starts holds none of its descriptors, so that tee sees the end."""
    other = farm.apart("tee")
    farm.makefile(tmp_path, sources(tmp_path, 4))
    done = other.run("sh", "-c", "make -s -j4 2>&1 | tee log", cwd=tmp_path)
    assert done.returncode == 0
    assert alive(other.agent)
    assert {os.readlink(f"/proc/{other.agent}/fd/{number}") for number in range(3)} == {"/dev/null"}


def test_the_agent_outlives_a_servers_restart_and_connects_again(farm: Farm, tmp_path: Path) -> None:
    first, second = sources(tmp_path, 2)
    assert farm.compile(first).returncode == 0
    agent = farm.agent
    farm.server.restart()
    before = len(farm.audit(kind="job-end", outcome="done"))

    def remote_again() -> bool:
        assert farm.compile(second).returncode == 0
        return len(farm.audit(kind="job-end", outcome="done")) > before

    until(remote_again, what="a remote compile")
    assert farm.agent == agent


def test_the_agent_leaves_when_idle(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("idle")
    other.runtime.mkdir(mode=0o700)
    (source,) = sources(tmp_path, 1)
    assert other.compile(source).returncode == 0
    (path,) = other.runtime.glob("*.sock")
    other.end_agents()
    process = other.begin(*AGENT, path, "--idle", "5", cwd="/")
    until(path.exists)
    assert other.compile(source).returncode == 0
    process.communicate(timeout=CEILING_S)
    assert process.returncode == 0
    assert not path.exists()
    assert farm.audit(kind="connection")[-1]["decision"] == "allowed"


def test_an_agent_at_work_is_not_idle(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("busy")
    (source,) = sources(tmp_path, 1)
    assert other.compile(source).returncode == 0
    (path,) = other.runtime.glob("*.sock")
    other.end_agents()
    process = other.begin(*AGENT, path, "--idle", "1", cwd="/")
    until(path.exists)
    done = other.compile(slow_source(tmp_path, parts=5))
    assert (done.returncode, done.stderr) == (0, "")
    assert other.journal()["local"] == 0
    process.communicate(timeout=CEILING_S)


def test_an_agent_that_hangs_costs_one_compile_five_seconds(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("hangs", **QUICK)
    first, second, third = sources(tmp_path, 3)
    assert other.compile(first).returncode == 0
    agent = other.agent
    os.kill(agent, signal.SIGSTOP)
    try:
        began = time.monotonic()
        done = other.compile(second)
        took = time.monotonic() - began
        assert (done.returncode, done.stderr) == (0, "securecc: the agent is silent; compiling locally\n")
        assert took > 4
        for mark in other.runtime.glob("*.failed"):
            mark.touch()  # on a busy machine its time may be over
        done = other.compile(third, SECURECC_VERBOSE="1")
        assert (done.returncode, "the agent failed a moment ago" in done.stderr) == (0, True)
    finally:
        os.kill(agent, signal.SIGCONT)
    assert second.with_suffix(".o").exists()
    assert third.with_suffix(".o").exists()
    assert other.agents() == [agent]


def test_an_agent_that_hangs_is_complained_of_once_by_a_make_of_many_jobs(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("hangs-many", **QUICK)
    first, *files = sources(tmp_path, 9)
    assert other.compile(first).returncode == 0
    other.makefile(tmp_path, files)
    agent = other.agent
    os.kill(agent, signal.SIGSTOP)
    try:
        done = other.run("make", "-s", "-j8", cwd=tmp_path)
    finally:
        os.kill(agent, signal.SIGCONT)
    assert (done.returncode, done.stderr) == (0, "securecc: the agent is silent; compiling locally\n")
    assert all(file.with_suffix(".o").exists() for file in files)


def test_an_agent_that_dies_mid_compile_is_not_missed(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("dies")
    source = slow_source(tmp_path, parts=3)
    process = other.begin("securecc", "g++", "-c", source.name, "-o", "slow.o", cwd=tmp_path)
    until(lambda: farm.server.sandboxed, what="the remote compile")
    os.kill(other.agent, signal.SIGKILL)
    assert process.communicate(timeout=CEILING_S) == ("", "")
    assert process.returncode == 0
    assert (tmp_path / "slow.o").exists()
    until(lambda: not farm.server.sandboxed)
    (small,) = sources(tmp_path, 1)
    assert other.compile(small).returncode == 0
    assert len(other.agents()) == 1


@contextlib.contextmanager
def instead_of_the_agent(farm: Farm, answer: bytes) -> Iterator[None]:
    """Something else listens where the agent would: what an older version might do. Answers each request thus."""
    (path,) = farm.runtime.glob("*.sock")
    farm.end_agents()
    script = (
        "import socket, sys\n"
        "server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(64); print(flush=True)\n"
        "while True:\n"
        "    connection, _ = server.accept()\n"
        "    connection.recv(1 << 20)\n"
        f"    connection.sendall({answer!r})\n"
        "    connection.close()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "answer",
    [b"", b"\0" * 8, b"\xff" * 4096, b"HTTP/1.0 400 Bad Request\r\n\r\n"],
    ids=["closes", "zeros", "ff", "text"],
)
def test_an_agent_that_speaks_another_language_is_done_without(farm: Farm, tmp_path: Path, answer: bytes) -> None:
    name = f"old{len(list(farm.folder.iterdir()))}"
    other = farm.apart(name)
    files = sources(tmp_path, 3)
    assert other.compile(files[0]).returncode == 0
    with instead_of_the_agent(other, answer):
        for file in files[1:]:
            done = other.compile(file)
            assert (done.returncode, done.stdout) == (0, "")
            assert file.with_suffix(".o").exists()
        done = other.compile(files[1], SECURECC_FALLBACK="0")
        assert done.returncode in {103, 107, 109}
        assert "SECURECC_FALLBACK=0" in done.stderr


def test_without_an_agent_the_compile_is_local_and_the_reason_is_said_once(farm: Farm, tmp_path: Path) -> None:
    """A launcher whose installation has no interpreter beside it."""
    other = farm.apart("none")
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(BIN / "securecc", alone)
    said = ""
    for file in sources(tmp_path, 3):
        done = other.run(alone / "securecc", "gcc", "-c", file.name, "-o", f"{file.stem}.o", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "")
        assert file.with_suffix(".o").exists()
        said += done.stderr
    assert said.count("the agent does not start") == said.count("\n") == 1
    assert other.agents() == []


def test_without_an_agent_a_make_of_many_jobs_says_so_once(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("none-many")
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(BIN / "securecc", alone)
    other.makefile(tmp_path, sources(tmp_path, 16))
    done = other.run("make", "-s", "-j8", cwd=tmp_path, PATH=f"{alone}:{other.env['PATH']}")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("the agent does not start") == done.stderr.count("\n") == 1


def squat_a_link(folder: Path) -> None:
    (folder.parent / "real").mkdir(mode=0o700)
    folder.symlink_to("real")


def squat_wide_open(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def squat_by_another(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)


def squat_by_a_file(folder: Path) -> None:
    folder.write_text("")


@pytest.mark.parametrize("squat", [squat_a_link, squat_wide_open, squat_by_another, squat_by_a_file])
def test_a_squatted_folder_is_not_trusted(farm: Farm, tmp_path: Path, squat: Callable[[Path], None]) -> None:
    other = farm.apart(f"squat-{squat.__name__}")
    squat(other.runtime)
    (source,) = sources(tmp_path, 1)
    done = other.compile(source)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert source.with_suffix(".o").exists()
    assert other.agents() == []
    done = other.compile(source, SECURECC_FALLBACK="0")
    assert done.returncode == 103
    assert "not ours alone" in done.stderr
    assert "0700" in done.stderr


def test_a_squatted_socket_of_another_user_gets_no_request(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("squat-socket")
    (source,) = sources(tmp_path, 1)
    assert other.compile(source).returncode == 0
    (path,) = other.runtime.glob("*.sock")
    other.end_agents()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    pid = os.fork()
    if pid == 0:  # another user listens: SO_PEERCRED names who called listen(2)
        os.setuid(65534)
        server.listen(8)
        server.settimeout(CEILING_S)
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            os._exit(1 if connection.recv(1) else 0)
        os._exit(0)
    try:
        until(lambda: _listens(path))
        done = other.compile(source)
        assert (done.returncode, done.stdout) == (0, "")
        assert source.with_suffix(".o").exists()
    finally:
        server.close()
        path.unlink(missing_ok=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0)
    assert not (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1), "a byte went to the squatter"


def _listens(path: Path) -> bool:
    """/proc/net/unix shows SO_ACCEPTCON as 00010000 for sockets that listen."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return any(line.endswith(f" {path}") and line.split()[3] == "00010000" for line in lines)
