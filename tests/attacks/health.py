"""What must hold after every abuse: a legitimate compile succeeds on the server, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.farm.farmside import Farm, until

MEMORY_KIB = 20 * 1024


class Health:
    """The state of a farm's one server as it was when this was made."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        self._farm = farm
        self._folder = folder
        self._number = 0
        self.compile()
        self._descriptors = farm.server.descriptors
        self._memory = sum(farm.server.memory.values())
        self._records = 0
        self._looked: dict[str, int] = {}

    def count(self) -> None:
        """Begins to count audit records."""
        self._records = len(self._farm.audit())

    def records(self, **wanted: object) -> list[dict[str, Any]]:
        """The records since `count`, those of the health check itself and of connections apart."""
        return [
            record
            for record in self._farm.audit()[self._records :]
            if wanted.items() <= record.items() and record.get("cwd") != str(self._folder)
        ]

    def compile(self) -> None:
        """A legitimate compile, on the server."""
        self._number += 1
        source = self._folder / f"h{self._number}.c"
        source.write_text(f"int h{self._number};\n")
        done = self._farm.server.audit(kind="job-end", outcome="done", cwd=str(self._folder))
        ended = self._farm.compile(source)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        now = self._farm.server.audit(kind="job-end", outcome="done", cwd=str(self._folder))
        assert len(now) == len(done) + 1, self._farm.why()

    def check(self) -> None:
        """All of it."""
        server = self._farm.server
        assert server.process.poll() is None, server.log()
        self.compile()
        until(lambda: not server.sandboxed, what="the end of the sandboxes")
        until(lambda: not server.left, what=f"the end of {server.left}")
        until(self.descriptors_are_back, what=f"descriptors {server.descriptors - self._descriptors}")
        until(lambda: self._grown() < MEMORY_KIB, what=f"memory: {self._grown()} KiB more than at first")
        assert "Traceback" not in server.log()
        assert self._control_characters() == set()

    def _control_characters(self) -> set[str]:
        """What a terminal would obey, in what log and audit have become since the last look."""
        found = set()
        for name in ("log", "audit.jsonl"):
            with (self._farm.server.folder / name).open(errors="surrogateescape", newline="\n") as file:
                file.seek(self._looked.get(name, 0))
                found |= {repr(each) for each in set(file.read()) - {"\n"} if not each.isprintable()}
                self._looked[name] = file.tell()
        return found

    def descriptors_are_back(self) -> bool:
        """Whether the server holds no more of any kind than at first."""
        return not self._farm.server.descriptors - self._descriptors

    def _grown(self) -> int:
        """KiB; what a channel held goes back to the system when the server looks after its house, every second."""
        return sum(self._farm.server.memory.values()) - self._memory
