import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from securecc.client.ipc import agent_socket
from securecc.client.ipc.agent_socket import Rights
from securecc.model.errors import AgentError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/launcher.json").read_text())


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="run-"))  # mode 0700, and short
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.delenv("KRB5_CONFIG", raising=False)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("vector", VECTORS["names"], ids=lambda vector: vector["name"])
def test_name_vectors(vector: dict[str, Any]) -> None:
    rights = Rights(vector["capabilities"], vector["group"], tuple(vector["groups"]))
    place = (vector["mounts"], vector["device"], vector["root"])
    assert agent_socket.socket_name(*place, rights, vector["kerberos"].encode()) == vector["name"]


@pytest.mark.parametrize("changed", [(), ("--clear-groups",), ("--regid=1234",), ("--bounding-set=-dac_override",)])
def test_who_may_read_other_files_has_another_agent(runtime: Path, changed: tuple[str, ...]) -> None:
    """The launcher finds the same name: tests/client/launcher."""
    code = "from securecc.client.ipc import agent_socket; print(agent_socket.socket_path().name)"
    names = []
    for options in (("--groups=4,27",), ("--groups=4,27", *changed) if "--clear-groups" not in changed else changed):
        command = ["setpriv", *options, sys.executable, "-c", code]
        names.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (names[0] == names[1]) is (not changed)


def test_folder_is_made_below_the_runtime_directory(runtime: Path) -> None:
    path = agent_socket.socket_path()
    assert path.parent == runtime / "securecc"
    assert path.parent.stat().st_mode & 0o7777 == 0o700
    assert agent_socket.socket_path() == path
    assert agent_socket.failure_mark(path).name == path.name + ".failed"


@pytest.mark.parametrize("case", ["open", "relative", "absent", "link", "long", "unset"])
def test_unfit_runtime_directory_is_not_used(runtime: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    if case == "open":
        runtime.chmod(0o755)
    elif case == "unset":
        monkeypatch.delenv("XDG_RUNTIME_DIR")
    else:
        link = runtime / "link"
        link.symlink_to(runtime)
        long = runtime / ("x" * agent_socket.FOLDER_PATH)
        long.mkdir(mode=0o700)
        values = {"relative": "run", "absent": str(runtime / "absent"), "link": str(link), "long": str(long)}
        monkeypatch.setenv("XDG_RUNTIME_DIR", values[case])
    assert agent_socket.folder() == Path(f"/tmp/securecc-{os.getuid()}")


def squat_open(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def squat_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")


def squat_file(path: Path) -> None:
    path.touch(0o700)


def squat_owner(path: Path) -> None:
    path.mkdir(0o700)
    os.chown(path, 12345, 12345)


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.mark.parametrize("squat", [squat_open, squat_link, squat_file, pytest.param(squat_owner, marks=needs_root)])
def test_squatted_folder_is_refused(runtime: Path, squat: Callable[[Path], None]) -> None:
    squat(runtime / "securecc")
    with pytest.raises(AgentError, match="not private"):
        agent_socket.socket_path()


def test_folder_that_cannot_be_made(runtime: Path) -> None:
    with pytest.raises(AgentError, match="cannot create"):
        agent_socket.check_folder(runtime / "absent" / "securecc")


def test_kerberos_configuration_is_part_of_the_world(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = agent_socket.socket_path()
    monkeypatch.setenv("KRB5_CONFIG", "/etc/other.conf")
    assert agent_socket.socket_path() != path


@needs_root
def test_mount_namespace_is_part_of_the_world(runtime: Path) -> None:
    show = [sys.executable, "-c", "from securecc.client.ipc import agent_socket as place; print(place.socket_path())"]
    made = subprocess.run(
        ["unshare", "-m", *show], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    other = Path(made.stdout.strip())
    assert other.parent == agent_socket.socket_path().parent
    assert other != agent_socket.socket_path()


def test_peer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert agent_socket.peer(ours) == (os.getpid(), os.getuid())
    with pytest.raises(AgentError):
        agent_socket.peer(ours)


def test_same_world() -> None:
    assert agent_socket.same_world(os.getpid())
    assert agent_socket.same_world(os.getppid())
    assert not agent_socket.same_world(2**22 + 1)


@needs_root
def test_process_in_another_mount_namespace_is_of_another_world() -> None:
    with subprocess.Popen(
        ["unshare", "-m", "sh", "-c", "echo; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert not agent_socket.same_world(other.pid)
        other.communicate(b"\n")
