"""docs/security: what the pages say of the code is there."""

import re
from pathlib import Path

import pytest

from securecc.sandbox import seccomp

TOP = Path(__file__).parents[2]
PAGES = sorted((TOP / "docs/security").glob("*.md"))
NAMES = re.compile(r"`([a-z_]+(?:/[a-z_]+)+(?:\.py)?)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_files_that_are_named_exist(page: Path) -> None:
    places = ("{}", "securecc/{}", "securecc/{}.py", "docs/{}")
    named = NAMES.findall(page.read_text())
    for name in named:
        assert any((TOP / place.format(name)).exists() for place in places), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_that_are_linked_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)[)#]", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_processes_are_drawn_and_listed() -> None:
    """Each box of the drawing that is a process has a row."""
    page = (TOP / "docs/security/design.md").read_text()
    drawn = page.partition("```mermaid")[2].partition("```")[0]
    rows = set(re.findall(r"^\| (\w+)(?:, \w+)? \|", page, re.MULTILINE))
    for process in ("launcher", "agent", "front", "spawner", "runner", "jail"):
        assert process in drawn
        assert process in rows


def test_as_many_system_calls_as_is_said() -> None:
    page = (TOP / "docs/security/trust.md").read_text()
    (said,) = re.findall(r"some (\d+) system calls", page)[:1]
    families = (seccomp._FILES, seccomp._MEMORY, seccomp._PROCESSES, seccomp._SIGNALS, seccomp._TIME)
    assert abs(len(" ".join(families).split()) - int(said)) < 10
