"""Whom the launcher trusts to be its agent, and how it starts one."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from securecc.client.ipc.frames import Exit
from tests.client.launcher.launcher_rig import VARIANTS, Agent, Rig, build, finish, remove_builds
from tests.waiting import CEILING_S

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")

SERVE = """
listener = socket.socket(socket.AF_UNIX)
listener.bind(socket_path)
listener.listen(256)
open(os.environ["HOME"] + "/started", "a").write("x")
os.write(ready, b"1")
os.close(ready)
for _ in range({count}):
    connection = listener.accept()[0]
    connection.recv(65536)
    connection.sendall(bytes([4, 0, 0, 0, 0x88, 42, 0, 0, 0]))
    connection.close()
"""

DESCRIBE = """
import json
with open(os.environ["HOME"] + "/agent.json", "w") as out:
    json.dump({
        "arguments": sys.argv, "environment": dict(os.environ), "cwd": os.getcwd(),
        "session": os.getsid(0) not in (int(os.environ["SECURECC_SESSION"]), 0), "leader": os.getsid(0) == os.getpid(),
        "files": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                  if os.path.exists(f"/proc/self/fd/{fd}") or fd == str(ready)},
        "umask": os.umask(0), "ignored": open("/proc/self/status").read().split("SigIgn:")[1].split()[0],
    }, out)
"""


@pytest.fixture(scope="module", autouse=True)
def _builds() -> Iterator[None]:
    yield
    remove_builds()


@pytest.fixture(params=sorted(VARIANTS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    user = Rig(build(request.param), tmp_path)
    user.environment |= {"SECURECC_VERBOSE": "1", "HOME": str(tmp_path)}
    yield user
    user.close()


def test_many_launchers_start_one_agent(rig: Rig, tmp_path: Path) -> None:
    rig.agent_script(SERVE.format(count=64))
    running = [rig.start("gcc") for _ in range(64)]
    assert {finish(process).returncode for process in running} == {42}
    assert (tmp_path / "started").read_text() == "x"


def test_agent_is_cut_off_from_the_compile(rig: Rig, tmp_path: Path) -> None:
    rig.agent_script(DESCRIBE)
    secret = (tmp_path / "secret").open("w")
    rig.environment |= {"KRB5CCNAME": "FILE:/x", "LD_PRELOAD": "", "PYTHONPATH": "/evil", "LC_ALL": "C"}
    rig.environment |= {"SECURECC_SESSION": str(os.getsid(0))}
    shell = f'trap "" PIPE; exec {rig.launcher} gcc'
    with secret:
        finish(rig.start("-c", shell, command="/bin/sh", pass_fds=(secret.fileno(),)))
    seen = json.loads((tmp_path / "agent.json").read_text())
    socket_path = str(rig.socket)
    assert seen["arguments"][1:] == [
        *("-I", "-m", "securecc.client"),
        *("--socket", socket_path, "--ready-fd", "3"),
    ]
    allowed = {"PATH", "HOME", "LANG", "KRB5CCNAME", "XDG_RUNTIME_DIR", "SECURECC_VERBOSE", "SECURECC_SESSION"}
    allowed.add("SECURECC_AGENT_TIMEOUT")
    assert set(seen["environment"]) - {"LC_CTYPE"} == allowed
    assert seen["cwd"] == "/"
    assert seen["session"]
    assert not seen["leader"]  # so it can never get a controlling terminal
    assert {seen["files"].pop(fd) for fd in "012"} == {"/dev/null"}
    assert seen["files"].pop("3").startswith("pipe:")
    assert not [name for name in seen["files"].values() if "secret" in name or "pipe" in name]
    assert seen["umask"] == 0o077
    own = {signal.SIGPIPE, signal.SIGXFSZ}  # Python itself ignores these
    reserved = {32, 33}  # the C library's; what a parent did with them (GNU make ignores them) cannot be undone
    assert int(seen["ignored"], 16) & ~sum(1 << (number - 1) for number in own | reserved) == 0


def test_broken_agent_is_not_tried_again_at_once(rig: Rig, tmp_path: Path) -> None:
    rig.agent_script('open(os.environ["HOME"] + "/started", "a").write("x")')
    for _ in range(5):
        assert rig.run("gcc").stdout.startswith(b"compiled")
    assert (tmp_path / "started").read_text() == "x"
    mark = rig.socket.with_name(rig.socket.name + ".failed")
    os.utime(mark, (1, 1))
    rig.run("gcc")
    assert (tmp_path / "started").read_text() == "xx"


def test_dead_agents_socket_is_replaced(rig: Rig) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(rig.socket))
    rig.agent_script("os.unlink(socket_path)" + SERVE.format(count=1))
    assert rig.run("gcc").returncode == 42


def test_agent_that_takes_no_call_is_not_joined_by_another(rig: Rig, tmp_path: Path) -> None:
    rig.environment["SECURECC_AGENT_TIMEOUT"] = "5"
    rig.agent_script('open(os.environ["HOME"] + "/started", "a").write("x")')
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as pending:
        listener.bind(str(rig.socket))
        listener.listen(0)
        pending.connect(str(rig.socket))
        for reason in (b"the agent is silent", b"the agent failed a moment ago"):
            result = rig.run("gcc")
            assert result.stdout.startswith(b"compiled")
            assert reason in result.stderr
    assert not (tmp_path / "started").exists()


def test_missing_interpreter(rig: Rig) -> None:
    (rig.launcher.parent / "agent-python").unlink(missing_ok=True)
    result = rig.run("gcc")
    assert result.stdout.startswith(b"compiled")
    rig.environment["SECURECC_FALLBACK"] = "0"
    assert rig.run("gcc").returncode == 103


def squat_open(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def squat_link(folder: Path) -> None:
    folder.with_name("elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")


def squat_owner(folder: Path) -> None:
    folder.mkdir(0o700)
    os.chown(folder, 12345, 12345)


@pytest.mark.parametrize("squat", [squat_open, squat_link, pytest.param(squat_owner, marks=needs_root)])
def test_squatted_folder_is_not_spoken_to(rig: Rig, squat: Callable[[Path], None]) -> None:
    folder = rig.runtime / "securecc"
    name = rig.socket.name
    folder.rmdir()
    squat(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / name))
        listener.listen()
        listener.setblocking(False)
        result = rig.run("gcc")
        assert result.stdout.startswith(b"compiled")
        assert b"not ours alone" in result.stderr
        with pytest.raises(BlockingIOError):
            listener.accept()


@needs_root
def test_agent_of_another_user_is_told_nothing(rig: Rig) -> None:
    """The folder is right, but the one who listens is not us."""
    path = rig.socket
    ready, told = os.pipe()
    body = f"""
