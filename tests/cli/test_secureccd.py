"""The daemon's command: what keeps it from starting, and how front and runner are made apart."""

import asyncio
import logging
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from securecc import __version__
from securecc.audit.settings import AuditSettings
from securecc.cli import secureccd
from securecc.cli.secureccd import main
from securecc.daemon import privileges
from securecc.daemon.service_manager import ServiceManager
from securecc.daemon.settings import DaemonSettings, User, Users
from securecc.model import heap
from securecc.model.errors import SandboxError
from securecc.model.redaction import Redaction
from securecc.server.front import Equipment
from tests.waiting import CEILING_S

POLICY = """
version: 1
rules:
  - {name: everybody, who: ["*@EXAMPLE.COM"], toolchains: ["*"]}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(secureccd, "log_to_stderr", lambda *_: None)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "policy.yaml").chmod(0o600)
    path = tmp_path / "config.yaml"
    path.write_text(
        "keytab: keytab\npolicy: policy.yaml\naudit: log/audit.jsonl\nstate: state\nscratch: scratch\nslots: 2\n"
    )
    return path


def settings_of(tmp_path: Path, **changes: Any) -> DaemonSettings:
    values = {
        "keytab": tmp_path / "keytab",
        "policy": tmp_path / "policy.yaml",
        "audit": AuditSettings(tmp_path / "log" / "audit.jsonl"),
        "state": tmp_path / "state",
        "scratch": tmp_path / "scratch",
        **changes,
    }
    return DaemonSettings(**values)


ALICE, BOB = User(1001, 1001, "alice"), User(1002, 1002, "bob")


def test_a_configuration_is_checked_without_serving(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(config), "--check"]) == 0
    assert capsys.readouterr().out == f"{config}: valid\n"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("config.yaml", "keytab: [", "config.yaml"),
        ("config.yaml", "nonsense: 1", "nonsense"),
        ("policy.yaml", "version: 1\nrules: 7", "policy.yaml"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, said: str
) -> None:
    (config.parent / file).write_text(text)
    assert main(["--config", str(config), "--check"]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("secureccd: ")
    assert said in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("name", ["keytab", "log", "state", "policy.yaml"])
def test_what_others_can_write_does_not_pass_the_check(
    config: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = config.parent / name
    if not path.exists():
        path.mkdir() if name in {"log", "state"} else path.touch()
    path.chmod(0o777)
    assert main(["--config", str(config), "--check"]) == 1
    assert f"chmod go-w {path}" in capsys.readouterr().err


def test_a_configuration_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.yaml")]) == 1
    assert "--config FILE" in capsys.readouterr().err


def test_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert __version__ in capsys.readouterr().out


def test_root_serves_only_as_somebody_else(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert main(["--config", str(config)]) == 1
    assert "set `users:`" in capsys.readouterr().err


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of runner and spawner a program that says how it was started and goes when the front does."""
    program = tmp_path / "python"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, socket, sys\n"
        f"said = open({str(tmp_path)!r} + '/said-' + sys.argv[3].rpartition('.')[2], 'w')\n"
        "config = os.pread(int(sys.argv[7]), 65536, 0).decode()\n"
        "print(sys.argv[1:4], config, sorted(os.environ), os.getcwd(), os.getsid(0) == os.getpid(), file=said)\n"
        "said.close()\n"
        "socket.socket(fileno=int(sys.argv[5])).recv(1)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return tmp_path / "said-runner"


