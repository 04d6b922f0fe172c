"""The options that a family of compilers knows, as tables/gcc.tsv and tables/clang.tsv list them.

The tables are made by tools/options from the compilers' own lists of options and from tools/options.judged.
"""

import pkgutil
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

Family = Literal["gcc", "clang"]
Form = Literal["flag", "joined", "separate", "either", "comma"]

_WORD = re.compile(rb"[A-Za-z0-9_.:+,!=%-]+")
_NUMBER = re.compile(rb"[0-9]{1,18}|0[xX][0-9A-Fa-f]{1,16}")
_SIZE = re.compile(rb"[0-9]{1,18}(?:[kKMGTPE]i?)?B?")
_ANYTHING = re.compile(rb".*", re.DOTALL)
_SHAPES = {"word": _WORD, "number": _NUMBER, "size": _SIZE, "text": _ANYTHING, "path": _ANYTHING}
_OPEN_ENDED = (b"=", b"-", b",")  # joined names that need a value


@dataclass(frozen=True, slots=True)
class Row:
    """One option by its `name`, dashes included.

    Attributes:
        form: Where its value is: none, joined, the next argument, either of these, or a list after a comma.
        value: What its value must be: ``-`` none, ``number``, ``size``, ``word``, ``text``, ``path``, or choices
            separated by ``|``.
        needed: The program that reads it.
        meaning: One of `securecc.compiler.command_line.options.Meaning`, or ``!`` and the reason why a compile with it
            stays local.
    """

    name: bytes
    form: Form
    value: str
    needed: str
    meaning: str

    def takes(self, value: bytes) -> bool:
        """Whether this option accepts `value`."""
        shape = _SHAPES.get(self.value)
        if shape is not None:
            return shape.fullmatch(value) is not None
        return value.decode("latin-1") in self.value.split("|")


@dataclass(frozen=True, slots=True)
class Table:
    """All options of one family. `exact` are those without a joined value; `joined` those with one whose name ends in
    ``=``; `prefixes` other names to which a value is joined, longest first; `starts` are the first two bytes of
    `prefixes`.
    """

    exact: dict[bytes, Row]
    joined: dict[bytes, Row]
    prefixes: tuple[Row, ...]
    starts: frozenset[bytes]

    def find(self, argument: bytes) -> tuple[Row, bytes] | None:
        """The option that `argument` spells, and the value joined to it; None for an unknown one."""
        row = self.exact.get(argument)
        if row is not None:
            return row, b""
        name, equals, value = argument.partition(b"=")
        if name == b"--param":
            setting, equals, value = value.partition(b"=")
            name += b"=" + setting
        row = self.joined.get(name + equals) if equals else None
        if row is not None:
            return row, value
        if argument[:2] not in self.starts:
            return None
        return next(((row, argument[len(row.name) :]) for row in self.prefixes if argument.startswith(row.name)), None)


@cache
def table(family: Family) -> Table:
    """The table of a family; read only once."""
    content = pkgutil.get_data(__package__, f"tables/{family}.tsv") or b""
    return _made(_row(line) for line in content.decode("ascii").splitlines() if not line.startswith("# "))


def _row(line: str) -> Row:
    """All columns but the first hold a few different words, which are interned."""
    name, form, value, needed, meaning = map(sys.intern, line.split("\t"))
    return Row(name.encode("ascii"), _FORMS[form], value, needed, meaning)


_FORMS: dict[str, Form] = {form: form for form in get_args(Form)}


def _made(rows: Iterable[Row]) -> Table:
    every = list(rows)
    alone: Callable[[Row], bool] = lambda row: row.form != "comma" and not row.name.endswith(_OPEN_ENDED)  # noqa: E731
    exact = {row.name: row for row in every if row.form in {"flag", "separate", "either"} or alone(row)}
    joined = {row.name: row for row in every if row.form in {"joined", "either"} and row.name.endswith(b"=")}
    prefixes = [row for row in every if row.form in {"joined", "either", "comma"} and row.name not in joined]
    prefixes.sort(key=lambda row: len(row.name), reverse=True)
    return Table(exact, joined, tuple(prefixes), frozenset(row.name[:2] for row in prefixes))
