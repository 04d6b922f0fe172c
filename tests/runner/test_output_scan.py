"""Looking at a tree after the run: what was read, what was made, and no way out of it."""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from securecc.model import limits
from securecc.model.manifest import Entry, Kind, Role
from securecc.runner import output_scan


@dataclass
class Tree:
    """A tree as the builder leaves it, in a directory of the test's."""

    path: str
    root: int = -1
    folders: dict[bytes, int] = field(default_factory=dict)
    finished_ns: int = 0

    def finish(self) -> Self:
        self.root = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(folder, name)
                os.utime(path, ns=(0, 5), follow_symlinks=False)
                self.finished_ns = max(self.finished_ns, os.lstat(path).st_ctime_ns)
        for folder, _, _ in os.walk(self.path):
            os.utime(folder, ns=(0, 9))
            inside = os.fsencode(folder[len(self.path) :])
            self.folders[inside] = 9
            self.finished_ns = max(self.finished_ns, os.stat(folder).st_ctime_ns)
        time.sleep(0.006)  # longer than the clock of ctime ticks
        return self

    def look(
        self,
        entries: Sequence[Entry] = (),
        output: int = limits.OUTPUT,
        skip: frozenset[bytes] = frozenset(),
        within: Sequence[bytes] = (),
    ) -> tuple[output_scan.ScanResult, dict[bytes, bytes]]:
        found = output_scan.scan_outputs(self, entries, skip, output, within)
        contents = {}
        for made, descriptor in zip(found.made, found.descriptors, strict=True):
            contents[made.path] = os.read(descriptor, limits.MIB)
            os.close(descriptor)
        return found, contents


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "src/a.c").write_bytes(b"int x;\n")
    (root / "src/b.h").write_bytes(b"int y;\n")
    made = Tree(str(root)).finish()
    yield made
    os.close(made.root)


def entry(name: bytes, **more: Any) -> Entry:
    return Entry(b"/src/" + name, Kind.FILE, size=7, mtime_ns=5, **more)


def was_read(tree: Tree, name: str) -> None:
    os.utime(f"{tree.path}/src/{name}", ns=(10**18, 5))
    tree.finished_ns = max(tree.finished_ns, os.stat(f"{tree.path}/src/{name}").st_ctime_ns)


def test_nothing_happened(tree: Tree) -> None:
    found, contents = tree.look([entry(b"a.c", role=Role.PRESENT), entry(b"b.h", role=Role.MAY_READ)])
    assert (found.strays, found.more, found.ignored, contents) == ((), 0, 0, {})


def test_strays_by_role(tree: Tree) -> None:
    was_read(tree, "a.c")
    assert tree.look([entry(b"a.c"), entry(b"b.h")])[0].strays == (1,)
    assert tree.look([entry(b"a.c", role=Role.PRESENT), entry(b"b.h", role=Role.PRESENT)])[0].strays == (0,)
    assert tree.look([entry(b"a.c", role=Role.MAY_READ), entry(b"b.h", role=Role.MAY_READ)])[0].strays == ()


def test_an_empty_file_need_not_be_read(tree: Tree) -> None:
    os.truncate(f"{tree.path}/src/a.c", 0)
    os.utime(f"{tree.path}/src/a.c", ns=(0, 5))
    tree.finished_ns = os.stat(f"{tree.path}/src/a.c").st_ctime_ns
    assert tree.look([Entry(b"/src/a.c", Kind.FILE, size=0, mtime_ns=5)])[0].strays == ()


def test_names_of_one_inode_are_read_together(tree: Tree) -> None:
    os.unlink(f"{tree.path}/src/b.h")
    os.link(f"{tree.path}/src/a.c", f"{tree.path}/src/b.h")
    os.utime(f"{tree.path}/src", ns=(0, 9))
    was_read(tree, "a.c")
    entries = [entry(b"a.c", inode=3), entry(b"b.h", inode=3, role=Role.PRESENT)]
    assert tree.look(entries)[0].strays == ()


