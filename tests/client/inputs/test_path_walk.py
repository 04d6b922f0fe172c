"""client.inputs.path_walk: a spelled path leads where the kernel says, and all that it crosses is on record."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.inputs.path_walk import PathWalk
from securecc.model.errors import StaysLocal

PARTS = ["a", "b", "link", "up", "loop", "file", "gone", "broken", "..", "."]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a/b/f, a/link -> b, a/up -> .., loop -> loop, broken -> nowhere, file"""
    top = tmp_path_factory.mktemp("world").resolve()
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/f").write_text("")
    (top / "a/link").symlink_to("b")
    (top / "a/up").symlink_to("..")
    (top / "a/absolute").symlink_to(top / "a/b")
    (top / "loop").symlink_to("loop")
    (top / "broken").symlink_to("nowhere")
    (top / "file").write_text("")
    (top / "to-file").symlink_to("a/link/f")
    return top


@settings(max_examples=150)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=7))
def test_it_walks_as_the_kernel_does(world: Path, parts: list[str]) -> None:
    spelled = os.fsencode("/".join([str(world), *parts]))
    walk = PathWalk()
    place = walk.directory(spelled)
    if os.path.isdir(spelled):
        assert place == os.path.realpath(spelled)
        assert place in walk.directories
    else:
        assert place is None


def test_every_component_is_on_record(world: Path) -> None:
    walk = PathWalk()
    top = os.fsencode(world)
    assert walk.directory(top + b"/a/link/../up/a/absolute") == top + b"/a/b"
    assert {top, top + b"/a", top + b"/a/b"} <= set(walk.directories)
    assert walk.links == {top + b"/a/link": b"b", top + b"/a/up": b"..", top + b"/a/absolute": top + b"/a/b"}
    status = os.stat(top + b"/a/b")
    assert walk.directories[top + b"/a/b"] == (status.st_dev, status.st_ino)


def test_what_exists_of_a_way_that_ends_nowhere_is_on_record(world: Path) -> None:
    walk = PathWalk()
    assert walk.directory(os.fsencode(world / "a/b/gone/../c")) is None
    assert os.fsencode(world / "a/b") in walk.directories


def test_a_file(world: Path) -> None:
    walk = PathWalk()
    assert walk.file(os.fsencode(world / "a/link/f")) == os.fsencode(world / "a/b/f")
    assert os.fsencode(world / "a/link") in walk.links


def test_a_file_that_is_a_symlink(world: Path) -> None:
    walk = PathWalk()
    assert walk.file(os.fsencode(world / "to-file")) == os.fsencode(world / "a/b/f")
    assert {os.fsencode(world / "to-file"), os.fsencode(world / "a/link")} == set(walk.links)


def test_the_root(world: Path) -> None:
    walk = PathWalk()
    assert walk.directory(b"/") == b"/"
    assert walk.directory(b"/..") == b"/"
    assert walk.directory(b"//usr/./") == b"/usr"


@pytest.mark.parametrize("name", ["broken", "loop", "gone/f", "file/f", "a/..", "a/", "a/up"])
def test_what_is_no_file_stays_local(world: Path, name: str) -> None:
    with pytest.raises(StaysLocal) as caught:
        PathWalk().file(os.fsencode(world) + b"/" + name.encode())
    assert caught.value.reason == "input"


@pytest.mark.parametrize("path", [b"/proc/self/cwd", b"/dev/fd/3", b"/dev/shm", b"/usr/../proc/self"])
def test_what_each_process_sees_otherwise_stays_local(path: bytes) -> None:
    with pytest.raises(StaysLocal, match="differ on the server"):
        PathWalk().directory(path)


def test_a_way_of_too_many_links(tmp_path: Path) -> None:
    (tmp_path / "l0").mkdir()
    for number in range(1, 60):
        (tmp_path / f"l{number}").symlink_to(f"l{number - 1}")
    assert PathWalk().directory(os.fsencode(tmp_path / "l39")) is not None
    assert PathWalk().directory(os.fsencode(tmp_path / "l41")) is None
    assert not os.path.isdir(tmp_path / "l41")


def test_a_second_look_is_the_same(world: Path) -> None:
    walk = PathWalk()
    first = walk.directory(os.fsencode(world / "a/link"))
    assert walk.directory(os.fsencode(world / "a/link")) == first
