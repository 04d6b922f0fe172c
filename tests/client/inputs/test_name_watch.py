"""securecc.client.inputs.name_watch: the names that matter, in the directories where they would be looked for."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from securecc.client.inputs.caches.directory_cache import DirectoryCache, Listing
from securecc.client.inputs.caches.interning import Interner
from securecc.client.inputs.name_watch import NameWatch, NameWatchBuilder
from securecc.model.errors import StaysLocal


@pytest.fixture
def top(tmp_path: Path) -> bytes:
    (tmp_path / "i1").mkdir()
    (tmp_path / "i2/s").mkdir(parents=True)
    (tmp_path / "i2/c.h").touch()
    (tmp_path / "i2/s/d.h").touch()
    return os.fsencode(tmp_path)


def listed(directories: DirectoryCache, path: bytes) -> Listing:
    listing = directories.listing(path)
    assert listing is not None
    return listing


def watched(top: bytes, names: Iterable[bytes], *directories: bytes) -> tuple[NameWatchBuilder, dict[bytes, NameWatch]]:
    watches = NameWatchBuilder(DirectoryCache(), Interner())
    watches.watch_names(names, [top + b"/" + directory for directory in directories])
    return watches, {watch.listing.path[len(top) + 1 :]: watch for watch in watches.watches()}


def test_a_name_is_watched_in_every_directory(top: bytes) -> None:
    _, found = watched(top, [b"c.h"], b"i1", b"i2")
    assert set(found[b"i1"].names) == set(found[b"i2"].names) == {b"c.h"}
    assert (found[b"i1"].present, found[b"i2"].present) == (frozenset(), frozenset([b"c.h"]))


def test_a_name_with_directories(top: bytes) -> None:
    _, found = watched(top, [b"s/d.h"], b"i1", b"i2")
    assert found[b"i2/s"].present == {b"d.h"}
    assert set(found[b"i1"].names) == {b"s"}


def test_a_missing_directory_is_watched_where_the_way_ends(top: bytes) -> None:
    _, found = watched(top, [b"c.h"], b"gen/deep/inc")
    assert set(found[b""].names) == {b"gen"}
    assert found[b""].present == frozenset()


def test_a_missing_directory_is_watched_though_no_name_is(top: bytes) -> None:
    _, found = watched(top, [], b"gen")
    assert set(found[b""].names) == {b"gen"}


def test_a_way_through_a_missing_directory(top: bytes) -> None:
    _, found = watched(top, [b"c.h"], b"gen/../i2")
    assert set(found[b""].names) == {b"gen"}


@pytest.mark.parametrize("make", [lambda path: open(path, "w").close(), lambda path: os.symlink("nowhere", path)])
def test_what_stands_in_the_way(top: bytes, make: Callable[[bytes], object]) -> None:
    make(top + b"/gen")
    watches, found = watched(top, [b"s/c.h"], b"gen")
    assert found[b""].present == {b"gen"}
    assert watches.obstacles() == {top + b"/gen"}


def test_one_path(top: bytes) -> None:
    watches = NameWatchBuilder(DirectoryCache(), Interner())
    watches.watch_path(top + b"/g.y")
    (watch,) = watches.watches()
    assert (watch.listing.path, set(watch.names), watch.present) == (top, {b"g.y"}, frozenset())


@pytest.mark.parametrize("place", [b"/i1/c.h.gch", b"/i2/c.h.gch", b"/i2/c.h.pch"])
def test_a_precompiled_header_stays_local(top: bytes, place: bytes) -> None:
    os.mkdir(top + place)
    with pytest.raises(StaysLocal) as caught:
        watched(top, [b"c.h"], b"i1", b"i2")
    assert caught.value.reason == "precompiled-header"


def test_absolute_names(top: bytes) -> None:
    _, found = watched(top, [top + b"/i2/c.h"], b"i1")
    assert found[b"i2"].present == {b"c.h"}


def test_a_directory_that_gains_an_unrelated_name_still_holds(top: bytes) -> None:
    _, found = watched(top, [b"c.h"], b"i1")
    for name, holds in ((b"a.o", True), (b"c.h.gch", False), (b"c.h", False)):
        open(top + b"/i1/" + name, "w").close()
        assert found[b"i1"].holds_for(listed(DirectoryCache(), top + b"/i1")) == holds


def test_a_whole_directory_holds_only_with_the_same_names(top: bytes) -> None:
    listings = DirectoryCache()
    watches = NameWatchBuilder(listings, Interner())
    watches.watch_whole([top + b"/i1", top + b"/none"])
    (watch,) = watches.watches()
    assert watch.whole
    assert watch.holds_for(listed(listings, top + b"/i1"))
    open(top + b"/i1/13", "w").close()
    assert not watch.holds_for(listed(listings, top + b"/i1"))
