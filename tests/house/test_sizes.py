"""Smallness of what test_floors.py does not see: the programs in C, and the names of all files."""

from itertools import pairwise
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PROGRAMS = sorted((TOP / "securecc").rglob("*.[ch]"))
LONGEST_FILE = 350
LONGEST_FUNCTION = 45
NAMES_THAT_SAY_NOTHING = {"utils", "util", "manager", "helpers", "helper", "misc", "common"}


def functions(lines: list[str]) -> list[tuple[str, int]]:
    """(first line, number of lines) of each C function, braces in the first column as the house writes them."""
    starts = [number for number, (_, line) in enumerate(pairwise(lines)) if line == "{"]
    return [(lines[start], lines.index("}", start) - start + 1) for start in starts]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_programs_in_c_stay_small(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= LONGEST_FILE
    assert max(map(len, lines)) <= 120
    assert not [(name, size) for name, size in functions(lines) if size > LONGEST_FUNCTION]


def test_every_file_is_named_for_what_it_is() -> None:
    files = [path for folder in ("securecc", "krb5-testenv", "tests") for path in (TOP / folder).rglob("*.[pch]*")]
    assert len(files) > len(PROGRAMS)
    assert not [path for path in files if path.stem in NAMES_THAT_SAY_NOTHING]


def test_the_build_knows_every_source() -> None:
    build = (TOP / "CMakeLists.txt").read_text()
    assert not [path.name for path in PROGRAMS if path.suffix == ".c" and f"/{path.name}" not in build]
