"""What a command costs its user: wall time, and processor time with the agent's share. Seconds throughout."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class RunFailed(Exception):
    """A measured command failed; its figures would be meaningless."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of one command, in processor time: `client_s` of the command and its children, `agent_s` of agents
    meanwhile, with their children.
    """

    wall_s: float
    client_s: float
    agent_s: float = 0.0

    @property
    def cpu_s(self) -> float:
        return self.client_s + self.agent_s


class Agents:
    """The processor time of this user's agents in this test bed."""

    def __init__(self, pids: Sequence[int] = ()) -> None:
        self.pids = list(pids)

    def look(self) -> None:
        """Finds the agents that are running now."""
        self.pids = list(_agents())

    def spent_s(self) -> float:
        return sum(processor_time(pid) for pid in self.pids)


def processor_time(pid: int) -> float:
    """Its own time to the nanosecond, by its CPU clock (clock_getcpuclockid(3)); its reaped children's to the tick."""
    own = time.clock_gettime((~pid << 3) | 2)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own + (int(fields[13]) + int(fields[14])) * _TICK_S


def run(command: list[str], environment: dict[str, str], where: Path, agents: Agents | None = None) -> Cost:
    """Runs the command. Raises RunFailed for any exit status but 0."""
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise RunFailed(f"no {command[0]} on PATH")
    said = where / ".said"
    here = os.getcwd()
    os.chdir(where)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    before = agents.spent_s() if agents else 0.0
    began = time.perf_counter()
    pid = os.posix_spawn(program, command, environment, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    after = agents.spent_s() if agents else 0.0
    os.chdir(here)
    if status:
        code = os.waitstatus_to_exitcode(status)
        raise RunFailed(f"{' '.join(command)} ended with status {code}: {said.read_text(errors='replace')[-400:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, after - before)


def middle(costs: list[Cost]) -> Cost:
    """Median wall time; mean processor time, because children's time is counted in ticks."""
    return Cost(
        statistics.median(cost.wall_s for cost in costs),
        statistics.fmean(cost.client_s for cost in costs),
        statistics.fmean(cost.agent_s for cost in costs),
    )


def resident(pid: int) -> int:
    """The resident memory of `pid` in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def settle() -> None:
    """Waits, at most 20 s, until the machine is quiet."""
    for _ in range(80):
        before = _busy_s()
        time.sleep(0.25)
        if _busy_s() - before < 0.05:
            return


def _busy_s() -> float:
    numbers = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(numbers) - numbers[3] - numbers[4]) * _TICK_S


def _agents() -> Iterator[int]:
    """Agents whose socket is in this test bed."""
    ours = f"--socket\0{os.environ['XDG_RUNTIME_DIR']}/".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if ours in (folder / "cmdline").read_bytes():
                yield int(folder.name)