import os, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind({str(path)!r})
os.setresuid(12345, 12345, 12345)
listener.listen()
os.write({told}, b"1")
print(listener.accept()[0].recv(10))
"""
    other = subprocess.Popen(["/usr/bin/env", "python3", "-c", body], pass_fds=(told,), stdout=subprocess.PIPE)
    os.read(ready, 1)
    rig.agent_script("")
    assert rig.run("gcc").stdout.startswith(b"compiled")
    assert other.communicate(timeout=CEILING_S)[0] == b"b''\n"
    os.close(ready)
    os.close(told)


def test_other_kerberos_configuration_is_another_agents(rig: Rig) -> None:
    agent = Agent(rig)
    rig.agent_script("")
    rig.environment["KRB5_CONFIG"] = "/etc/other.conf"
    assert rig.run("gcc").stdout.startswith(b"compiled")
    del rig.environment["KRB5_CONFIG"]
    process, _ = agent.serve("gcc")
    agent.command(Exit(9))
    assert finish(process).returncode == 9
    agent.close()


@needs_root
def test_other_mount_namespace_is_another_agents(rig: Rig) -> None:
    agent = Agent(rig)
    rig.agent_script(SERVE.format(count=1))
    process = rig.start("-m", rig.launcher, "gcc", command=Path("/usr/bin/unshare"))
    assert finish(process).returncode == 42  # by an agent started there
    agent.close()
    assert len([path for path in rig.socket.parent.iterdir() if path.is_socket()]) == 2
