"""Directories that only root can change, and whether anything has happened there."""

import os
from pathlib import Path

import pytest

from securecc.client.host import system_directories
from securecc.client.host.system_directories import SystemDirectories, is_roots


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as if the way to it were root's alone."""
    monkeypatch.setattr(system_directories, "_only_roots", lambda directory: b"others-own" not in directory)
    return tmp_path


def test_whatever_happens_moves_the_moment(top: Path) -> None:
    system = SystemDirectories()
    assert system.watch(os.fsencode(top))
    before = system.moment()
    assert system.moment() == before
    (top / "new.h").touch()
    assert system.moment() > before


def test_what_happens_elsewhere_does_not(top: Path) -> None:
    for name in ("a", "b"):
        (top / name).mkdir()
    system = SystemDirectories()
    assert system.watch(os.fsencode(top / "a"))
    before = system.moment()
    (top / "b/new.h").touch()
    assert system.moment() == before


def test_a_directory_of_others_is_not_watched(top: Path) -> None:
    (top / "others-own").mkdir()
    assert not SystemDirectories().watch(os.fsencode(top / "others-own"))
    assert not SystemDirectories().watch(os.fsencode(top / "none"))


def test_who_may_write_is_examined_again_after_a_change(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = SystemDirectories()
    assert system.watch(os.fsencode(top))
    (top / "x").touch()
    system.moment()
    monkeypatch.setattr(system_directories, "_only_roots", lambda directory: False)
    assert not system.watch(os.fsencode(top))


def test_root_s_means_that_nobody_else_may_write(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for mode, owner, roots in ((0o644, 0, True), (0o664, 0, False), (0o646, 0, False), (0o644, 1000, False)):
        fields = list(os.lstat(file))
        fields[0], fields[4] = 0o100000 | mode, owner
        assert is_roots(os.stat_result(fields)) is roots
    assert system_directories._only_roots(b"/usr") == is_roots(os.lstat("/usr"))
    assert not system_directories._only_roots(b"/tmp")
