"""securecc.client.host.file_watch: a file that changes is noticed, whoever tells of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securecc.client.host import file_watch
from securecc.client.host.file_watch import RECHECK_S, FileWatch, FileWatches
from securecc.model.errors import StaysLocal
from securecc.system.stat_key import StatKey, path_stat_key


class Time:
    """Runs as the test says; counts how many files are looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.looks = 0
        look = path_stat_key

        def counted(path: Any) -> StatKey | None:
            self.looks += 1
            return look(path)

        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr(file_watch, "path_stat_key", counted)

    def passes(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.looks = 0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("a/lib", "a/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a/lib/cc1").write_text("12")
    (tmp_path / "a/ln").symlink_to("lib")
    return tmp_path


def begin(place: Path, *names: str, watches: FileWatches | None = None) -> FileWatch:
    return FileWatch([os.fsencode(place / name) for name in names], watches or FileWatches(), b"me")


def replace_program(top: Path) -> None:
    (top / "n").write_text("12")
    (top / "n").rename(top / "a/lib/cc1")


def replace_directory(top: Path) -> None:
    (top / "a").rename(top / "b")
    (top / "a/lib").mkdir(parents=True)


def make_directory_with_program(top: Path) -> None:
    (top / "a/x").mkdir()
    (top / "a/x/as").touch()


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda top: (top / "a/lib/cc1").write_text("13"),
    "replaced": replace_program,
    "gone": lambda top: (top / "a/lib/cc1").unlink(),
    "its directory is another": replace_directory,
    "what was not there": lambda top: (top / "a/bin/as").touch(),
    "what was nowhere": make_directory_with_program,
    "in a directory that counts as one": lambda top: (top / "a/lib/new.so").touch(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows_and_without_one_nothing_is_looked_at(place: Path, time: Time, change: str) -> None:
    kept = begin(place, "a/lib/cc1", "a/bin/as", "a/x/as", "a/lib")
    time.passes()
    assert kept.holds()
    assert not time.looks
    CHANGES[change](place)
    assert not kept.holds()


def test_what_happens_beside_is_looked_at_once(place: Path, time: Time) -> None:
    kept = begin(place, "a/lib/cc1")
    (place / "a/lib/other").touch()
    for looks in (1, 0):
        time.passes()
        assert kept.holds()
        assert time.looks == looks


def test_all_is_looked_at_after_a_while(place: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    watches = FileWatches()
    kept = begin(place, "a/lib/cc1", watches=watches)
    monkeypatch.setattr(watches, "happened", lambda owner: False)
    (place / "a/lib/cc1").write_text("13")
    time.passes()
    assert kept.holds()
    time.passes(RECHECK_S)
    assert not kept.holds()


def test_another_name_of_a_file_is_watched_by_looking(place: Path, time: Time) -> None:
    (place / "a/bin/second").hardlink_to(place / "a/lib/cc1")
    (place / "other").mkdir()
    (place / "a/bin/second").rename(place / "other/second")
    kept = begin(place, "a/lib/cc1")
    (place / "other/second").write_text("13")
    time.passes()
    assert not kept.holds()


def relink(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


def replace_link_by_directory(top: Path) -> None:
    (top / "a/ln").unlink()
    (top / "a/ln").mkdir()


LINKS: dict[str, Callable[[Path], object]] = {
    "the link leads elsewhere": lambda top: relink(top / "a/ln", "bin"),
    "no link any more": replace_link_by_directory,
    "written where it leads": lambda top: (top / "a/lib/cc1").write_text("13"),
    "gone where it leads": lambda top: (top / "a/lib/cc1").unlink(),
    "what was not there": lambda top: (top / "a/lib/as").touch(),
    "a second link": lambda top: relink(top / "two", "a/bin"),
}


@pytest.mark.parametrize("change", LINKS)
def test_a_way_through_links_is_watched_as_well(place: Path, time: Time, change: str) -> None:
    (place / "two").symlink_to(place / "a/bin/../ln")
    kept = begin(place, "two/cc1", "two/as")
    time.passes()
    assert kept.holds()
    assert time.looks == 0
    LINKS[change](place)
    time.passes()
    assert not kept.holds()


@pytest.mark.parametrize("target", ["ln", "nowhere", "a/lib/cc1/.."])
def test_links_that_lead_nowhere_are_looked_at(place: Path, time: Time, target: str) -> None:
    (place / "a/away").symlink_to(target)
    kept = begin(place, "a/away/cc1")
    time.passes()
    assert kept.holds()
    (place / "a/away").unlink()
    (place / "a/away").mkdir()
    (place / "a/away/cc1").touch()
    time.passes()
    assert not kept.holds()


@pytest.mark.parametrize("lacking", ["Inotify", "MountTable", "is_local"])
def test_where_nothing_tells_all_is_looked_at(
    place: Path, time: Time, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    def none() -> None:
        raise StaysLocal("watch", "no more of these") if lacking == "Inotify" else FileNotFoundError("/proc")

    if lacking == "is_local":
        monkeypatch.setattr(file_watch, "is_local", lambda path: False)
    else:
        monkeypatch.setattr(file_watch, lacking, none)
    kept = begin(place, "a/lib/cc1", "a/bin/as")
    time.passes()
    assert kept.holds()
    assert time.looks == 2
    (place / "a/bin/as").touch()
    time.passes()
    assert not kept.holds()


def test_a_mount_makes_everybody_look(place: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mounted:
        def changed(self) -> Any:
            return (b"/somewhere",)

    monkeypatch.setattr(file_watch, "MountTable", Mounted)
    kept = begin(place, "a/lib/cc1", "a/bin/as")
    time.passes()
    assert kept.holds()
    assert time.looks == 2


def test_each_has_his_own(place: Path, time: Time) -> None:
    watches = FileWatches()
    one = FileWatch([os.fsencode(place / "a/lib/cc1")], watches, b"1")
    two = FileWatch([os.fsencode(place / "a/bin/as")], watches, b"2")
    (place / "a/bin/as").touch()
    time.passes()
    assert one.holds()
    assert not two.holds()
    two.end()
    (place / "a/lib/cc1").write_text("13")
    time.passes()
    assert not one.holds()
