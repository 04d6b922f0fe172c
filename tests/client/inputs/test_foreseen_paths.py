"""Which files a mere mention, or a server's word, may send to a server."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from securecc.client.inputs import foreseen_paths
from securecc.client.inputs.foreseen_paths import ForeseenPaths, is_public, project_roots


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("project/src", "project/build", "project/.git", "project/.build", "other", ".ssh"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def paths(*places: Path) -> list[bytes]:
    return [os.fsencode(place) for place in places]


def covered(*roots: Path, path: Path) -> bool:
    return ForeseenPaths(paths(*roots)).covers(os.fsencode(path))


def test_the_source_s_own_tree_is_what_both_directories_have_in_common(home: Path) -> None:
    cwd, source = paths(home / "project/build", home / "project/src/a.c")
    found = ForeseenPaths(project_roots(cwd, source))
    inside, beside = paths(home / "project/include/x.h", home / ".ssh/id")
    assert found.covers(inside)
    assert not found.covers(beside)


def test_a_directory_of_many_projects_is_no_project() -> None:
    assert project_roots(b"/usr/src", b"/usr/lib/a.c") == (b"/usr/src", b"/usr/lib")


def test_a_home_is_no_project_because_one_lies_in_it(home: Path) -> None:
    cwd, source = paths(home / "project", home / "other/a.c")
    assert os.fsencode(home) not in project_roots(cwd, source)
    assert os.fsencode(home) in project_roots(os.fsencode(home), source)


def test_a_path_counts_by_where_it_leads(home: Path) -> None:
    (home / "project/link").symlink_to(home / ".ssh")
    found = ForeseenPaths(paths(home / "project"))
    through, upwards = paths(home / "project/link/id", home / "project/../.ssh/id")
    assert not found.covers(through)
    assert not found.covers(upwards)


def test_a_name_that_only_begins_alike_is_outside(home: Path) -> None:
    (home / "project2").mkdir()
    assert not covered(home / "project", path=home / "project2/a.h")


def test_the_root_directory_stands_for_itself_only() -> None:
    found = ForeseenPaths([b"/"])
    assert found.covers(b"/a.h")
    assert not found.covers(b"/etc/passwd")


def test_so_does_a_home_directory_and_each_above_it(home: Path) -> None:
    assert covered(home, path=home / "a.h")
    assert not covered(home, path=home / "other/a.h")
    assert not covered(home.parent, path=home / "a.h")
    assert not covered(home.parent, path=home / "other/a.h")
    assert covered(home, home / "other", path=home / "other/a.h")


def test_the_home_on_record_counts_whatever_home_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr(foreseen_paths, "_home_on_record", lambda: os.fsencode(home))
    assert not covered(home, path=home / "other/a.h")


@pytest.mark.parametrize("name", [".git/config", ".env", "src/.netrc", "src/.secret/a.h"])
def test_what_is_hidden_in_a_project_is_not_meant(home: Path, name: str) -> None:
    assert not covered(home / "project", path=home / "project" / name)


def test_a_hidden_directory_that_is_named_itself_is(home: Path) -> None:
    assert covered(home / "project", home / "project/.build", path=home / "project/.build/config.h")
    assert not covered(home / "project", path=home / "project/.build/config.h")


@pytest.fixture
def system(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that stands for /usr."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        top.chmod(0o755)
        monkeypatch.setattr(foreseen_paths, "_SYSTEM", (os.fsencode(top) + b"/",))
        (top / "include").mkdir()
        (top / "include/x.h").touch()
        yield top


def test_what_everybody_may_read_is_public(system: Path) -> None:
    assert is_public(os.fsencode(system / "include/x.h"))
    assert is_public(os.fsencode(system / "include"))
    assert not is_public(os.fsencode(system / "include/none.h"))


@pytest.mark.parametrize(("name", "mode"), [("include/x.h", 0o640), ("include", 0o750), ("include", 0o754)])
def test_what_some_may_not_read_is_not(system: Path, name: str, mode: int) -> None:
    (system / name).chmod(mode)
    assert not is_public(os.fsencode(system / "include/x.h"))


def test_nor_is_what_a_link_leads_out_to_or_a_home(system: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (system / "include/out.h").symlink_to("/etc/passwd")
    assert not is_public(os.fsencode(system / "include/out.h"))
    monkeypatch.setenv("HOME", str(system / "include"))
    assert not is_public(os.fsencode(system / "include/x.h"))
