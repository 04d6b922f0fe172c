"""Front and runner as two services: sockets that a service manager has opened, a stand-in for the manager itself."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.farm.farmside import Farm, Server, alive, below, until
from tests.waiting import CEILING_S

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="front and runner are two users: it takes root to be both")

ACTIVATE = "/usr/bin/systemd-socket-activate"


class Manager:
    """Where a service manager hears of one service."""

    def __init__(self, path: Path, user: int) -> None:
        self.path = path
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.end.bind(str(path))
        os.chown(path, user, user)
        self.end.settimeout(CEILING_S)

    def heard(self, wanted: str) -> list[str]:
        """All that it hears until something that begins so."""
        messages: list[str] = []
        while not messages or not messages[-1].startswith(wanted):
            messages.append(self.end.recv(4096).decode())
        return messages


def users_of(server: Server) -> dict[str, int]:
    """The daemon's two users, by the configuration."""
    line = next(line for line in (server.folder / "config.yaml").read_text().splitlines() if "users:" in line)
    words = line.replace("}", "").replace(",", "").split()
    return {"front": int(words[words.index("{front:") + 1]), "runner": int(words[words.index("runner:") + 1])}


@contextmanager
def service(server: Server, only: str, *activation: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """One half of the daemon, as a service manager starts it; ended by SIGTERM, with exit status 0."""
    kept = {
        "PATH": os.environ["PATH"],
        "KRB5_CONFIG": str(server.krb5_config),
        "KRB5RCACHEDIR": str(server.folder / "rcache"),
    }
    daemon = [str(server.folder.with_name(f"{server.folder.name}-daemon"))]
    passed = [word for name in (*kept, *environment) for word in ("-E", name)]
    prefix = [ACTIVATE, *passed, *activation] if activation else []
    with (server.folder / f"log-{only}").open("wb") as log:
        process = subprocess.Popen(
            [*prefix, *daemon, "--config", str(server.folder / "config.yaml"), "--only", only],
            env={**kept, **environment},
            cwd="/",
            stderr=log,
            stdout=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(CEILING_S)


def said(server: Server, only: str) -> str:
    return (server.folder / f"log-{only}").read_text(errors="replace")


@pytest.fixture
def idle(farm: Farm, tmp_path: Path) -> Iterator[Server]:
    """The farm's server, not running, with a place for the runner's socket that both users can reach."""
    server = farm.server
    server.stop()
    place = Path(f"/tmp/securecc-test-{os.getpid()}")
    place.mkdir(mode=0o755)
    server.configure(runner_socket=str(place / "runner"))
    try:
        yield server
    finally:
        shutil.rmtree(place)
        server.configure(runner_socket="/run/securecc/runner")
        server.start()


def source(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text(f"int {path.stem};\n")
    return path


def test_two_services_whose_sockets_were_opened_for_them(farm: Farm, idle: Server, tmp_path: Path) -> None:
    """Neither listens by itself; the runner's is started by the front's call, the front by the first client."""
    users = users_of(idle)
    place = Path(f"/tmp/securecc-test-{os.getpid()}")
    manager = Manager(place / "notify", users["front"])
    runner_manager = Manager(place / "notify-runner", users["runner"])
    runner = service(
        idle, "runner", "--seqpacket", "--listen", str(place / "runner"), NOTIFY_SOCKET=str(runner_manager.path)
    )
    front = service(
        idle,
        "front",
        "--listen",
        f"127.0.0.1:{idle.port}",
        NOTIFY_SOCKET=str(manager.path),
        WATCHDOG_USEC="400000",
    )
    with runner as runner_process, front as front_process:
        until((place / "runner").exists, what="the runner's socket")
        os.chown(place / "runner", users["front"], users["front"])
        until(lambda: listening(idle.port), what="the front's socket")
        done = farm.compile(source(tmp_path, "a.c"), SECURECC_FALLBACK="0")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), said(idle, "front") + said(idle, "runner")
        ready = manager.heard("READY=1")[-1]
        assert "STATUS=serves 1 toolchains" in ready
        assert runner_manager.heard("READY=1")
        assert manager.heard("WATCHDOG=1")
        assert uid_of(front_process.pid) == users["front"]
        assert {uid_of(pid) for pid in (runner_process.pid, *below(runner_process.pid))} == {users["runner"]}
        front_process.send_signal(1)
        assert "MONOTONIC_USEC=" in manager.heard("RELOADING=1")[-1]
        assert manager.heard("READY=1")
        assert farm.compile(source(tmp_path, "b.c"), SECURECC_FALLBACK="0").returncode == 0
        front_process.terminate()
        assert "told to stop" in manager.heard("STOPPING=1")[-1]
        assert front_process.wait(CEILING_S) == 0
        until(lambda: not below(runner_process.pid), what="the end of the front's spawner")
        assert runner_process.poll() is None
    assert runner_process.returncode == 0
    assert "Traceback" not in said(idle, "front") + said(idle, "runner")
    manager.end.close()
    runner_manager.end.close()


def test_two_services_without_a_service_manager(farm: Farm, idle: Server, tmp_path: Path) -> None:
    """The runner is told to end first: the front ends too, with an error, for its service manager to start it anew."""
    with service(idle, "runner") as runner:
        until(lambda: "waits for its front" in said(idle, "runner"), what="the runner")
        with service(idle, "front") as front:
            until(lambda: "securecc: ready" in said(idle, "front") or front.poll() is not None, what="the front")
            assert front.poll() is None, said(idle, "front")
            assert farm.compile(source(tmp_path, "c.c"), SECURECC_FALLBACK="0").returncode == 0
            (start,) = farm.audit(kind="daemon", event="start", pid=front.pid) or farm.audit(kind="daemon")[-1:]
            assert "seccomp" in start["sandbox"]
            mine = [runner.pid, *below(runner.pid)]
            runner.terminate()
            assert runner.wait(CEILING_S) == 0
            assert front.wait(CEILING_S) == 1
            assert [pid for pid in mine if alive(pid)] == []


def listening(port: int) -> bool:
    """Whether somebody listens there; a connection would start what waits for one."""
    wanted = f":{port:04X}"
    return any(
        line.split()[1].endswith(wanted) and line.split()[3] == "0A"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    )


def uid_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Uid:")).split()[1])
