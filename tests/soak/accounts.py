"""What a server holds, and what its audit says: before a soak, and after it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from farmside import BIN, Farm, below, sources

MEMORY_KIB = 20 * 1024
_WARM = 30  # compiles after which caches are as full as they will be


class Accounts:
    """Descriptors and memory of front and runner, against what they were when both were new and warm."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._before: tuple[Counter[str], int, int] | None = None
        self._processes = 0

    def warm(self, folder: Path) -> None:
        """Compiles until all that is kept is kept, then counts."""
        for source in sources(folder, _WARM, "int warm{n};\n"):
            self._farm.compile(source)
        self._before = self._held()
        self._processes = len(below(self._farm.server.pid))

    def _held(self) -> tuple[Counter[str], int, int]:
        server = self._farm.server
        front, runner = server.pid, server.runner
        return _descriptors(front, "front") + _descriptors(runner, "runner"), _memory(front), _memory(runner)

    def settle(self, folder: Path) -> list[str]:
        """All that is wrong, in words."""
        return [*self._left(folder), *self._chain(), *self._attempts()]

    def _left(self, folder: Path) -> Iterator[str]:
        server = self._farm.server
        if server.process.poll() is not None:
            yield f"the daemon has ended with {server.process.returncode}"
            return
        (source,) = sources(folder, 1, "int at_the_end;\n")
        done = self._farm.compile(source)
        if done.returncode or done.stderr or not self._farm.audit(kind="job-end", outcome="done", cwd=str(folder)):
            yield f"a legitimate compile: {done.returncode} {done.stderr}"
        if left := server.sandboxed:
            yield f"orphans below the runner: {left}"
        if (now := len(below(server.pid))) != self._processes:
            yield f"{now} processes below the front, {self._processes} at first"
        if left := os.listdir(f"/proc/{server.runner}/root/jobs"):
            yield f"job trees: {left}"
        if left := [path.name for path in (server.folder / "state/store").rglob(".arriving-*")]:
            yield f"files that never arrived: {left}"
        descriptors, front, runner = self._held()
        before, front_before, runner_before = self._before
        print(f"front {front_before} -> {front} KiB, runner {runner_before} -> {runner} KiB; "
              f"descriptors {before.total()} -> {descriptors.total()}")  # fmt: skip
        if more := descriptors - before:
            yield f"descriptors: {dict(more)}"
        if (grown := front + runner - front_before - runner_before) > MEMORY_KIB:
            yield f"{grown} KiB more than at first"
        if "Traceback" in server.log():
            yield f"a traceback in the log: {server.log()[server.log().index('Traceback') :][:1500]}"

    def _chain(self) -> Iterator[str]:
        folder = self._farm.server.folder
        logs = sorted(str(path) for path in folder.glob("audit.jsonl*") if path.suffix != ".head")
        done = self._farm.run(BIN / "securecctl", "audit", "verify", *logs, cwd=folder)
        print(f"audit: {done.stdout.strip().splitlines()[0] if done.stdout else done.stderr}")
        if done.returncode:
            yield f"audit verify: {done.stdout} {done.stderr}"

    def _attempts(self) -> Iterator[str]:
        """Each attempt begins once and ends once; a front that was killed could not write of what it held then."""
        begun: dict[tuple, bool] = {}
        ended = lost = 0
        for record in self._farm.audit():
            kind = record["kind"]
            if kind == "daemon" and record.get("event") == "start":
                lost += sum(begun.values())
                begun = dict.fromkeys(begun, False)
            if kind not in {"job-start", "job-end"}:
                continue
            attempt = (record["reference"], record["job"], record["attempt"])
            if kind == "job-start":
                if attempt in begun:
                    yield f"{attempt} begins twice"
                begun[attempt] = True
            elif not begun.get(attempt):
                yield f"{attempt} ends without having begun, or twice"
            else:
                begun[attempt], ended = False, ended + 1
        print(f"attempts: {len(begun)} begun, {ended} ended, {lost} open when a front was killed")
        for attempt in (attempt for attempt, is_open in begun.items() if is_open):
            yield f"{attempt} never ends"


def _memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _descriptors(pid: int, name: str) -> Counter[str]:
    """By kind. The store keeps blobs open, which is its business; logs are opened anew."""
    found: Counter[str] = Counter()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if "/state/store/" not in target and "/memfd:keytab" not in target:
            found[f"{name}: {target.partition(':[')[0]}"] += 1
    return found
