"""One compile server for tests, which may be killed, broken and started again; and how to watch processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.waiting import CEILING_S, until

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "krb5-testenv"))  # for programs that are not started by pytest

import servers as testenv_servers  # noqa: E402  (beside the test bed's door, not in the package)

BIN = Path(sys.prefix) / "bin"


def alive(pid: int) -> bool:
    """Whether that process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Every process of the machine with its arguments."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                yield int(folder.name), (folder / "cmdline").read_text(errors="replace").split("\0")[:-1]


def below(pid: int) -> list[int]:
    """All processes below `pid`, parents first."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *below(int(child))]
    return found


@dataclass(slots=True)
class Server:
    """One compile server of the farm, which may be killed and started again."""

    made: testenv_servers.Server
    krb5_config: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.process = self.made.process

    @property
    def folder(self) -> Path:
        """Where config.yaml, policy.yaml, audit.jsonl, keytab, log, state and scratch are."""
        return self.made.folder

    @property
    def host(self) -> str:
        """As SECURECC_HOSTS names it."""
        return self.made.host

    @property
    def port(self) -> int:
        return int(self.host.partition("/")[0].rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The front's."""
        return self.process.pid

    @property
    def runner(self) -> int:
        """The runner's process id: that of the daemon's start, or of a later one, which is the spawner's child."""
        everybody = below(self.pid)
        first = [pid for pid in everybody if "securecc.runner.runner" in _arguments(pid)]
        spawner = [pid for pid in everybody if "securecc.runner.runner_spawner" in _arguments(pid)]
        return (first or [child for pid in spawner for child in below(pid)])[0]

    @property
    def sandboxed(self) -> list[int]:
        """What runs below the runner now."""
        return below(self.runner)

    @property
    def left(self) -> list[str]:
        """Files that are arriving, job trees that stand."""
        arriving = [str(path) for path in (self.folder / "state/store").rglob(".arriving-*")]
        return arriving + os.listdir(f"/proc/{self.runner}/root/jobs")

    @property
    def descriptors(self) -> Counter[str]:
        """What front and runner hold open, by its kind and whose it is. The store keeps blobs open, which is its
        business; so is one copy of each keytab that ever was.
        """
        found: Counter[str] = Counter()
        for name, pid in (("front", self.pid), ("runner", self.runner)):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = os.readlink(entry)
                    if "/state/store/" not in target and "/memfd:keytab" not in target:
                        found[f"{name}: {target.partition(':[')[0]}"] += 1
        return found

    @property
    def memory(self) -> dict[str, int]:
        """Resident KiB of front and runner."""
        return {"front": _resident(self.pid), "runner": _resident(self.runner)}

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def audit(self, **wanted: object) -> list[dict[str, Any]]:
        """The records whose fields are as `wanted`."""
        path = self.folder / "audit.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        records = [json.loads(line) for line in lines]
        return [record for record in records if wanted.items() <= record.items()]

    def configure(self, **keys: str) -> None:
        """Sets keys of config.yaml, for the next start."""
        path = self.folder / "config.yaml"
        kept = [line for line in path.read_text().splitlines() if line.partition(":")[0] not in keys]
        path.write_text("\n".join([*kept, *(f"{key}: {value}" for key, value in keys.items())]) + "\n")

    def spawn(self, *prefix: str) -> subprocess.Popen[bytes]:
        """Starts the daemon, below the command `prefix`; does not wait for it."""
        self.process = testenv_servers._spawn(self.folder, [*prefix, str(BIN / "secureccd")], self.krb5_config)
        return self.process

    def start(self, *prefix: str) -> None:
        """As `spawn`; returns when it serves."""
        self.spawn(*prefix)
        testenv_servers.wait_ready(replace(self.made, process=self.process))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends the daemon by a signal and waits for that; its exit status."""
        if self.process.poll() is None:
            runner = self.runner
            self.process.send_signal(number)
            self.process.wait(CEILING_S)
            until(lambda: not alive(runner), what="the runner's end")
        return self.process.returncode

    def restart(self) -> None:
        """Ends it and starts it anew, at the same port."""
        self.stop()
        self.start()

    def put_policy(self, text: str) -> None:
        """Another policy, in force when the daemon has said so."""
        (self.folder / "policy.yaml").write_text(text)
        before = len(self.audit(kind="daemon"))
        self.process.send_signal(signal.SIGHUP)
        until(lambda: len(self.audit(kind="daemon")) > before, what="word of the reload")


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []
