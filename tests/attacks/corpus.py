"""The corpus of attacks, corpus/*.yaml, as values. What the keys mean stands in corpus/README.md."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "corpus"
_KEYS = {
    "driver", "arguments", "options", "files", "tree", "cwd", "environment",
    "may", "made", "never", "sorted", "wrapper",
}  # fmt: skip
_TREE = {"file", "link", "folder", "layer", "text", "to", "of", "blob", "size", "mode", "mtime_ns", "inode", "role"}
NEVER = {"a job", "owned"}


@dataclass(frozen=True, slots=True)
class Case:
    """One compile that somebody should not get, or that only sounds as if. Texts stand as in the file."""

    topic: str
    name: str
    driver: str
    arguments: tuple[str, ...]
    files: Mapping[str, str]
    tree: tuple[Mapping[str, Any], ...]
    cwd: str
    environment: Mapping[str, str]
    may: tuple[str, ...]
    made: tuple[str, ...]
    never: tuple[str, ...]
    wrapper: tuple[str, ...]
    in_order: bool

    @property
    def id(self) -> str:
        """As pytest shows it."""
        return f"{self.topic}: {self.name}".encode("ascii", "backslashreplace").decode()


def cases(topic: str) -> Iterator[Case]:
    """All cases of one file. Raises ValueError for a key or a word that nobody knows: a slip is no case."""
    table = yaml.safe_load((FOLDER / f"{topic}.yaml").read_text())
    common = table["each"]
    for name, own in table["cases"].items():
        row = {**common, **own}
        if unknown := row.keys() - _KEYS:
            raise ValueError(f"{topic}, {name}: unknown {sorted(unknown)}")
        yield _case(topic, str(name), row, {**common.get("files", {}), **own.get("files", {})})


def _case(topic: str, name: str, row: Mapping[str, Any], files: Mapping[str, object]) -> Case:
    for entry in row.get("tree", ()):
        if unknown := entry.keys() - _TREE:
            raise ValueError(f"{topic}, {name}: unknown {sorted(unknown)}")
    never = tuple(row["never"])
    if wrong := [word for word in never if word not in NEVER and not word.startswith("shown: ")]:
        raise ValueError(f"{topic}, {name}: unknown {wrong}")
    return Case(
        topic,
        name,
        row.get("driver", "/usr/bin/gcc"),
        (*_words(row.get("arguments", "")), *_words(row.get("options", ""))),
        {path: _text(text) for path, text in files.items()},
        tuple({**entry, "text": _text(entry.get("text", ""))} for entry in row.get("tree", ())),
        row.get("cwd", "PLACE"),
        row.get("environment", {}),
        tuple(row["may"]),
        tuple(row.get("made", ("PLACE/a.o",))),
        never,
        tuple(row.get("wrapper") or ()),
        row.get("sorted", True),
    )


def _words(said: str | list[str]) -> list[str]:
    return shlex.split(said) if isinstance(said, str) else said


def _text(said: object) -> str:
    """A text, or one that is made: {before: , repeat: , times: , after: }."""
    if isinstance(said, Mapping):
        return str(said.get("before", "")) + str(said["repeat"] * said["times"]) + str(said.get("after", ""))
    return str(said)
