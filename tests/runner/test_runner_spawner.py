"""The spawner: what it starts, what it believes, and that it leaves with the front."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from securecc.model.errors import SandboxError
from securecc.runner import runner_spawner
from securecc.runner.config import RunnerConfig
from securecc.runner.runner_spawner import command, main, start
from securecc.runner_protocol.messages import WorkReady
from securecc.runner_protocol.packets import memory, order_runner, pair
from tests.waiting import CEILING_S, until

NOBODY = 64987
CONFIG = "keytab: k\npolicy: p\naudit: a\nstate: s\nscratch: c\ntoolchains: [{}]\n"


@dataclass
class House:
    """A spawner as the daemon's parent starts it."""

    folder: Path
    compilers: str = "/usr/bin/as"
    config: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        (self.folder / "config.yaml").write_text(CONFIG.format(self.compilers))
        self.end, theirs = pair()
        become: dict[str, Any] = {"uid": NOBODY, "gid": NOBODY} if os.getuid() == 0 else {}
        told = memory(msgspec.json.encode(RunnerConfig(compilers=("/usr/bin/true",), **become)))
        more = ("--config", str(self.folder / "config.yaml"))
        self.process = start(command("runner_spawner", theirs.fileno(), told, *more), (theirs.fileno(), told))
        os.close(told)
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.end.close()
        assert self.process.wait(CEILING_S) == 0


def heard(end: socket.socket, seconds: float = 20) -> WorkReady | None:
    """What the new runner says first; None if it ends without a word."""
    end.settimeout(seconds)
    packet = end.recv(1 << 16)
    return msgspec.msgpack.decode(packet[1:], type=WorkReady) if packet else None


def ready_of(end: socket.socket) -> WorkReady:
    """The same of a runner that stays."""
    said = heard(end)
    assert said is not None
    return said


def test_a_runner_has_what_the_configuration_says_now(reachable: Path) -> None:
    with House(reachable) as house:
        first = order_runner(house.end, ())
        [offer] = ready_of(first).toolchains
        assert offer.name == "as"
        same = order_runner(house.end, (offer.digest,))
        assert heard(same) == WorkReady((), ())
        (reachable / "config.yaml").write_text(CONFIG.format("/usr/bin/as, /usr/bin/true"))
        second = order_runner(house.end, (offer.digest,))
        assert [known.name for known in ready_of(second).toolchains] == ["as", "true"]
        for end in (first, same, second):
            end.close()


def test_shared_trees_are_what_the_configuration_says_now_and_as_they_are_now(reachable: Path) -> None:
    with House(reachable) as house:
        site = reachable / "site"
        site.mkdir()
        (reachable / "config.yaml").write_text(CONFIG.format("/usr/bin/as") + f"layers: [{site}]\n")
        first = order_runner(house.end, ())
        ready = ready_of(first)
        assert [offered.path for offered in ready.trees] == [os.fsencode(site)]
        have = [offer.digest for offer in ready.toolchains]
        same = order_runner(house.end, have, ready.trees)
        assert heard(same) == WorkReady((), ())
        (site / "new.h").write_text("")
        other = order_runner(house.end, have, ready.trees)
        [offered] = ready_of(other).trees
        assert offered.path == os.fsencode(site)
        assert offered != ready.trees[0]
        (reachable / "config.yaml").write_text(CONFIG.format("/usr/bin/as") + "layers: []\n")
        none = order_runner(house.end, have, ready.trees)
        assert [len(found) for found in (ready_of(none).toolchains, ready.trees)] == [1, 1]
        for end in (first, same, other, none):
            end.close()


def test_an_unreadable_configuration_leaves_the_compilers_as_they_were(reachable: Path) -> None:
    with House(reachable, "no path") as house, order_runner(house.end, ()) as end:
        assert [offer.name for offer in ready_of(end).toolchains] == ["true"]


def test_garbage_is_survived_and_a_runner_that_dies_is_buried(reachable: Path) -> None:
    with House(reachable, "/nonexistent/gcc") as house:
        house.end.send(b"garbage")
        house.end.send(msgspec.msgpack.encode(["runner", []]))
        for _ in range(2):
            with order_runner(house.end, ()) as end:
                assert heard(end) is None
        until(lambda: children(house.process.pid) == [])


def children(pid: int) -> list[str]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()


def test_runners_go_when_the_front_does(reachable: Path) -> None:
    with House(reachable) as house:
        end = order_runner(house.end, ())
        assert heard(end)
        [runner] = children(house.process.pid)
        end.close()
    assert not os.path.exists(f"/proc/{runner}")


LEAVING = """
import os, subprocess
from securecc.runner.runner_spawner import end_children
from securecc.sandbox import namespaces
namespaces.harden()
namespaces.become_subreaper()
script = "trap '' TERM HUP; setsid sleep 600 <&- >&- & echo $!; sleep 600"
left = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
pid = int(left.stdout.readline())
end_children()
print([here for here in (left.pid, pid) if os.path.exists(f"/proc/{here}")])
"""


def test_what_a_runner_leaves_behind_ends_as_well() -> None:
    """A process that went its own way is nobody's when its parent is killed, and then ours."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=CEILING_S, check=True
    )
    assert done.stdout == "[]\n"


def test_nobody_is_there() -> None:
    ours, theirs = pair()
    theirs.close()
    with ours, pytest.raises(SandboxError, match="restart the daemon"):
        order_runner(ours, ())


def test_a_configuration_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--fd", "0", "--config-fd", str(memory(b"{}")), "--config", "/x"]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_the_command_line() -> None:
    said = command("runner", 3, 4, "--x")
    assert said == [sys.executable, "-I", "-m", "securecc.runner.runner", "--fd", "3", "--config-fd", "4", "--x"]
    process = start([sys.executable, "-c", "import os; print(sorted(os.environ))"], ())
    assert process.wait() == 0
    assert set(runner_spawner.ENVIRONMENT) == {"PATH", "LANG"}
    assert isinstance(process, subprocess.Popen)
    assert socket.AF_UNIX


AT_ONCE = """
import os, sys, time
from pathlib import Path
from securecc.runner import runner_spawner
from securecc.runner.config import RunnerConfig
from securecc.runner_protocol.packets import order_runner, pair

real = os.fork

def fork():
    if not (child := real()):
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return child

def sleep(_):
    raise AssertionError("the spawner waits for a runner that has ended")

runner_spawner.os.fork, runner_spawner.time.sleep = fork, sleep
front, end = pair()
with order_runner(front, ()):
    front.close()
    runner_spawner.RunnerSpawner(RunnerConfig(compilers=()), Path(sys.argv[1])).serve(end)
"""


def test_a_runner_that_ends_at_once_is_known_to_have_ended(tmp_path: Path) -> None:
    """Or the spawner would wait for it at its end, and then kill whoever has its number by now."""
    line = [sys.executable, "-c", AT_ONCE, str(tmp_path / "config.yaml")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=CEILING_S, check=False)
    assert done.returncode == 0, done.stderr
