"""The table of command lines, conformance.yaml, as values: a line for each compiler that it is for."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_BOTH = {"CC": ("gcc", "clang"), "CXX": ("g++", "clang++")}
_KEYS = {
    "run", "files", "env", "cwd", "before", "stdin", "terminal", "jobs", "by-name", "local", "fails", "either", "todo",
    "together",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One command line for one compiler. What the keys mean stands at the head of the table."""

    topic: str
    number: int
    run: tuple[str, ...]
    files: Mapping[str, bytes]
    env: Mapping[str, str | None] = field(default_factory=dict)
    cwd: str = ""
    before: tuple[tuple[str, ...], ...] = ()
    stdin: str | None = None
    terminal: Mapping[str, Any] | None = None
    jobs: int = 1
    by_name: tuple[str, ...] = ()
    local: str = ""
    fails: str | None = None
    either: bool = False
    todo: str = ""
    together: bool = False

    @property
    def family(self) -> str:
        return "clang" if "clang" in self.run[0] else "gcc"

    @property
    def name(self) -> str:
        """As pytest shows it."""
        extra = [f"{name}={value}" for name, value in self.env.items()]
        if self.terminal is not None:
            extra.append(f"on a terminal {dict(self.terminal)}")
        if self.together:
            extra.append("2>&1")
        spelled = " ".join([shlex.join(self.run), *extra])
        return f"{self.topic}-{self.number}: {spelled}".encode("ascii", "backslashreplace").decode()


def lines(path: Path) -> Iterator[Line]:
    """Every line of the table, once for each compiler that it names."""
    table = yaml.safe_load(path.read_text())
    for topic, rows in table["lines"].items():
        for number, row in enumerate(rows):
            yield from _of_row(topic, number, row, table["files"])


def _of_row(topic: str, number: int, row: Mapping[str, Any], common: Mapping[str, Any]) -> Iterator[Line]:
    if unknown := row.keys() - _KEYS:
        raise ValueError(f"{topic}, {row['run']}: unknown {sorted(unknown)}")
    placeholder = row["run"].split(maxsplit=1)[0]
    for index, compiler in enumerate(_BOTH.get(placeholder, (placeholder,))):
        of = "clang" if "clang" in compiler else "gcc"
        yield Line(
            topic,
            number,
            _words(row["run"], index),
            {name: _bytes(text) for name, text in {**common, **row.get("files", {})}.items()},
            row.get("env", {}),
            row.get("cwd", ""),
            tuple(_words(command, index) for command in _for(row.get("before", []), of, [])),
            row.get("stdin"),
            row.get("terminal"),
            row.get("jobs", 1),
            tuple(_for(row.get("by-name", []), of, [])),
            _for(row.get("local", ""), of, ""),
            _fails(_for(row.get("fails"), of, None)),
            row.get("either", False),
            _for(row.get("todo", ""), of, ""),
            row.get("together", False),
        )


def _for(value: object, family: str, nothing: object) -> Any:
    """A value that may differ between the families."""
    return value.get(family, nothing) if isinstance(value, dict) else value


def _fails(value: str | bool | None) -> str | None:
    return None if value is False else "" if value is True else value


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _words(command: str, index: int) -> tuple[str, ...]:
    return tuple(_BOTH[word][index] if word in _BOTH else word for word in shlex.split(command))
