"""docs/architecture.md: what it names is there, and everything in securecc/ is named where it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "securecc"
PAGE = (TOP / "docs/architecture.md").read_text()
ROWS = dict(re.findall(r"^\| `([a-z_/]+)/`( .*)$", PAGE, re.MULTILINE))
"""The rows of `Where code belongs` by their folder below securecc/."""
SOURCES = [path for path in sorted(PACKAGE.rglob("*")) if path.suffix in {".py", ".c"} and path.name != "__init__.py"]
FOLDERS = sorted({str(path.parent.relative_to(PACKAGE)) for path in SOURCES} - {"."})
PLACES = ("{}", "securecc/{}", "docs/{}")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_has_its_row_and_every_file_is_named_there(folder: str) -> None:
    assert folder in ROWS, f"docs/architecture.md has no row for {folder}/"
    named = set(re.findall(r"`(\w+)`", ROWS[folder]))
    files = {path.stem for path in SOURCES if path.parent == PACKAGE / folder}
    assert files <= named, f"docs/architecture.md does not say what these are for: {sorted(files - named)}"
    described = set(re.findall(r"`(\w+)`", ROWS[folder].partition(" | ")[2]))
    assert described <= files, f"docs/architecture.md names what is not in {folder}/: {sorted(described - files)}"


@pytest.mark.parametrize("folder", ROWS)
def test_every_row_is_a_folder(folder: str) -> None:
    assert (PACKAGE / folder).is_dir()


def test_every_path_that_it_names_exists() -> None:
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?|\w+\.(?:py|c|tsv))`", PAGE)
    assert len(named) > 40
    missing = [path for path in named if not any((TOP / place.format(path)).exists() for place in PLACES)]
    assert not [path for path in missing if not list(PACKAGE.rglob(path))]


def test_the_glossary_has_each_word_once() -> None:
    table = PAGE.partition("## Glossary")[2].partition("## Floors")[0]
    words = re.findall(r"^\| ([a-z ]+) \| (?!---)", table, re.MULTILINE)[1:]
    assert len(words) >= 30
    assert words == sorted(set(words))
