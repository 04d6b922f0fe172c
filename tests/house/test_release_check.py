"""tools/release-check: a tree passes, and each thing that it looks for fails with a word on what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
CHANGELOG = (
    "# Changelog\n\n## [1.2.3] - 2026-12-01\n\n### Added\n\n- All of it.\n\n## [1.2.2] - 2026-11-21\n\n- Less.\n"
)
IDENTITY = ("-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-c", "init.defaultBranch=main")


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *IDENTITY, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The least that can be released, but for its pages and its build."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "securecc").mkdir()
    shutil.copy(TOP / "tools/release-check", tmp_path / "tools/release-check")
    (tmp_path / "securecc/__init__.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Begin")
    return tmp_path


def check(tree: Path, *names: str) -> tuple[int, str]:
    command = [sys.executable, str(tree / "tools/release-check"), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_tree_that_can_be_released(tree: Path) -> None:
    status, said = check(tree, "version", "changelog", "tree")
    assert status == 0
    assert re.fullmatch(
        r"ok   version +1\.2\.3\nok   changelog +\[1\.2\.3\] - 2026-12-01\nok   tree +[0-9a-f]{7,}\n", said
    )


@pytest.mark.parametrize(
    ("changelog", "complaint"),
    [
        (CHANGELOG.replace("1.2.3", "1.2.4"), "newest section is 1.2.4, the version is 1.2.3"),
        (CHANGELOG.replace(" - 2026-12-01", ""), "write ## [1.2.3] - YYYY-MM-DD"),
        (CHANGELOG.replace("- All of it.\n", "").replace("### Added\n", ""), "says nothing about 1.2.3"),
        (CHANGELOG.replace("## [1.2.3]", "## [Unreleased]\n\n- More.\n\n## [1.2.3]"), "has unreleased entries"),
        ("# Changelog\n", "newest section is none"),
    ],
)
def test_a_changelog_that_does_not_fit(tree: Path, changelog: str, complaint: str) -> None:
    (tree / "CHANGELOG.md").write_text(changelog)
    status, said = check(tree, "changelog")
    assert status == 1
    assert complaint in said


def test_an_empty_section_for_what_comes_next_is_fine(tree: Path) -> None:
    (tree / "CHANGELOG.md").write_text(CHANGELOG.replace("## [1.2.3]", "## [Unreleased]\n\n## [1.2.3]"))
    assert check(tree, "changelog")[0] == 0


def test_a_version_that_is_none(tree: Path) -> None:
    (tree / "securecc/__init__.py").write_text('__version__ = "1.2.dev0"\n')
    status, said = check(tree, "version")
    assert (status, "no __version__ of the form 1.2.3" in said) == (1, True)


def test_a_version_that_another_commit_has(tree: Path) -> None:
    git(tree, "tag", "v1.2.3")
    assert check(tree, "version")[0] == 0
    git(tree, "commit", "-q", "--allow-empty", "-m", "Go on")
    status, said = check(tree, "version")
    assert (status, "v1.2.3 is already released" in said) == (1, True)


def test_a_tree_with_something_uncommitted(tree: Path) -> None:
    (tree / "securecc/stray.py").write_text("")
    status, said = check(tree, "tree")
    assert (status, "?? securecc/stray.py" in said) == (1, True)


def test_one_failure_does_not_hide_another(tree: Path) -> None:
    (tree / "CHANGELOG.md").write_text("# Changelog\n")
    status, said = check(tree, "changelog", "tree", "version")
    assert status == 1
    assert [line.split()[0] for line in said.splitlines() if line[:3] in ("ok ", "BAD")] == ["BAD", "BAD", "ok"]


def test_a_check_that_does_not_exist(tree: Path) -> None:
    status, said = check(tree, "spelling")
    assert (status, "no check is called spelling" in said) == (2, True)


def test_make_has_it() -> None:
    dry = subprocess.run(["make", "-n", "release-check"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    assert "tools/release-check" in dry


def test_this_tree_says_what_it_is() -> None:
    """The changelog of the working copy fits its version, but for entries that are not released yet."""
    version = re.search(r'^__version__ = "(.+)"$', (TOP / "securecc/__init__.py").read_text(), re.MULTILINE)
    assert version
    assert f"\n## [{version[1]}] - " in (TOP / "CHANGELOG.md").read_text()
