"""The runner as a service of its own: whom it serves, and that all ends with it."""

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from securecc.daemon.service_manager import ServiceManager
from securecc.daemon.settings import DaemonSettings, User
from securecc.model.errors import ConfigError, SandboxError
from securecc.runner import runner_service
from securecc.runner.runner_service import READY, RunnerService, connect
from securecc.runner_protocol.packets import order_runner
from securecc.sandbox import cgroup
from securecc.sandbox.machine_advice import CgroupPlacement
from tests.runnerside import NOBODY, children_of
from tests.waiting import CEILING_S, until

CONFIG = """\
keytab: k
policy: p
audit: a
state: s
scratch: {folder}/scratch
toolchains: [/usr/bin/as]
layers: []
runner_socket: {folder}/run/runner
"""
START = "import sys; from securecc.cli.secureccd import main; sys.exit(main(sys.argv[1:]))"
as_root = pytest.mark.skipif(os.getuid() != 0, reason="front and runner are two users: it takes root to be both")


@dataclass
class Service:
    """`secureccd --only runner`, and what it says."""

    folder: Path
    more: str = ""
    given: tuple[int, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    user: int | None = None

    def __enter__(self) -> Self:
        (self.folder / "run").mkdir(exist_ok=True)
        (self.folder / "run").chmod(0o755)
        self.config = self.folder / "config.yaml"
        users = f"users: {{front: {FRONT}, runner: {NOBODY}}}\n" if os.getuid() == 0 else ""
        self.config.write_text(CONFIG.format(folder=self.folder) + (self.more or users))
        self.log = (self.folder / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, "--config", str(self.config), "--only", "runner"],
            stderr=self.log,
            pass_fds=self.given,
            env={**_uncovered(), **self.environment},
            user=self.user,
            group=self.user,
        )
        self.until(lambda: READY in self.said() or self.process.poll() is not None)
        return self

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def until(self, condition: Callable[[], object]) -> None:
        until(condition, what=f"it; its log: {self.said()}")

    @property
    def path(self) -> Path:
        return self.folder / "run/runner"

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        assert self.process.wait(CEILING_S) is not None
        self.log.close()


FRONT = NOBODY + 1
PRELUDE = """
import os, sys
user = int(sys.argv[2])
if os.getuid() == 0:
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
from pathlib import Path
from securecc.runner_protocol.packets import order_runner
from securecc.runner.runner_service import connect
spawner = connect(Path(sys.argv[1]))
"""
ASK = """
end = order_runner(spawner, ())
print(len(end.recv(1 << 16)), flush=True)
"""


def _uncovered() -> dict[str, str]:
    """The environment of another user's process: it may not write where coverage is gathered, and would say so."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def knocking(path: Path, script: str, user: int = FRONT) -> subprocess.Popen[str]:
    """A process of this user that is connected as `spawner`, and runs this script."""
    line = [sys.executable, "-c", PRELUDE + script, str(path), str(user)]
    return subprocess.Popen(line, env=_uncovered(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def answer(path: Path, script: str, user: int = FRONT) -> str:
    with knocking(path, script, user) as process:
        assert process.stdout is not None
        return process.stdout.read()


@as_root
def test_a_front_gets_runners_and_they_go_with_it(reachable: Path) -> None:
    with Service(reachable) as service:
        assert os.stat(service.path).st_mode & 0o777 == 0o600
        assert int(answer(service.path, ASK)) > 10, service.said()
        service.until(lambda: children_of(service.process.pid) == [])
        assert int(answer(service.path, ASK)) > 10, "the next front is served as well"
        with open(f"/proc/{service.process.pid}/status") as status:
            assert f"Uid:\t{NOBODY}\t{NOBODY}" in status.read()
    assert service.process.returncode == 0
    assert "Traceback" not in service.said()


@as_root
def test_who_is_not_the_front_is_turned_away(reachable: Path) -> None:
    """Also root, whom no socket's mode keeps out."""
    with Service(reachable) as service, connect(service.path) as end:
        end.settimeout(CEILING_S)
        assert end.recv(1) == b""
        service.until(lambda: "rejected a front" in service.said())
        assert "of uid 0, but the front's is" in service.said()


def test_the_runners_own_user_is_no_front(reachable: Path) -> None:
    """Else a compiler that breaks out would have what the front has."""
    with Service(reachable) as service:
        if os.getuid() == 0:
            os.chown(service.path, NOBODY, NOBODY)
        assert answer(service.path, "print(spawner.recv(1))", NOBODY) == "b''\n"
        assert "the runner's own uid" in service.said()


@as_root
def test_told_to_end_it_takes_all_with_it(reachable: Path) -> None:
    """A front that stays keeps nothing alive."""
    with Service(reachable) as service, knocking(service.path, ASK + "end.recv(1)\nend.recv(1)") as front:
        assert front.stdout is not None
        assert int(front.stdout.readline()) > 10
        [spawner] = children_of(service.process.pid)
        [runner] = children_of(int(spawner))
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(CEILING_S) == 0
        assert [pid for pid in (spawner, runner) if os.path.exists(f"/proc/{pid}")] == []


LOOK = """
import os, sys
os.setresgid(*[int(sys.argv[1])] * 3)
os.setresuid(*[int(sys.argv[1])] * 3)
for pid in sys.argv[2:]:
    try:
        print(os.listdir(f"/proc/{pid}/root"))
    except PermissionError:
        print("closed")
"""


