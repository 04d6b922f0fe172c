"""A path is followed as the kernel follows it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.tree.symlinks import LINKS_MAX, TooManyLinksError, resolve

NAMES = st.sampled_from([b"a", b"b", b"c", b"link", b"up", b"top", b".", b"..", b""])
LINKS = {b"/a/link": b"../b", b"/b/up": b"..", b"/a/b/top": b"/c", b"/c/link": b".", b"/b/c/up": b"../../a/./b/"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Every name is a directory in every directory, two levels deep, but for LINKS."""
    root = os.path.realpath(os.fsencode(tmp_path_factory.mktemp("world")))
    for one in (b"a", b"b", b"c"):
        for two in (b"", b"/a", b"/b", b"/c"):
            os.mkdir(root + b"/" + one + two) if not os.path.isdir(root + b"/" + one + two) else None
    for path, target in LINKS.items():
        os.symlink(root + target if target.startswith(b"/") else target, root + path)
    return root


@given(st.lists(NAMES, max_size=8))
def test_it_leads_where_the_kernel_goes(world: bytes, names: list[bytes]) -> None:
    def link_target(path: bytes) -> bytes | None:
        return os.readlink(path) if os.path.islink(path) else None

    path = world + b"/" + b"/".join(names)
    assert resolve(path, link_target)[0] == os.path.realpath(path)


def test_it_asks_by_physical_paths_only() -> None:
    asked: list[bytes] = []

    def link_target(path: bytes) -> bytes | None:
        asked.append(path)
        return {b"/a": b"b/c", b"/b/c/d": b"/e"}.get(path)

    assert resolve(b"/a//./d/f/../g", link_target)[0] == b"/e/g"
    assert asked == [b"/a", b"/b", b"/b/c", b"/b/c/d", b"/e", b"/e/f", b"/e/g"]


def test_each_directory_is_entered_before_what_is_below_it() -> None:
    entered: list[bytes] = []
    resolve(b"/a/b/../c", lambda _: None, entered.append)
    assert list(dict.fromkeys(entered)) == [b"/", b"/a", b"/a/b"]


def test_what_a_callback_raises_ends_the_walk() -> None:
    def nothing(_path: bytes) -> None:
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        resolve(b"/a", nothing)


def test_the_root_is_above_itself() -> None:
    for path in (b"/", b"/../.."):
        assert resolve(path, lambda _: None)[0] == b"/"


def test_a_circle_ends() -> None:
    with pytest.raises(TooManyLinksError):
        resolve(b"/loop", {b"/loop": b"loop"}.get)


def test_as_many_links_as_the_kernel_follows(tmp_path: Path) -> None:
    (tmp_path / "l0").mkdir()
    links = {b"/l%d" % number: b"l%d" % (number - 1) for number in range(1, LINKS_MAX + 2)}
    for path, target in links.items():
        os.symlink(target, os.fsencode(tmp_path) + path)
    assert resolve(b"/l%d" % LINKS_MAX, links.get)[0] == b"/l0"
    assert os.path.isdir(tmp_path / f"l{LINKS_MAX}")
    with pytest.raises(TooManyLinksError):
        resolve(b"/l%d" % (LINKS_MAX + 1), links.get)
    assert not os.path.isdir(tmp_path / f"l{LINKS_MAX + 1}")


def test_components_are_counted_for_whoever_bounds_them() -> None:
    assert resolve(b"/a/b", {b"/a": b"../.."}.get) == (b"/b", 5)
