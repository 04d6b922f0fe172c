"""What a server holds, and what its audit says: before a soak, and after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.attacks.health import MEMORY_KIB
from tests.farm.farmside import BIN, Farm, below, sources

_WARM = 30  # compiles after which caches are as full as they will be


class Accounts:
    """Descriptors and memory of front and runner, against what they were when both were new and warm."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._descriptors: Counter[str] = Counter()
        self._memory: dict[str, int] = {}
        self._processes = 0

    def warm(self, folder: Path) -> None:
        """Compiles until all that is kept is kept, then counts."""
        for source in sources(folder, _WARM, "int warm{n};\n"):
            self._farm.compile(source)
        server = self._farm.server
        self._descriptors, self._memory = server.descriptors, server.memory
        self._processes = len(below(server.pid))

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
        if files := server.left:
            yield f"job trees, or files that never arrived: {files}"
        descriptors, memory = server.descriptors, server.memory
        print(f"KiB {self._memory} -> {memory}; descriptors {self._descriptors.total()} -> {descriptors.total()}")
        if more := descriptors - self._descriptors:
            yield f"descriptors: {dict(more)}"
        if (grown := sum(memory.values()) - sum(self._memory.values())) > MEMORY_KIB:
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
        begun: dict[tuple[object, ...], bool] = {}
        ended = lost = 0
        for record in self._farm.audit():
            kind = record["kind"]
            if kind == "daemon" and record.get("event") == "stop":
                for attempt in (attempt for attempt, is_open in begun.items() if is_open):
                    yield f"{attempt} had not ended when the daemon said that it stops"
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