@as_root
def test_none_of_its_processes_lets_its_own_user_look_into_it(reachable: Path) -> None:
    """A compiler that breaks out is this user, and must find no way to the host's files through who still sees them.
    The service manager has made it that user: what becomes somebody else by itself is closed by that alone.
    """
    config = "sandbox: {minimum: []}\n"
    (reachable / "run").mkdir()
    os.chown(reachable / "run", NOBODY, NOBODY)
    with Service(reachable, config, user=NOBODY) as service, connect(service.path) as spawner_end:
        with order_runner(spawner_end, ()) as end:
            end.settimeout(CEILING_S)
            assert len(end.recv(1 << 16)) > 10
            [spawner] = children_of(service.process.pid)
            [runner] = children_of(int(spawner))
            pids = [str(service.process.pid), spawner, runner]
            looking = [sys.executable, "-c", LOOK, str(NOBODY), *pids]
            seen = subprocess.run(looking, env=_uncovered(), capture_output=True, text=True, check=True).stdout
        assert seen.split() == ["closed"] * 3


@as_root
def test_no_more_fronts_than_there_can_be(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "ends = [spawner] + [connect(Path(sys.argv[1])) for _ in range(5)]\n"
        "import select\n"
        "while len(select.select(ends, [], [], 0.1)[0]) < 2: pass\n"
        "print(len(select.select(ends, [], [], 0)[0]))\n"
    )
    with Service(reachable) as service:
        assert answer(service.path, script) == "2\n", service.said()
        assert "4 fronts are connected already" in service.said()


def test_a_service_managers_socket_and_its_watchdog(reachable: Path) -> None:
    """In the place of the manager: a socket that listens, and one that hears of us."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening,
    ):
        manager.bind(str(reachable / "notify"))
        (reachable / "notify").chmod(0o777)
        manager.settimeout(CEILING_S)
        listening.bind(str(reachable / "given"))
        listening.listen()
        here = os.path.join(os.path.dirname(__file__), "handed.py")
        environment = {"NOTIFY_SOCKET": str(reachable / "notify"), "WATCHDOG_USEC": "200000"}
        config = reachable / "config.yaml"
        users = f"users: {{front: {FRONT}, runner: {NOBODY}}}\n" if os.getuid() == 0 else ""
        config.write_text(CONFIG.format(folder=reachable) + users)
        line = [sys.executable, here, str(listening.fileno()), sys.executable, "-c", START]
        with subprocess.Popen(
            [*line, "--config", str(config), "--only", "runner"],
            pass_fds=[listening.fileno()],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
        ) as process:
            assert manager.recv(4096).startswith(b"READY=1\n")
            assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            assert not (reachable / "run").exists()
            process.terminate()
            heard = [manager.recv(4096)]
            while heard[-1] != b"STOPPING=1":
                heard.append(manager.recv(4096))
            assert set(heard[:-1]) <= {b"WATCHDOG=1"}
            assert process.wait(CEILING_S) == 0


def settings_in(folder: Path, **more: Any) -> DaemonSettings:
    places: Any = (folder / name for name in "kpasc")
    return DaemonSettings(*places, **more)


@pytest.mark.parametrize("kind", [(socket.AF_INET, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_STREAM)])
def test_a_socket_of_another_kind(tmp_path: Path, kind: tuple[int, int]) -> None:
    settings = settings_in(tmp_path)
    with socket.socket(*kind) as wrong, pytest.raises(ConfigError, match="one unix socket"):
        RunnerService(settings, tmp_path, ServiceManager(sockets=(wrong,)))


def test_a_place_where_nothing_can_listen(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, runner_socket=tmp_path / "none/runner")
    with pytest.raises(ConfigError, match="make its directory"):
        RunnerService(settings, tmp_path, ServiceManager())


def test_a_front_that_gets_no_spawner_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fork() -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    alone = object.__new__(RunnerService)
    alone._spawners = set()
    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(alone, "_objection", lambda _end: "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as alone._listening:
        alone._listening.bind(str(tmp_path / "runner"))
        alone._listening.listen()
        with connect(tmp_path / "runner") as end:
            alone._accept()
            assert end.recv(1) == b""
    assert "cannot start a spawner for a front: Resource temporarily unavailable" in caplog.text
    assert alone._spawners == set()


def test_nobody_waits(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no runner is listening"):
        connect(tmp_path / "runner")


def test_control_groups_are_used_where_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = []

    def prepare(*words: Any) -> str:
        prepared.append(words)
        return "/groups"

    monkeypatch.setattr(cgroup, "prepare", prepare)
    monkeypatch.setattr(cgroup, "placement", lambda: CgroupPlacement("/m", "/m/own", False))
    settings = settings_in(tmp_path)
    assert runner_service.prepare_groups(settings, None) == ""
    monkeypatch.setattr(cgroup, "placement", lambda: CgroupPlacement("/m", "/m/own", True))
    assert runner_service.prepare_groups(settings, None) == "/groups"
    named = settings_in(tmp_path, groups=tmp_path)
    runner_service.prepare_groups(named, User(7, 8, "x"))
    assert prepared == [("/m/own", None), (str(tmp_path), (7, 8))]
