"""Where spelled paths lead, as the kernel would go."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.client.witness.followed_paths import FollowedPaths, join

PARTS = st.sampled_from((b"inc", b"sub", b"ln", b"up", b"a.h", b"none", b"loop", b"..", b".", b""))


@pytest.fixture
def top(tmp_path: Path) -> bytes:
    """Directories and links."""
    return made(tmp_path.resolve())


def made(top: Path) -> bytes:
    (top / "inc/sub").mkdir(parents=True)
    (top / "inc/a.h").touch()
    for link, target in (
        ("ln", "inc"),
        ("inc/up", "../ln/sub"),
        ("far", "ln/a.h"),
        ("loop", "loop"),
        ("out", "none/x"),
    ):
        (top / link).symlink_to(target)
    return os.fsencode(top)


def test_a_directory_and_a_name_in_one(top: bytes) -> None:
    paths = FollowedPaths()
    assert paths.place(top + b"/inc/sub") == (top + b"/inc/sub", b"")
    assert paths.place(top + b"/inc/a.h") == (top + b"/inc", b"a.h")
    assert paths.place(top + b"/inc/none") == (top + b"/inc", b"none")
    assert (paths.links, paths.left) == ({}, set())
    assert paths.place(b"/") == paths.place(b"") == (b"/", b"")


def test_the_first_name_that_is_no_directory_ends_the_way(top: bytes) -> None:
    paths = FollowedPaths()
    assert paths.place(top + b"/none/deep/x") == (top, b"none")
    assert paths.place(top + b"/none/../inc") == (top, b"none")
    assert paths.place(top + b"/inc/a.h/x") == (top + b"/inc", b"a.h")


def test_links_are_followed_and_noted(top: bytes) -> None:
    paths = FollowedPaths()
    assert paths.place(top + b"/inc/up/x.h") == (top + b"/inc/sub", b"x.h")
    assert paths.links == {top + b"/inc/up": b"../ln/sub", top + b"/ln": b"inc"}
    assert paths.left == {top + b"/inc"}
    assert paths.place(top + b"/far") == (top + b"/inc", b"a.h")
    assert paths.place(top + b"/out") == (top, b"none")


def test_a_link_to_itself_leads_nowhere(top: bytes) -> None:
    assert FollowedPaths().place(top + b"/loop/x") == (top, b"loop")


def test_what_a_way_leads_out_of_is_noted(top: bytes) -> None:
    paths = FollowedPaths()
    assert paths.place(top + b"/ln/sub/../../inc") == (top + b"/inc", b"")
    assert paths.left == {top + b"/inc/sub", top + b"/inc"}


@pytest.mark.parametrize("path", [b"/x" * 2000, b"/a\0b", b"/" + b"n" * 300, b"/.." * 900])
def test_any_path_leads_somewhere(path: bytes) -> None:
    directory, _ = FollowedPaths().place(path)
    assert directory == b"/"


@given(spelled=st.lists(st.lists(PARTS, max_size=6), min_size=1, max_size=3))
def test_each_path_leads_where_the_kernel_goes(spelled: list[list[bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = made(Path(folder).resolve())
        paths = FollowedPaths()
        for parts in spelled:
            path = b"/".join((top, *parts))
            directory, name = paths.place(path)
            assert os.path.realpath(directory) == directory
            assert os.path.isdir(path) == (not name)
            if not name:
                assert os.path.samefile(path, directory)
            elif os.path.exists(path):
                assert os.path.samefile(path, join(directory, name))
            elif not os.path.islink(join(directory, name)):
                assert not os.path.isdir(join(directory, name))
