"""client.inputs.caches.directory_cache: names are remembered exactly as long as nothing can have changed them."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from securecc.client.inputs.caches.directory_cache import DirectoryCache, Listing
from securecc.client.witness.local_answers import LocalAnswers
from securecc.compiler.questions import Answer
from securecc.model import limits
from securecc.model.errors import StaysLocal

REST_NS = int((limits.RACY_STAT_S + 1) * 1e9)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock, gone on so far that everything has rested."""
    real = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: real() + REST_NS)


def listed(directories: DirectoryCache, path: Path) -> Listing:
    listing = directories.listing(os.fsencode(path))
    assert listing is not None
    return listing


def test_names(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    seen = listed(DirectoryCache(), tmp_path)
    assert seen.names == {b"a", b"b"}


@pytest.mark.parametrize("name", ["nothing", "file", "file/below", "broken", "x" * 300])
def test_no_directory_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    assert DirectoryCache().listing(os.fsencode(tmp_path / name)) is None


def test_symlinks_are_followed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").touch()
    (tmp_path / "link").symlink_to("d")
    assert listed(DirectoryCache(), tmp_path / "link").names == {b"a"}


def test_what_rested_is_not_listed_again(tmp_path: Path, later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    listings = DirectoryCache()
    path = os.fsencode(tmp_path)
    first = listed(listings, tmp_path)
    assert not first.racy
    monkeypatch.setattr("os.listdir", lambda _: pytest.fail("listed again"))
    assert listings.listing(path) is first


def test_what_has_just_changed_is_listed_again(tmp_path: Path) -> None:
    listings = DirectoryCache()
    first = listed(listings, tmp_path)
    assert first.racy
    (tmp_path / "a").touch()
    os.utime(tmp_path, ns=(first.stat_key[3], first.stat_key[3]))
    assert listed(listings, tmp_path).names == {b"a"}


def test_a_change_is_seen(tmp_path: Path, later: None) -> None:
    listings = DirectoryCache()
    path = os.fsencode(tmp_path)
    listings.listing(path)
    (tmp_path / "a").touch()
    assert listed(listings, tmp_path).names == {b"a"}
    (tmp_path / "a").unlink()
    assert listed(listings, tmp_path).names == frozenset()


def test_names_that_did_not_change_are_the_same_object(tmp_path: Path) -> None:
    listings = DirectoryCache()
    first = listed(listings, tmp_path)
    assert listed(listings, tmp_path).names is first.names


def test_a_directory_that_may_not_be_listed_is_no_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    with pytest.raises(StaysLocal, match="cannot be listed"):
        DirectoryCache().listing(os.fsencode(tmp_path))


def test_large_directories_are_forgotten_first(tmp_path: Path, later: None) -> None:
    for name, entries in (("large", 50), ("small", 1), ("other", 1)):
        (tmp_path / name).mkdir()
        for number in range(entries):
            (tmp_path / name / str(number)).touch()
    cache = DirectoryCache(most=100)
    large, small, other = (os.fsencode(tmp_path / name) for name in ("large", "small", "other"))
    first = cache.listing(small)
    for _ in range(3):
        cache.listing(large)
        cache.listing(other)
        assert cache.listing(small) is first
        assert len(cache) <= 3


def folding(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on names are looked up as in a directory that folds case (``chattr +F``, vfat)."""

    def leads_somewhere(path: bytes) -> bool:
        head, _, tail = path.rpartition(b"/")
        return tail.lower() in map(bytes.lower, os.listdir(head))

    monkeypatch.setattr("os.path.lexists", leads_somewhere)


@pytest.mark.parametrize(
    ("names", "folds"),
    [(["a.h"], True), (["1", "b"], True), ([], False), (["1", "2"], False), (["é"], True)],
)
def test_a_directory_that_folds_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], folds: bool
) -> None:
    """What no name of it shows does not matter either, until there is another."""
    for name in names:
        (tmp_path / name).touch()
    folding(monkeypatch)
    listings = DirectoryCache()
    assert listed(listings, tmp_path).folds_case is folds
    assert listed(listings, tmp_path).folds_case is folds
    (tmp_path / "new").touch()
    assert listed(listings, tmp_path).folds_case


@pytest.mark.parametrize(("names", "folds"), [(["a.h"], False), (["a", "A"], False), ([], False), (["é"], True)])
def test_a_directory_that_does_not(tmp_path: Path, names: list[str], folds: bool) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert listed(DirectoryCache(), tmp_path).folds_case is folds


def test_a_file_system_that_folds_case(tmp_path: Path) -> None:
    image, place = tmp_path / "image", tmp_path / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    commands: tuple[list[str | Path], ...] = (
        ["mkfs.ext4", "-q", "-O", "casefold", image],
        ["mount", "-o", "loop", image, place],
    )
    if any(subprocess.run(command, capture_output=True, check=False).returncode for command in commands):
        pytest.skip("this kernel or user has no ext4 that folds case: only the lookup above is shown")
    try:
        folder = place / "folding"
        folder.mkdir()
        subprocess.run(["chattr", "+F", folder], check=True)
        (folder / "stdio.h").touch()
        listing = listed(DirectoryCache(), folder)
        assert listing.folds_case
        answers = LocalAnswers(DirectoryCache(), os.fsencode(folder))
        assert [answers.name(name) for name in (b"STDIO.H", b"none.h")] == [Answer.REGULAR, Answer.ABSENT]
    finally:
        subprocess.run(["umount", place], check=True)
