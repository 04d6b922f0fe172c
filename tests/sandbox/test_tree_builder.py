"""Building a job's tree: what the entries say, through no link, and quickly."""

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model.errors import PathError, SandboxError
from securecc.model.manifest import Entry, Kind
from securecc.sandbox import tree_builder

Contents = Callable[[bytes], int]


@pytest.fixture
def contents() -> Iterator[Contents]:
    """`contents(bytes)` is a descriptor."""
    held: list[int] = []

    def make(content: bytes) -> int:
        held.append(os.memfd_create("content"))
        os.write(held[-1], content)
        return held[-1]

    yield make
    for descriptor in held:
        os.close(descriptor)


def built(root: Path, entries: Sequence[Entry], descriptors: Sequence[int], **more: Any) -> tree_builder.BuiltTree:
    result = tree_builder.build(os.fsencode(root), entries, descriptors, **more)
    os.close(result.root)
    return result


def test_a_shared_tree_is_an_empty_directory_below_no_link(tmp_path: Path) -> None:
    built(tmp_path, [Entry(b"/opt/site", Kind.SHARED_TREE, b"d" * 32)], [-1])
    assert os.listdir(tmp_path / "opt/site") == []
    entries = [Entry(b"/a", Kind.LINK, b"opt"), Entry(b"/a/b", Kind.SHARED_TREE, b"d" * 32)]
    with pytest.raises(PathError):
        built(tmp_path, entries, [-1, -1])


def test_files_links_directories_times_and_modes(tmp_path: Path, contents: Contents) -> None:
    entries = [
        Entry(b"/a", Kind.DIRECTORY, mode=0o555, mtime_ns=7 * 10**9 + 5),
        Entry(b"/a/b.c", Kind.FILE, size=7, mode=0o444, mtime_ns=1234567890123456789),
        Entry(b"/a/c.h", Kind.LINK, b"../x/y"),
        Entry(b"/deep/er/d.h", Kind.FILE, size=0, mode=0o4600, mtime_ns=1),
    ]
    result = built(
        tmp_path,
        entries,
        [-1, contents(b"int x;\n"), -1, contents(b"")],
        folders=[b"/t/mp"],
        links=[(b"/lib", b"usr/lib")],
    )
    file = tmp_path / "a/b.c"
    status = file.stat()
    assert file.read_bytes() == b"int x;\n"
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o444, 1234567890123456789)
    assert os.readlink(tmp_path / "a/c.h") == "../x/y"
    assert stat.S_IMODE((tmp_path / "deep/er/d.h").stat().st_mode) == 0o600
    folder = (tmp_path / "a").stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_mtime_ns) == (0o555, 7 * 10**9 + 5)
    assert (tmp_path / "t/mp").is_dir()
    assert os.readlink(tmp_path / "lib") == "usr/lib"
    assert result.folders[b"/a"] == 7 * 10**9 + 5
    assert set(result.folders) == {b"", b"/a", b"/deep", b"/deep/er", b"/t", b"/t/mp"}


def test_access_times_begin_at_nought(tmp_path: Path, contents: Contents) -> None:
    built(tmp_path, [Entry(b"/a", Kind.FILE, size=1, mtime_ns=5)], [contents(b"x")])
    assert (tmp_path / "a").stat().st_atime_ns == 0


def test_one_inode_where_the_client_has_one(tmp_path: Path, contents: Contents) -> None:
    one = contents(b"x")
    entries = [Entry(path, Kind.FILE, size=1, inode=inode) for path, inode in ((b"/a", 4), (b"/b", 4), (b"/c", 0))]
    built(tmp_path, entries, [one] * 3)
    numbers = [(tmp_path / name).stat().st_ino for name in "abc"]
    assert numbers[0] == numbers[1] != numbers[2]


def test_a_shared_descriptor_keeps_its_offset(tmp_path: Path, contents: Contents) -> None:
    one = contents(b"abc")
    os.lseek(one, 1, os.SEEK_SET)
    built(tmp_path, [Entry(b"/a", Kind.FILE, size=3), Entry(b"/b", Kind.FILE, size=3)], [one, one])
    assert os.lseek(one, 0, os.SEEK_CUR) == 1
    assert (tmp_path / "b").read_bytes() == b"abc"


