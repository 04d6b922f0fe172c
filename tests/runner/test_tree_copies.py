"""Directory trees that become layers: which may, what their copies are like, and what is left out."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from securecc.compiler.tree import shared_tree
from securecc.model import limits
from securecc.model.messages import SharedTree
from securecc.runner import tree_copies
from securecc.sandbox import namespaces
from tests.closure_sample import CLOSURE, GCC


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "include"
    (root / "sys/deep").mkdir(parents=True)
    (root / "a.h").write_bytes(b"int a;\n")
    (root / "sys/b.h").write_bytes(b"")
    (root / "sys/deep/c.h").write_bytes(b"x" * 10_000)
    (root / "link.h").symlink_to("sys/b.h")
    (root / "dangling").symlink_to("/nowhere")
    (root / "a.h").chmod(0o755)
    (root / "sys/b.h").chmod(0o440)
    (root / "sys/deep").chmod(0o555)
    os.utime(root / "a.h", ns=(1, 123456789))
    return root


class Shelf:
    """`copy_trees` without the mount, which is read-only and not to be run from."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = os.fsencode(folder / "store")
        self.mounted: list[bytes] = []
        self.log: list[str] = []
        monkeypatch.setattr(namespaces, "bind_read_only", self._bind)

    def _bind(self, source: bytes, target: bytes, *, programs: bool) -> None:
        assert source == target
        assert not programs
        self.mounted.append(source)

    def __call__(self, *roots: Path, room: int = limits.GIB) -> dict[SharedTree, bytes]:
        found = tree_copies.copy_trees([os.fsencode(root) for root in roots], self.store, room, self.log.append)
        assert self.mounted == list(found.values())
        assert set(os.listdir(self.store) if found else ()) == {path.rpartition(b"/")[2] for path in found.values()}
        return found


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    return Shelf(tmp_path, monkeypatch)


def test_a_copy_has_the_name_of_what_it_was_made_from(tree: Path, shelf: Shelf) -> None:
    found = shelf(tree)
    digest = shared_tree.digest_of(shared_tree.entries(os.fsencode(tree)))
    assert found == {SharedTree(os.fsencode(tree), digest): shelf.store + b"/0"}
    copy = shelf.store + b"/0"
    status = os.stat(copy + b"/a.h")
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_nlink) == (0o644, 123456789, 1)
    assert stat.S_IMODE(os.stat(copy + b"/sys/deep").st_mode) == 0o555
    assert os.readlink(copy + b"/dangling") == b"/nowhere"
    assert os.stat(copy + b"/sys/deep/c.h").st_size == 10_000


def test_what_changes_later_does_not_change_the_copy(tree: Path, shelf: Shelf) -> None:
    [copy] = shelf(tree).values()
    (tree / "a.h").write_bytes(b"int b;\n")
    with open(copy + b"/a.h", "rb") as file:
        assert file.read() == b"int a;\n"


def fifo(tree: Path) -> None:
    os.mkfifo(tree / "sys/deep/../fifo")


def large(tree: Path) -> None:
    with open(tree / "large", "wb") as file:
        file.truncate(limits.BLOB + 1)


def absent(tree: Path) -> None:
    tree.rename(tree.parent / "moved")


def plain(tree: Path) -> None:
    absent(tree)
    tree.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(fifo, "is not a file, directory or link"), (large, "too large"), (absent, "No such file"), (plain, "Not a dir")],
)
def test_what_is_no_shared_tree_is_named_and_left_out(
    tree: Path, shelf: Shelf, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(tree)
    (tmp_path / "good").mkdir()
    [offered] = shelf(tree, tmp_path / "good")
    assert offered.path == os.fsencode(tmp_path / "good")
    [line] = shelf.log
    assert line.startswith(f"{tree} is not offered as a shared tree: ")
    assert said in line


@pytest.mark.parametrize(("limit", "value"), [("SHARED_TREE", 8192), ("SHARED_TREE_ENTRIES", 5)])
def test_too_much_for_a_shared_tree(
    tree: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(limits, limit, value)
    assert shelf(tree) == {}
    assert "too large" in shelf.log[0]


def test_what_has_no_room_is_left_out_and_a_smaller_one_is_not(tree: Path, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good/x.h").write_bytes(b"x")
    assert [offered.path for offered in shelf(tree, tmp_path / "good", room=8192)] == [os.fsencode(tmp_path / "good")]
    assert "no room" in shelf.log[0]


def test_room_is_for_all_of_them_together(shelf: Shelf, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.h").write_bytes(b"x")
    assert len(shelf(*(tmp_path / name for name in "abc"), room=8192)) == 2


def test_there_are_so_many_of_them(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SHARED_TREES", 1)
    for name in "ab":
        (tmp_path / name).mkdir()
    assert len(shelf(tmp_path / "a", tmp_path / "b")) == 1
    assert "there are 1 already" in shelf.log[0]


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_what_cannot_be_read(tree: Path, shelf: Shelf) -> None:
    (tree / "a.h").chmod(0)
    assert shelf(tree) == {}


def test_by_default_shared_trees_are_where_toolchains_look_for_headers(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "include-2").mkdir()
    (tmp_path / "by-link").symlink_to("include")
    places = ("include/sys", "include", "absent", "include-2", "by-link/sys/deep", "include/a.h")
    closure = replace(CLOSURE, include_directories=tuple(os.fsencode(tmp_path / place) for place in places))
    log: list[str] = []
    found = tree_copies.directories_to_share(None, [closure, closure], log.append)
    assert found == (os.fsencode(tree), os.fsencode(tmp_path / "include-2"))
    assert log == []


def test_shared_trees_by_name_go_by_their_real_paths(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "now").symlink_to("include")
    wanted = [os.fsencode(path) for path in (tmp_path / "now", tree, tmp_path / "absent")]
    assert tree_copies.directories_to_share(wanted, [CLOSURE], print) == (wanted[1], wanted[2])


@pytest.mark.parametrize("path", [b"/", b"/usr", b"/usr/bin", b"/usr/share", b"/usr/lib", GCC, b"/etc", b"/proc/self"])
def test_what_would_lie_over_the_toolchains_own(path: bytes) -> None:
    log: list[str] = []
    with suppress(OSError):
        path = os.path.realpath(path)
    assert tree_copies.directories_to_share([path, b"/usr/include"], [CLOSURE], log.append) == (b"/usr/include",)
    assert len(log) == 1
