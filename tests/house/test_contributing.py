"""CONTRIBUTING.md and the hooks that it speaks of: what they name is there, and the sizes are those that are tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.house import test_floors

TOP = Path(__file__).parents[2]
PAGE = (TOP / "CONTRIBUTING.md").read_text()
HOOKS = yaml.safe_load((TOP / ".pre-commit-config.yaml").read_text())["repos"]


@pytest.mark.parametrize(
    ("sentence", "number"),
    [
        (r"a file has at most (\d+) lines", test_floors.LONGEST_FILE),
        (r"a function at most (\d+)", test_floors.LONGEST_FUNCTION),
        (r"half of all functions have at most (\d+)", test_floors.MEDIAN_FUNCTION),
    ],
)
def test_sizes_are_those_that_are_tested(sentence: str, number: int) -> None:
    assert [int(found) for found in re.findall(sentence, PAGE)] == [number]


def test_files_and_targets_that_it_names_exist() -> None:
    named = re.findall(r"(?<![\w/])((?:tests|tools|docs|krb5-testenv|securecc)/[\w./-]*\w)", PAGE)
    assert len(named) > 10
    assert not [path for path in named if not (TOP / path).exists()]
    targets = re.findall(r"^([\w-]+):", (TOP / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make ([\w-]+)", PAGE)) <= set(targets)


def test_hooks_download_nothing_and_run_what_make_check_runs() -> None:
    assert [each["repo"] for each in HOOKS] == ["local"]
    hooks = HOOKS[0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    commands = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks]
    recipe = (TOP / "Makefile").read_text()
    assert [command.split(" --")[0] for command in commands[:3]] == ["ruff format", "ruff check", "mypy"]
    assert all(f"$(BIN)/{command.split(' --')[0]}" in recipe for command in commands[:3])
