"""What README.md says of itself is so: its commands, its figures, its links, and those of the pages behind it."""

import re
import subprocess
from pathlib import Path

import pytest

from securecc.compiler.command_line import option_table

TOP = Path(__file__).parents[2]
from tests.conformance import table  # noqa: E402  (the conformance table's reader)

README = (TOP / "README.md").read_text()
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("tests/**/README.md")])
NEAR = 0.05
"""How far a figure that begins with `some` may be off."""


def some(pattern: str) -> int:
    """The figure that the page has there."""
    found = re.search(pattern.replace("#", r"some ([\d,]+)"), README)
    assert found is not None, pattern
    return int(found[1].replace(",", ""))


def test_its_first_commands_are_the_makefiles() -> None:
    commands = re.findall(r"^    make (\w+)", README, re.MULTILINE)
    assert commands[:2] == ["demo", "test"]
    targets = re.findall(r"^(\w+):", (TOP / "Makefile").read_text(), re.MULTILINE)
    assert set(commands) <= set(targets)


def test_make_test_is_everything_and_what_is_run_for_each_change() -> None:
    dry = subprocess.run(["make", "-n", "test"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    orders = ("tools/bootstrap test", "ruff format --check", "ruff check", "mypy", "coverage report", " tests/attacks")
    places = [dry.index(order) for order in orders]
    assert places == sorted(places)
    for folder in ("conformance", "farm", "testbed"):
        assert f" tests/{folder}" in dry[places[-1] :]
    assert "\nmake test " in (TOP / ".ci/run").read_text()


def test_how_many_command_lines_are_compared() -> None:
    lines = {(line.topic, line.number) for line in table.lines(TOP / "tests/conformance/conformance.yaml")}
    assert some("# command lines are compared") == pytest.approx(len(lines), rel=NEAR)


@pytest.mark.parametrize(("family", "pattern"), [("gcc", "# options of gcc"), ("clang", "and # of clang")])
def test_how_many_options_may_leave(family: str, pattern: str) -> None:
    rows = (Path(option_table.__file__).parent / f"tables/{family}.tsv").read_text().splitlines()
    leave = [row for row in rows if not row.startswith("#") and not row.split("\t")[4].startswith("!")]
    assert some(pattern) == pytest.approx(len(leave), rel=NEAR)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _, heading = target.partition("#")
        if "://" in name:
            continue
        path = page.parent / name if name else page
        assert path.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings], target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_paths_that_are_named_exist(page: Path) -> None:
    """Those of the tree, told by the folder at its top that they begin with; `policy` is one of securecc/ as well."""
    folders = "|".join(re.escape(path.name) for path in TOP.iterdir() if path.is_dir() and path.name[0] != ".")
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*\w)", page.read_text())) - {"securecc/HOST"}
    places = ("{}", "securecc/{}", "securecc/{}.py")
    assert not [path for path in named if not any((TOP / place.format(path)).exists() for place in places)]