def test_the_front_serves_beside_a_runner_of_its_own(
    config: Path, runner: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    async def front(settings: DaemonSettings, started_by: ServiceManager, end: Any, spawner: Any) -> Any:
        seen.append((settings.slots, end.type, settings.state.is_dir(), settings.scratch.is_dir()))
        async with asyncio.timeout(CEILING_S):
            while not runner.exists() or not runner.read_text():  # noqa: ASYNC110, ASYNC240 - another process's file
                await asyncio.sleep(0.01)
        return 7

    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(secureccd, "serve_front", front)
    monkeypatch.setattr(privileges, "harden", lambda: None)
    assert main(["--config", str(config)]) == 7
    assert seen == [(2, socket.SOCK_SEQPACKET, True, True)]
    said = runner.read_text()
    assert "['-I', '-m', 'securecc.runner.runner']" in said
    assert "/scratch" in said
    assert "keytab" not in said
    assert said.endswith("/ True\n")
    assert "KRB5" not in said
    assert "['-I', '-m', 'securecc.runner.runner_spawner']" in runner.with_name("said-runner_spawner").read_text()


def test_a_front_that_cannot_start_takes_its_runner_with_it(
    config: Path, runner: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def front(settings: DaemonSettings, started_by: ServiceManager, end: Any, spawner: Any) -> None:
        raise SandboxError("this machine has no sandbox")

    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(secureccd, "serve_front", front)
    monkeypatch.setattr(privileges, "harden", lambda: None)
    assert main(["--config", str(config)]) == 1
    assert capsys.readouterr().err == "secureccd: this machine has no sandbox\n"


def test_started_as_root_the_two_become_two_users(
    tmp_path: Path, runner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(privileges, "become", lambda user, _: calls.append(user))
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: calls.append((path.name, uid, gid)))
    monkeypatch.setattr(privileges, "harden", lambda: None)

    async def front(settings: DaemonSettings, started_by: ServiceManager, end: Any, spawner: Any) -> Any:
        async with asyncio.timeout(CEILING_S):
            while not runner.exists() or not runner.read_text():  # noqa: ASYNC110, ASYNC240 - another process's file
                await asyncio.sleep(0.01)
        return 0

    monkeypatch.setattr(secureccd, "serve_front", front)
    assert (
        secureccd.serve(settings_of(tmp_path, users=Users(front=ALICE, runner=BOB)), tmp_path / "config.yaml", None)
        == 0
    )
    assert calls == [("state", 1001, 1001), ("log", 1001, 1001), ("scratch", 1001, 1001), ALICE]
    assert '"uid":1002,"gid":1002' in runner.read_text()


def test_a_front_alone_takes_its_first_runner_from_the_service(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def front(settings: DaemonSettings, started_by: ServiceManager, end: Any, spawner: Any) -> Any:
        asked.append((end.type, started_by))
        return 5

    config.write_text(config.read_text() + "runner_socket: runner\n")
    monkeypatch.setattr(secureccd, "serve_front", front)
    monkeypatch.setattr(privileges, "harden", lambda: None)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(tmp_path / "runner"))
        listening.listen()
        assert main(["--config", str(config), "--only", "front"]) == 5
        end, _ = listening.accept()
        with end:
            _, descriptors, _, _ = socket.recv_fds(end, 1 << 16, 4)
            assert len(descriptors) == 1, "the runner's end of the first runner"
            os.close(descriptors[0])
    assert asked == [(socket.SOCK_SEQPACKET, ServiceManager())]
    assert not (tmp_path / "scratch").exists(), "that is the runner's"


def test_no_runner_waits(config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    config.write_text(config.read_text() + "runner_socket: runner\n")
    assert main(["--config", str(config), "--only", "front"]) == 1
    assert "systemctl start securecc-runner.socket" in capsys.readouterr().err


def test_the_runner_alone(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = []

    class Service:
        def __init__(self, settings: DaemonSettings, path: Path, started_by: ServiceManager) -> None:
            served.append((settings.slots, path, started_by))

        def run(self) -> Any:
            return 4

    monkeypatch.setattr(secureccd, "RunnerService", Service)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert main(["--config", str(config), "--only", "runner"]) == 4
    assert served == [(2, config, ServiceManager())]


def test_a_helper_that_does_not_end_is_said_and_keeps_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is another user's, whom the front cannot end."""

    def kill() -> None:
        raise PermissionError("another user's")

    monkeypatch.setattr(secureccd, "_END_S", 0.01)
    with subprocess.Popen(["sleep", "60"]) as helper:
        with monkeypatch.context() as patch:
            patch.setattr(helper, "kill", kill)
            secureccd.wait_for(helper)
        helper.kill()
    assert f"process {helper.pid} does not exit: sleep 60" in caplog.text


def test_the_front_is_equipped_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "policy.yaml").chmod(0o600)
    (tmp_path / "log").mkdir()
    (tmp_path / "state").mkdir()
    equipped: list[Any] = []

    class Front:
        def __init__(self, equipment: Equipment) -> None:
            equipped.append(equipment)

        async def run(self) -> Any:
            return 3

    monkeypatch.setattr(secureccd, "Front", Front)
    monkeypatch.setattr(heap, "freeze_gc", lambda: equipped.append("what there is stays"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert asyncio.run(secureccd.serve_front(settings_of(tmp_path), ServiceManager(), ours, theirs)) == 3
    said, equipment = equipped
    assert said == "what there is stays"
    assert (equipment.runner, equipment.spawner) == (ours, theirs)
    assert equipment.policy.admits("192.0.2.1")
    equipment.audit.close()
    equipment.store.close()


def test_the_log_goes_to_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(logging, "basicConfig", lambda **words: seen.append(words))
    secureccd.log_to_stderr("info", Redaction([r"TOKEN=(\w*)"]))
    [handler] = seen[0]["handlers"]
    assert (handler.stream, seen[0]["level"]) == (sys.stderr, "INFO")
    record = logging.LogRecord("securecc", logging.INFO, "", 1, "%s", ("-DTOKEN=hunter2\x1b[2J\nforged",), None)
    assert handler.format(record) == "-DTOKEN=[redacted]\\x1b[2J\\x0aforged"


def test_a_wrong_command_line_reaches_the_terminal_as_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        secureccd.main(["--config", "x", "\x1b[2J"])
    assert "\\x1b[2J" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
def test_it_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["secureccd", "--config", "/nonexistent"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("securecc.cli.secureccd", run_name="__main__")
    assert ended.value.code == 1
