"""Which files a mere mention may send to a server."""

import os
from pathlib import Path

import pytest

from securecc.client.inputs.foreseen_paths import ForeseenPaths, project_roots


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("project/src", "project/build", "other", ".ssh"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def paths(*places: Path) -> list[bytes]:
    return [os.fsencode(place) for place in places]


def test_the_source_s_own_tree_is_what_both_directories_have_in_common(home: Path) -> None:
    cwd, source = paths(home / "project/build", home / "project/src/a.c")
    found = ForeseenPaths(project_roots(cwd, source))
    inside, beside = paths(home / "project/include/x.h", home / ".ssh/id")
    assert found.covers(inside)
    assert not found.covers(beside)


def test_a_directory_of_many_projects_is_no_project() -> None:
    assert project_roots(b"/usr/src", b"/usr/lib/a.c") == (b"/usr/src", b"/usr/lib")


def test_a_path_counts_by_where_it_leads(home: Path) -> None:
    (home / "project/link").symlink_to(home / ".ssh")
    found = ForeseenPaths(paths(home / "project"))
    through, upwards = paths(home / "project/link/id", home / "project/../.ssh/id")
    assert not found.covers(through)
    assert not found.covers(upwards)


def test_a_name_that_only_begins_alike_is_outside(home: Path) -> None:
    (home / "project2").mkdir()
    assert not ForeseenPaths(paths(home / "project")).covers(os.fsencode(home / "project2/a.h"))


def test_the_root_directory_stands_for_itself_only() -> None:
    found = ForeseenPaths([b"/"])
    assert found.covers(b"/a.h")
    assert not found.covers(b"/etc/passwd")
