"""One line of the table, run by the compiler alone and through securecc at the same place."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from tests.conformance.table import Line
from tests.farm.farmside import Farm
from tests.farm.twins import OLD_NS, Ran, Terminal, Twins, execute, look, put, through
from tests.waiting import CEILING_S

_SHOWN = 2000  # bytes of output in the message of a failure


class Runs:
    """Runs lines in `folder`/w, which is made anew for each run."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        self._twins = Twins(farm, folder / "w")
        self._model = folder / "model"
        self._audit = farm.server.folder / "audit.jsonl"
        self._read = self._audit.stat().st_size if self._audit.exists() else 0

    def prepare(self, line: Line) -> None:
        """Makes the files of the line once, those that its `before` commands leave included."""
        place = self._place()
        place.mkdir()
        put(place, line.files)
        for command in line.before:
            done = execute(self._here(command), place / line.cwd, self._env(line.env))
            assert done.status == 0, (command, done.err)
        for path in place.rglob("*"):
            os.utime(path, ns=(OLD_NS, OLD_NS), follow_symlinks=False)
        place.rename(self._model)

    def alone(self, line: Line) -> Ran:
        """As the compiler alone does it."""
        return self._run(line, (), {})

    def through(self, line: Line) -> Ran:
        """As securecc does it, which says where."""
        ran = self._run(line, ("securecc",), {"SECURECC_VERBOSE": "1"})
        return replace(through(ran), files=ran.files)

    def jobs(self) -> int:
        """How many compiles the server has begun since this was asked."""
        with self._audit.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        return new.count(b'"kind":"job-start"')

    def _run(self, line: Line, launcher: tuple[str, ...], env: dict[str, str]) -> Ran:
        place = self._place()
        shutil.copytree(self._model, place, symlinks=True)
        command = (*launcher, *self._here(line.run))
        ran = _execute(line, command, place / line.cwd, self._env({**line.env, **env}))
        return replace(ran, files=look(place))

    def _place(self) -> Path:
        shutil.rmtree(self._twins.folder, ignore_errors=True)
        return self._twins.folder

    def _here(self, command: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.replace("PLACE", str(self._twins.folder)) for word in command)

    def _env(self, extra: Mapping[str, str | None]) -> dict[str, str]:
        env = self._twins.env(extra)
        return {name: value.replace("PLACE", str(self._twins.folder)) for name, value in env.items()}


def _execute(line: Line, command: tuple[str, ...], cwd: Path, env: dict[str, str]) -> Ran:
    if line.together:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=CEILING_S, check=False
        )
        return Ran(done.returncode, b"", done.stdout)
    if line.stdin is None:
        return execute(command, cwd, env, _terminal(line))
    done = subprocess.run(
        command, cwd=cwd, env=env, input=line.stdin.encode(), capture_output=True, timeout=CEILING_S, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def _terminal(line: Line) -> Terminal | None:
    if line.terminal is None:
        return None
    descriptors = frozenset(line.terminal.get("descriptors", (0, 1, 2)))
    return Terminal(descriptors, line.terminal.get("columns", 80))


def differences(alone: Ran, other: Ran, by_name: tuple[str, ...] = ()) -> list[str]:
    """All that a user could tell the two apart by, in words. Of files that match `by_name`, only names and modes."""
    found = []
    for what in ("status", "out", "err"):
        one, two = getattr(alone, what), getattr(other, what)
        if one != two:
            found.append(f"{what}: {_short(one)} alone, {_short(two)} through securecc")
    for path in sorted(alone.files.keys() | other.files.keys()):
        one, two = alone.files.get(path), other.files.get(path)
        if one and two and any(fnmatchcase(os.fsdecode(path), glob) for glob in by_name):
            one, two = one[:-1], two[:-1]
        if one != two:
            found.append(f"{path!r}: {_told(one)} alone, {_told(two)} through securecc{_where(one, two)}")
    return found


def _short(value: object) -> str:
    return repr(value)[:_SHOWN]


def _told(seen: tuple[object, ...] | None) -> str:
    if seen is None:
        return "nothing"
    return " ".join(f"{len(part)} bytes" if isinstance(part, bytes) else str(part) for part in seen)


def _where(one: tuple[object, ...] | None, two: tuple[object, ...] | None) -> str:
    """Around the first byte that differs, where both are files."""
    if not (one and two and isinstance(one[-1], bytes) and isinstance(two[-1], bytes)):
        return ""
    pairs = enumerate(zip(one[-1], two[-1], strict=False))
    at = next((index for index, (a, b) in pairs if a != b), min(len(one[-1]), len(two[-1])))
    return f", from byte {at}: {one[-1][at - 20 : at + 40]!r}, {two[-1][at - 20 : at + 40]!r}"
