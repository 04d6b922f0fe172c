"""Resident memory: front and runner idle, before and after work; the agent after 200 files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import farm
import peers
import sources
from measure import Agents, resident, run, settle
from verdict import Target, judge, table

_MIB = 1024 * 1024
_FILES = 200


def _now(pids: dict[str, int]) -> dict[str, float]:
    settle()
    return {name: resident(pid) / _MIB for name, pid in pids.items()}


def main() -> None:
    pids = farm.processes()
    idle = _now(pids)
    with tempfile.TemporaryDirectory(prefix="securecc-bench-") as folder:
        where = Path(folder)
        files = sources.small_c(where / "files", _FILES)
        (where / "objects").mkdir()
        rules = sources.makefile(files, where)
        command = ["make", "-s", "-f", str(rules), f"-j{os.cpu_count()}", f"O={where}/objects", "CC=securecc gcc"]
        run(command, peers.ours().environment, files.where)
        agents = Agents()
        agents.look()
        after = _now({**pids, "agent": agents.pids[0]})
    rows = [(name, f"{idle[name]:.1f}" if name in idle else "-", f"{mib:.1f}") for name, mib in after.items()]
    table("resident MiB", ("", "idle", f"idle after {_FILES} files"), rows)
    judge(
        "memory",
        [
            Target("front, idle", idle["front"], 60, " MiB"),
            Target("runner, idle", idle["runner"], 60, " MiB"),
            Target(f"agent, after {_FILES} files", after["agent"], 50, " MiB"),
        ],
    )


if __name__ == "__main__":
    main()
