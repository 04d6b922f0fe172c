"""Every change that stat(2) can show makes another key."""

import os
from pathlib import Path
from typing import Any

import pytest

from securecc.system.stat_key import path_stat_key, stat_key


def grown(path: Any) -> None:
    path.write_text("ab")


def set_back(path: Any) -> None:
    os.utime(path, ns=(1, 1))


def replaced(path: Any) -> None:
    new = path.with_name("new")
    new.write_text("a")
    status = path.stat()
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)


@pytest.mark.parametrize("change", [grown, set_back, replaced])
def test_a_change_shows(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "f"
    path.write_text("a")
    before = stat_key(path.stat())
    change(path)
    assert stat_key(path.stat()) != before


def test_reading_does_not_show(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("a")
    before = stat_key(path.stat())
    path.read_text()
    assert stat_key(path.stat()) == before


def test_its_parts(tmp_path: Path) -> None:
    status = os.stat(tmp_path)
    parts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    assert stat_key(status) == parts


def test_a_path_a_link_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    file, link = os.fsencode(tmp_path / "file"), os.fsencode(tmp_path / "link")
    assert path_stat_key(file) == stat_key(os.lstat(file))
    assert path_stat_key(link) == stat_key(os.lstat(link)) != path_stat_key(file)
    assert path_stat_key(link, follow=True) == path_stat_key(file)
    (tmp_path / "file").unlink()
    assert path_stat_key(file) is None
    assert path_stat_key(link) is not None
    assert path_stat_key(link, follow=True) is None
