"""securecc.client.stat_key: every change that stat(2) can show makes another stamp."""

import os

import pytest

from securecc.client.stat_key import stamp_of


def grown(path):
    path.write_text("ab")


def set_back(path):
    os.utime(path, ns=(1, 1))


def replaced(path):
    new = path.with_name("new")
    new.write_text("a")
    status = path.stat()
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)


@pytest.mark.parametrize("change", [grown, set_back, replaced])
def test_a_change_shows(tmp_path, change):
    path = tmp_path / "f"
    path.write_text("a")
    before = stamp_of(path.stat())
    change(path)
    assert stamp_of(path.stat()) != before


def test_reading_does_not_show(tmp_path):
    path = tmp_path / "f"
    path.write_text("a")
    before = stamp_of(path.stat())
    path.read_text()
    assert stamp_of(path.stat()) == before


def test_its_parts(tmp_path):
    status = os.stat(tmp_path)
    parts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    assert stamp_of(status) == parts