def test_new_and_changed_files_are_made(tree: Tree) -> None:
    src = f"{tree.path}/src"
    os.makedirs(src + "/new/deep")
    for name, content in (("/a.o", b"object"), ("/new/deep/x", b"deep")):
        with open(src + name, "wb") as file:
            file.write(content)
    os.chmod(src + "/a.o", 0o640)
    with open(src + "/a.c", "ab") as file:
        file.write(b"more")
    found, contents = tree.look([entry(b"a.c"), entry(b"b.h", role=Role.PRESENT)])
    assert contents == {b"/src/a.c": b"int x;\nmore", b"/src/a.o": b"object", b"/src/new/deep/x": b"deep"}
    assert {made.path: made.mode for made in found.made}[b"/src/a.o"] == 0o640
    assert found.strays == ()


def test_a_change_that_hides_behind_the_old_time_is_seen(tree: Tree) -> None:
    with open(f"{tree.path}/src/a.c", "r+b") as file:
        file.write(b"INT")
    os.utime(f"{tree.path}/src/a.c", ns=(0, 5))
    assert tree.look([entry(b"a.c")])[1] == {b"/src/a.c": b"INT x;\n"}


def test_only_regular_files_and_no_waiting(tree: Tree) -> None:
    src = f"{tree.path}/src"
    os.mkfifo(src + "/fifo")
    os.symlink("/etc/passwd", src + "/link")
    os.unlink(src + "/a.c")
    os.symlink("/etc/passwd", src + "/a.c")
    os.unlink(src + "/b.h")
    os.mkfifo(src + "/b.h")
    found, contents = tree.look([entry(b"a.c"), entry(b"b.h")])
    assert contents == {}
    assert found.ignored == 4


def test_no_way_out_through_a_swapped_directory(tree: Tree, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.c").write_bytes(b"secret!")
    (outside / "secret").write_bytes(b"secret!")
    os.rename(f"{tree.path}/src", f"{tree.path}/old")
    os.symlink(outside, f"{tree.path}/src")
    contents = tree.look([entry(b"a.c"), entry(b"b.h")])[1]
    assert b"secret!" not in contents.values()
    assert set(contents) == {b"/old/a.c", b"/old/b.h"}


def test_outputs_are_bounded_in_bytes_and_number(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WORK_MADE", 3)
    for number in range(5):
        with open(f"{tree.path}/src/{number}", "wb") as file:
            file.write(b"x" * 10)
    entries = [entry(b"a.c"), entry(b"b.h")]
    found, contents = tree.look(entries, output=20)
    assert (len(contents), found.more) == (2, 3)
    found, contents = tree.look(entries)
    assert (len(contents), found.more) == (3, 2)
    monkeypatch.setattr(limits, "WORK_MADE_LISTED", 4)
    assert tree.look(entries)[0].more >= 3


def test_skipped_directories_are_not_looked_into(tree: Tree) -> None:
    with open(f"{tree.path}/src/new", "wb"):
        pass
    assert tree.look(skip=frozenset({b"/src"}))[1] == {}


def test_a_place_within_a_skipped_directory_is_looked_into_unless_it_is_skipped_itself(tree: Tree) -> None:
    for folder in ("src/mine", "src/mine/layer", "src/layer"):
        os.mkdir(f"{tree.path}/{folder}")
        with open(f"{tree.path}/{folder}/new", "wb"):
            pass
        tree.folders[b"/" + folder.encode()] = 9
    skip = frozenset({b"/src", b"/src/layer", b"/src/mine/layer"})
    found, contents = tree.look(skip=skip, within=[b"/src/mine", b"/src/layer"])
    assert set(contents) == {b"/src/mine/new"}
    assert found.ignored == 0


def test_same_folder(tree: Tree) -> None:
    os.symlink("/src", f"{tree.path}/absolute")
    os.symlink("/", f"{tree.path}/up")
    assert output_scan.same_folder(tree.root, b"/absolute", b"/src")
    assert output_scan.same_folder(tree.root, b"/up/../../src", b"/src")
    assert not output_scan.same_folder(tree.root, b"/up", b"/src")
    assert not output_scan.same_folder(tree.root, b"/etc", b"/etc")


def test_beneath_is_beneath(tree: Tree) -> None:
    os.symlink("/etc", f"{tree.path}/out")
    for path in (b"../..", b"/etc/passwd", b"out/passwd", b"out"):
        with pytest.raises(OSError):
            output_scan.open_beneath(tree.root, path, os.O_RDONLY)
    file = output_scan.open_beneath(tree.root, b"src/a.c", os.O_RDONLY | os.O_CLOEXEC)
    assert stat.S_ISREG(os.fstat(file).st_mode)
    os.close(file)
