"""securecc.client.host.inotify: every change of a watched directory shows at the next question, and whose it is."""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from securecc.client.host.inotify import Inotify
from securecc.model.errors import StaysLocal


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Inotify]:
    for name in ("one/sub", "two"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "one/sub/a.h").write_text("int a;\n")
    (tmp_path / "two/b.h").write_text("int b;\n")
    made = Inotify()
    made.watch([os.fsencode(tmp_path / "one"), os.fsencode(tmp_path / "one/sub")], b"1")
    made.watch([os.fsencode(tmp_path / "two")], b"2")
    yield made
    made.close()


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda top: (top / "one/sub/a.h").write_text("int b;\n"),
    "mode": lambda top: (top / "one/sub/a.h").chmod(0o600),
    "time": lambda top: os.utime(top / "one/sub/a.h", ns=(1, 1)),
    "new": lambda top: (top / "one/new.h").write_text(""),
    "gone": lambda top: (top / "one/sub/a.h").unlink(),
    "moved away": lambda top: (top / "one/sub/a.h").rename(top / "a.h"),
    "moved in": lambda top: (top / "two/b.h").rename(top / "one/b.h"),
    "the directory moved": lambda top: (top / "one").rename(top / "three"),
    "a link": lambda top: (top / "one/l").symlink_to("sub"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_shows(watch: Inotify, tmp_path: Path, change: str) -> None:
    assert watch.changed() == set()
    CHANGES[change](tmp_path)
    assert b"1" in watch.changed()
    assert watch.changed() == set()


def test_reading_is_no_change_and_each_has_his_own(watch: Inotify, tmp_path: Path) -> None:
    (tmp_path / "one/sub/a.h").read_text()
    os.listdir(tmp_path / "one/sub")
    assert watch.changed() == set()
    (tmp_path / "two/c.h").write_text("")
    assert watch.changed() == {b"2"}


def test_what_lies_above_moves(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    made = Inotify()
    made.watch([os.fsencode(tmp_path / "a/b/c")], b"1")
    (tmp_path / "a/b/beside").touch()
    assert made.changed() == set()
    (tmp_path / "a").rename(tmp_path / "z")
    assert made.changed() == {b"1"}
    made.close()


def test_one_directory_may_be_watched_for_two(watch: Inotify, tmp_path: Path) -> None:
    watch.watch([os.fsencode(tmp_path / "one")], b"3")
    (tmp_path / "one/new.h").touch()
    assert watch.changed() == {b"1", b"3"}
    watch.forget(b"1")
    (tmp_path / "one/newer.h").touch()
    assert watch.changed() == {b"3"}


def test_who_is_forgotten_is_told_nothing(watch: Inotify, tmp_path: Path) -> None:
    watch.forget(b"1")
    (tmp_path / "one/sub/a.h").unlink()
    (tmp_path / "two/b.h").unlink()
    assert watch.changed() == {b"2"}


def test_when_the_kernel_lost_count_everybody_is_told(watch: Inotify, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = [struct.pack("iIII", -1, 0x4000, 0, 0)]

    def read(descriptor: Any, size: Any) -> bytes:
        if lost:
            return lost.pop()
        raise BlockingIOError

    monkeypatch.setattr("os.read", read)
    assert watch.changed() == {b"1", b"2"}


def test_what_cannot_be_watched(watch: Inotify, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("one")
    for path in ("nowhere", "two/b.h", "link"):
        with pytest.raises(StaysLocal, match="cannot be watched"):
            watch.watch([os.fsencode(tmp_path / path)], b"3")


def test_none_is_watched_when_one_cannot_be(watch: Inotify, tmp_path: Path) -> None:
    (tmp_path / "four").mkdir()
    with pytest.raises(StaysLocal):
        watch.watch([os.fsencode(tmp_path / "four"), b"/nowhere"], b"4")
    (tmp_path / "four/a").write_text("")
    assert watch.changed() == set()


def test_an_instance_ends_with_its_object() -> None:
    """A user has 128 of them by default, and an agent lives for long."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(300):
        Inotify()
    assert len(os.listdir("/proc/self/fd")) == before