@pytest.mark.parametrize("size", [2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_large_files_are_whole(tmp_path: Path, contents: Contents, size: int) -> None:
    content = os.urandom(size)
    built(tmp_path, [Entry(b"/a", Kind.FILE, size=size)], [contents(content)])
    assert (tmp_path / "a").read_bytes() == content


@pytest.mark.parametrize(("size", "content"), [(3, b"four"), (5, b"four"), (0, b"x"), (2**20, b"x" * (2**20 + 1))])
def test_contents_of_another_size_are_refused(tmp_path: Path, contents: Contents, size: int, content: bytes) -> None:
    with pytest.raises(PathError, match="its content is not"):
        built(tmp_path, [Entry(b"/a", Kind.FILE, size=size)], [contents(content)])


@pytest.mark.parametrize("size", [7, 3 << 20])
def test_a_file_that_there_is_no_room_for_is_never_cut_short(
    tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A tmpfs that gets full takes a part of what is written to it, and reports no error."""
    write = os.write
    source = contents(bytes(size))
    monkeypatch.setattr(os, "write", lambda to, piece: write(to, piece[:-1]))
    with pytest.raises(SandboxError, match=r"no room for /a\.h in the job's tree"):
        built(tmp_path, [Entry(b"/a.h", Kind.FILE, size=size)], [source])


@pytest.mark.parametrize(
    "paths",
    [
        [b"/a/../b"],
        [b"/a/./b"],
        [b"/a//b"],
        [b"a"],
        [b""],
        [b"/"],
        [b"/a", b"/a"],
        [b"/a", b"/a/b"],
        [b"/a/.."],
        [b"/l", b"/l/etc/x"],
    ],
)
def test_what_is_no_tree_is_refused(tmp_path: Path, contents: Contents, paths: list[bytes]) -> None:
    """`/l` is a symlink out of the tree."""
    root = tmp_path / "root"
    root.mkdir()
    outside = tmp_path / "outside"
    (outside / "etc").mkdir(parents=True)
    entries = [
        Entry(path, Kind.LINK, os.fsencode(outside)) if path == b"/l" else Entry(path, Kind.FILE, size=1)
        for path in paths
    ]
    with pytest.raises(PathError):
        built(root, entries, [contents(b"x")] * len(paths))
    assert os.listdir(outside / "etc") == []


def test_a_directory_where_a_link_stands_is_refused(tmp_path: Path) -> None:
    entries = [Entry(b"/l", Kind.LINK, b"/"), Entry(b"/l", Kind.DIRECTORY)]
    with pytest.raises(PathError):
        built(tmp_path, entries, [-1, -1])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.text("ab./l", max_size=8), st.sampled_from(Kind)), max_size=6))
def test_nothing_is_ever_made_outside(tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, Kind]]) -> None:
    top = tmp_path_factory.mktemp("top")
    root = top / "root"
    root.mkdir()
    entries = [Entry(b"/" + path.encode(), kind, b"../.." if kind is Kind.LINK else b"") for path, kind in drawn]
    empty = os.memfd_create("empty")
    before = set(os.listdir("/proc/self/fd"))
    try:
        built(root, entries, [empty] * len(entries))
    except PathError:
        pass
    finally:
        after = set(os.listdir("/proc/self/fd"))
        os.close(empty)
    assert len(after - before) <= 1
    assert os.listdir(top) == ["root"]


def test_room_is_counted_in_whole_pages() -> None:
    assert tree_builder.space_for([Entry(b"/a", Kind.FILE, size=1), Entry(b"/b", Kind.FILE, size=4097)]) == 5 * 4096


def calls(work: Callable[[], object]) -> int:
    """How many functions `work` calls: what it costs, on a machine of any speed."""
    count = 0

    def called(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_a_file_among_many_costs_no_more_than_one_among_few(tmp_path: Path, contents: Contents) -> None:
    one = contents(b"x" * 14000)

    def cost(number: int) -> float:
        entries = [Entry(b"/usr/include/d%d/f%d.h" % (n % 40, n), Kind.FILE, size=14000) for n in range(number)]
        return calls(lambda: built(tmp_path / str(number), entries, [one] * number)) / number

    for number in (200, 2000):
        (tmp_path / str(number)).mkdir()
    assert cost(2000) < 1.1 * cost(200)
