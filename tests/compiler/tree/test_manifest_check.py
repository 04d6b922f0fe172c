"""securecc.compiler.tree.manifest_check: manifests as attackers would write them, and as clients do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.tree.manifest_check import absolute, check_manifest
from securecc.model import limits
from securecc.model.errors import PathError
from securecc.model.manifest import INPUT, Entry, Kind, Manifest, Role

OWN = frozenset(
    (
        b"/usr/bin",
        b"/usr/lib/x86_64-linux-gnu",
        b"/usr/lib/x86_64-linux-gnu/gconv",
        b"/lib/x86_64-linux-gnu",
        b"/usr/lib/gcc/x86_64-linux-gnu/12",
        b"/opt/include-tools/bin",
    )
)
SHARED = frozenset((b"/usr/include", b"/usr/lib/gcc/x86_64-linux-gnu/12/include", b"/usr/include/c++/12"))
DIGEST = b"d" * 32
HOME = b"/home/alice"


def file(path: Any, **more: Any) -> Any:
    return Entry(path, **{"kind": Kind.FILE, "blob": DIGEST, "size": 1, **more})


def directory(path: Any) -> Any:
    return Entry(path, Kind.DIRECTORY, mode=0o755, role=Role.PRESENT)


def link(path: Any, target: Any) -> Any:
    return Entry(path, Kind.LINK, target, role=Role.PRESENT)


def shared_tree(path: Any, **more: Any) -> Any:
    return Entry(path, **{"kind": Kind.SHARED_TREE, "blob": DIGEST, "mode": 0o755, "role": Role.PRESENT, **more})


def check(*entries: Any, cwd: Any = HOME, outputs: Any = (b"a.o",), order: bool = True, **more: Any) -> Any:
    """With an entry for alice's own directory, unless there is one for it or for what is below it."""
    if cwd == HOME and order and not any((entry.path + b"/").startswith(HOME + b"/") for entry in entries):
        entries = (*entries, directory(HOME))
    ordered = sorted(entries, key=lambda entry: entry.path) if order else entries
    return check_manifest(Manifest(tuple(ordered)), OWN, SHARED, cwd, outputs, **more)


ORDINARY = [
    [file(b"/home/alice/a.c")],
    [file(b"/home/alice/a.c"), directory(b"/home/alice/inc"), file(b"/home/alice/inc/x.h")],
    [file(b"/usr/include/stdio.h"), directory(b"/usr"), directory(b"/usr/include")],
    [file(b"/usr/lib/gcc/x86_64-linux-gnu/12/include/stddef.h"), directory(b"/usr/lib/gcc/x86_64-linux-gnu/12")],
    [file(b"/usr/lib/gcc/x86_64-linux-gnu/12/include-fixed/limits.h")],
    [
        file(b"/usr/lib/x86_64-linux-gnu/glib-2.0/include/glibconfig.h"),
        directory(b"/usr/lib/x86_64-linux-gnu/glib-2.0"),
    ],
    [file(b"/usr/local/include/x.h"), directory(b"/usr/local")],
    [file(b"/usr/src/linux/a.c"), file(b"/usr/share/x/y.c")],
    [file(b"/home/alice/a.c"), link(b"/home/alice/inc", b"../alice/real"), file(b"/home/alice/real/x.h")],
    [link(b"/home/alice/now", b"/home/alice/later")],
    [link(b"/lib", b"usr/lib"), link(b"/lib64", b"/usr/lib64")],
    [link(b"/home/alice/null.h", b"/dev/null")],
    [directory(b"/")],
    [directory(b"/usr/lib"), directory(b"/usr/lib/gcc"), directory(b"/usr/lib/x86_64-linux-gnu")],
    [file(b"/home/alice/\xff\xfe name.c"), file(b"/home/alice/@x.h")],
    [file(b"/home/alice/a.h", inode=7), file(b"/home/alice/b.h", inode=7)],
    [link(b"/usr/lib/clang/14/include", b"../../llvm-14/lib/clang/14.0.6/include"), directory(b"/usr/lib/clang/14")],
    [
        file(b"/usr/lib/gcc-cross/arm/12/crtbegin.o"),
        directory(b"/usr/lib/gcc-cross"),
        directory(b"/usr/lib/gcc-cross/arm/12"),
    ],
    [directory(b"/usr/lib/gcc-cross/arm/12")],
    [shared_tree(b"/usr/include"), shared_tree(b"/usr/lib/gcc/x86_64-linux-gnu/12/include"), file(b"/home/alice/a.c")],
    [shared_tree(b"/usr/lib/llvm-14/include"), directory(b"/usr/lib/llvm-14"), shared_tree(b"/usr/local/include")],
    [
        shared_tree(b"/opt/site/release-3"),
        file(b"/opt/site/release-3.h"),
        link(b"/home/alice/now", b"/opt/site/release-3/x"),
    ],
    [
        shared_tree(b"/usr/src/linux"),
        shared_tree(b"/usr/include-more/include"),
        shared_tree(b"/opt/include-tools/include"),
    ],
]


@pytest.mark.parametrize("entries", ORDINARY)
def test_ordinary_trees(entries: Any) -> None:
    checked = check(*entries)
    assert set(checked.directories) >= {b"/", b"/home", b"/home/alice"}
    assert list(checked.directories) == sorted(set(checked.directories))
    for entry in entries:
        assert entry.path == b"/" or (entry.path.rpartition(b"/")[0] or b"/") in checked.directories


def test_what_is_checked_has_no_execute_bits() -> None:
    checked = check(file(b"/home/alice/a.c", mode=0o755), file(b"/home/alice/b.h", mode=0o640, size=5))
    assert [entry.mode for entry in checked.entries] == [0o644, 0o640]
    assert checked.source == 6


ATTACKS = {
    "relative": [file(b"a.c")],
    "empty": [file(b"")],
    "dot": [file(b"/home/./a.c")],
    "dot dot": [file(b"/home/../etc/passwd")],
    "double slash": [file(b"/home//a.c")],
    "trailing slash": [file(b"/home/a.c/")],
    "root as file": [file(b"/")],
    "nul": [file(b"/home/a\0.c")],
    "newline": [file(b"/home/a\n.c")],
    "escape": [file(b"/home/\x1b[2J.c")],
    "long component": [file(b"/home/" + b"x" * 256)],
    "long path": [file(b"/x" * 100 + b"/" + b"y" * 4000)],
    "deep": [file(b"/x" * (limits.PATH_DEPTH + 1))],
    "etc": [file(b"/etc/ld.so.preload")],
    "etc itself": [file(b"/etc")],
    "etc directory": [directory(b"/etc/ld.so.conf.d")],
    "dev": [file(b"/dev/null")],
    "proc": [file(b"/proc/self/exe")],
    "sys": [link(b"/sys", b"/home")],
    "own": [file(b"/.securecc/tmp/x")],
    "assembler beside cc1": [file(b"/usr/lib/gcc/x86_64-linux-gnu/12/as")],
    "specs beside cc1": [file(b"/usr/lib/gcc/x86_64-linux-gnu/12/specs")],
    "specs above": [file(b"/usr/lib/gcc/x86_64-linux-gnu/specs")],
    "specs of the tool directory": [file(b"/usr/x86_64-linux-gnu/lib/specs")],
    "assembler of the tool directory": [file(b"/usr/x86_64-linux-gnu/bin/as")],
    "program": [file(b"/usr/bin/as")],
    "local program": [file(b"/usr/local/bin/as")],
    "library": [file(b"/usr/lib/x86_64-linux-gnu/libz.so.1")],
    "library elsewhere": [file(b"/lib64/libz.so.1")],
    "hwcaps": [file(b"/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1")],
    "gconv": [file(b"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules")],
    "catalogue": [file(b"/usr/share/locale/de/LC_MESSAGES/gcc-12.mo")],
    "include above the tools": [file(b"/opt/include-tools/bin/as")],
    "named include": [file(b"/usr/bin/include")],
    "directory of programs": [file(b"/usr/bin")],
    "directory of headers": [file(b"/usr/include")],
    "link for the toolchain": [link(b"/usr", b"/home/mallory/usr")],
    "link for libraries": [link(b"/lib", b"/home/mallory/lib")],
    "link for the loader": [link(b"/lib64", b"home/mallory")],
    "link among the tools": [link(b"/usr/lib/gcc/x86_64-linux-gnu/12/plugin", b"/home/mallory")],
    "link in the include directory's place": [link(b"/usr/include", b"/home/mallory")],
    "link to headers for the tools": [link(b"/usr/lib/gcc/x86_64-linux-gnu/12/include", b"/home/mallory")],
    "link to headers among programs": [link(b"/usr/bin/include", b"/home/mallory")],
    "another gcc's program": [file(b"/usr/lib/gcc-cross/arm/12/crtbegin.o"), file(b"/usr/lib/gcc-cross/arm/12/as")],
    "another gcc's link": [link(b"/usr/lib/gcc-cross/arm/12/crtbegin.o", b"/home/mallory/x")],
    "a directory of another gcc's": [directory(b"/usr/lib/gcc-cross/arm/12/plugin")],
    "file for libraries": [file(b"/lib")],
    "directory among the tools": [directory(b"/usr/lib/x86_64-linux-gnu/glibc-hwcaps")],
    "below a file": [file(b"/home/x"), file(b"/home/x/y")],
    "far below a file": [file(b"/home/x"), file(b"/home/x.h"), file(b"/home/x/y/z/a.h")],
    "below a link": [link(b"/home/x", b"/tmp"), file(b"/home/x/y")],
    "directory below a link": [link(b"/home/x", b"/tmp"), directory(b"/home/x/y")],
    "working directory is a file": [file(b"/home/alice")],
    "working directory is a link": [link(b"/home/alice", b"/home/bob")],
    "circle": [link(b"/home/a", b"/home/b"), link(b"/home/b", b"a")],
    "circle of one": [link(b"/home/a", b"a")],
    "growing circle": [link(b"/home/a", b"a/a/a/a")],
    "link to etc": [link(b"/home/a", b"/etc/passwd")],
    "link out of the tree": [link(b"/home/a", b"../../../../etc")],
    "link by a link": [link(b"/home/a", b"b/etc"), link(b"/home/b", b"/")],
    "link to proc": [link(b"/home/a", b"/proc/self/environ")],
    "link to nothing": [link(b"/home/a", b"")],
    "link with nul": [link(b"/home/a", b"x\0")],
    "long link": [link(b"/home/a", b"x/" * 3000)],
    "setuid": [file(b"/home/a", mode=0o4755)],
    "file type in mode": [file(b"/home/a", mode=0o100644)],
    "negative mode": [file(b"/home/a", mode=-1)],
    "short digest": [file(b"/home/a", blob=b"d")],
    "no digest": [file(b"/home/a", blob=b"")],
    "negative size": [file(b"/home/a", size=-1)],
    "huge": [file(b"/home/a", size=limits.BLOB + 1)],
    "huge together": [file(b"/home/%d" % n, size=limits.BLOB) for n in range(5)],
    "directory with content": [Entry(b"/home/a", Kind.DIRECTORY, DIGEST, mode=0o755)],
    "sized directory": [Entry(b"/home/a", Kind.DIRECTORY, size=1, mode=0o755)],
    "time out of range": [file(b"/home/a", mtime_ns=1 << 63)],
    "negative inode": [file(b"/home/a", inode=-1)],
    "one inode, two contents": [file(b"/home/a", inode=1), file(b"/home/b", inode=1, blob=b"e" * 32)],
    "shared tree over all": [shared_tree(b"/")],
    "shared tree over the system": [shared_tree(b"/usr")],
    "shared tree for libraries": [shared_tree(b"/lib")],
    "shared tree over programs": [shared_tree(b"/usr/bin")],
    "shared tree among programs": [shared_tree(b"/usr/bin/x")],
    "shared tree over the tools": [shared_tree(b"/usr/lib/gcc/x86_64-linux-gnu/12")],
    "shared tree above the tools": [shared_tree(b"/usr/lib/gcc")],
    "shared tree among the tools": [shared_tree(b"/usr/lib/gcc/x86_64-linux-gnu/12/plugin")],
    "shared tree above somebody's tools": [shared_tree(b"/opt/include-tools")],
    "shared tree over catalogues": [shared_tree(b"/usr/share/locale")],
    "shared tree above catalogues": [shared_tree(b"/usr/share")],
    "shared tree in a tool directory": [shared_tree(b"/usr/x86_64-linux-gnu/bin")],
    "shared tree over etc": [shared_tree(b"/etc")],
    "shared tree in etc": [shared_tree(b"/etc/include")],
    "shared tree over proc": [shared_tree(b"/proc")],
    "shared tree over ours": [shared_tree(b"/.securecc/tmp")],
    "shared tree not normalised": [shared_tree(b"/usr/include/../bin")],
    "shared tree with a file in it": [shared_tree(b"/usr/include"), file(b"/usr/include/stdio.h")],
    "shared tree with a file deep in it": [
        shared_tree(b"/usr/include"),
        file(b"/usr/include-x"),
        file(b"/usr/include/a/b.h"),
    ],
    "shared tree with a directory in it": [shared_tree(b"/usr/include"), directory(b"/usr/include/sys")],
    "shared tree with a link in it": [shared_tree(b"/usr/include"), link(b"/usr/include/x", b"/home/alice")],
    "shared tree in a shared tree": [shared_tree(b"/usr/include"), shared_tree(b"/usr/include/c++/12")],
    "shared tree below a link": [link(b"/home/alice/inc", b"/usr/include"), shared_tree(b"/home/alice/inc/sys")],
    "shared tree below a file": [file(b"/home/alice/inc"), shared_tree(b"/home/alice/inc/sys")],
    "shared tree as working directory": [shared_tree(b"/home/alice")],
    "shared tree above the working directory": [shared_tree(b"/home")],
    "shared tree with a short digest": [shared_tree(b"/usr/include", blob=b"d")],
    "shared tree without digest": [shared_tree(b"/usr/include", blob=b"")],
    "shared tree with a long digest": [shared_tree(b"/usr/include", blob=DIGEST * 2)],
    "sized shared tree": [shared_tree(b"/usr/include", size=1)],
    "shared tree with an inode": [shared_tree(b"/usr/include", inode=1)],
    "too many shared trees": [shared_tree(b"/opt/%d" % n) for n in range(limits.SHARED_TREES + 1)],
    "one inode, two times": [file(b"/home/a", inode=1), file(b"/home/b", inode=1, mtime_ns=5)],
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks(name: Any) -> None:
    with pytest.raises(PathError) as caught:
        check(*ATTACKS[name])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "entries",
    [
        [file(b"/home/a"), file(b"/home/a")],
        [file(b"/home/b"), file(b"/home/a")],
        [shared_tree(b"/home/a"), shared_tree(b"/home/a")],
        [directory(b"/home/a"), shared_tree(b"/home/a")],
    ],
)
def test_order_and_uniqueness(entries: Any) -> None:
    with pytest.raises(PathError, match="out of order, or there twice"):
        check(*entries, order=False)


MESSAGES = b"/usr/share/locale/de/LC_MESSAGES/gcc-12.mo"


@pytest.mark.parametrize("cwd", [b"/nowhere", b"/home/alice/src", b"/home/alice/a.c/x", b"/home/bob", b"/tmp"])
def test_a_working_directory_that_no_entry_makes(cwd: Any) -> None:
    with pytest.raises(PathError, match="working directory that no entry makes"):
        check(file(b"/home/alice/a.c"), cwd=cwd, outputs=(b"/home/alice/a.o",))


@pytest.mark.parametrize("cwd", [b"/", b"/home", b"/home/alice", b"/home/alice/empty"])
def test_a_working_directory_that_an_entry_makes_or_implies(cwd: Any) -> None:
    check(file(b"/home/alice/a.c"), directory(b"/home/alice/empty"), cwd=cwd, outputs=(b"/home/alice/a.o",))


def test_a_catalogue_of_the_toolchains_own_may_stand_there_and_no_other() -> None:
    ours = frozenset(((MESSAGES, DIGEST),))
    way = [directory(b"/usr/share/locale"), directory(b"/usr/share/locale/de")]
    checked = check(*way, file(MESSAGES), catalogues=ours)
    assert MESSAGES.rpartition(b"/")[0] in checked.directories
    for other in (
        file(MESSAGES, blob=b"e" * 32),
        file(b"/usr/share/locale/de/LC_MESSAGES/gas.mo"),
        link(MESSAGES, b"/home/alice/x"),
        Entry(MESSAGES, Kind.SHARED_TREE, DIGEST, mode=0o755),
    ):
        with pytest.raises(PathError):
            check(other, catalogues=ours)
        with pytest.raises(PathError):
            check(other, file(MESSAGES[:-3] + b"2.mo"), catalogues=ours | {(MESSAGES[:-3] + b"2.mo", DIGEST)})
    with pytest.raises(PathError):
        check(file(MESSAGES))


def test_standard_input_stands_where_a_compile_reads_it_and_nowhere_else() -> None:
    checked = check(file(INPUT), file(b"/home/alice/a.h"), reads_input=True)
    assert [entry.path for entry in checked.entries] == [INPUT, b"/home/alice/a.h"]
    assert not any(path.startswith(b"/.securecc") for path in checked.directories)
    for entries, reads in (
        ([file(INPUT)], False),
        ([file(b"/home/alice/a.h")], True),
        ([link(INPUT, b"/home/alice/a.h")], True),
        ([directory(INPUT)], True),
        ([file(INPUT, inode=1), file(b"/home/alice/a.h", inode=1)], True),
        ([file(INPUT), file(b"/.securecc/tmp/x")], True),
        ([file(INPUT), file(INPUT + b"/x")], True),
        ([file(INPUT), directory(b"/.securecc")], True),
    ):
        with pytest.raises(PathError):
            check(*entries, reads_input=reads)


def test_too_many_entries() -> None:
    with pytest.raises(PathError, match="at most"):
        check(*[directory(b"/home/%d" % n) for n in range(limits.MANIFEST_ENTRIES + 1)])


def test_link_farm_is_bounded() -> None:
    with pytest.raises(PathError, match="too many to follow"):
        check(*[link(b"/home/%05d" % n, b"x/" * 1000) for n in range(1000)])


@pytest.mark.parametrize(
    "cwd", [b"home", b"/home/../x", b"/etc", b"/usr/bin", b"/usr", b"/proc/1", b"/lib/x", b"/a\nb", b""]
)
def test_working_directories(cwd: Any) -> None:
    with pytest.raises(PathError):
        check(file(b"/home/alice/a.c"), cwd=cwd)


@pytest.mark.parametrize(
    "output", [b"a.c", b"/home/alice/a.c", b"../alice/./a.c", b"/usr/bin/as", b"../../etc/x", b"/dev/sda", b"x" * 300]
)
def test_outputs_over_inputs_or_tools(output: Any) -> None:
    with pytest.raises(PathError):
        check(file(b"/home/alice/a.c"), outputs=(b"a.o", output))


@pytest.mark.parametrize("output", [b"/opt/site/a.o", b"/opt/site/x/a.o", b"../../opt/site/x/y/a.o", b"/opt/site"])
def test_outputs_in_a_shared_tree(output: Any) -> None:
    with pytest.raises(PathError):
        check(shared_tree(b"/opt/site"), outputs=(b"a.o", output))


@pytest.mark.parametrize("output", [b"a.o", b"no/such/folder/a.o", b"/tmp/x.o", b"../bob/a.o"])
def test_outputs_elsewhere(output: Any) -> None:
    check(file(b"/home/alice/a.c"), outputs=(output,))


@pytest.mark.parametrize(
    ("path", "seen"),
    [(b"a", b"/w/x/a"), (b"./../a//b/", b"/w/a/b"), (b"/a/../..", b"/"), (b"../../../../a", b"/a")],
)
def test_absolute(path: Any, seen: Any) -> None:
    assert absolute(path, b"/w/x") == seen


PIECES = st.sampled_from(
    [b"home", b"usr", b"lib", b"include", b"..", b".", b"", b"a\n", b"x.h", b"etc", b"bin", b"gcc"]
)
PATHS = st.lists(PIECES, max_size=5).map(lambda names: b"/" + b"/".join(names)) | st.binary(max_size=8)
ENTRIES = st.builds(
    Entry,
    path=PATHS,
    kind=st.sampled_from(list(Kind)),
    blob=st.sampled_from([b"", DIGEST, b"../x", b"/etc", b"/home"]),
    size=st.integers(-1, 2),
    mode=st.sampled_from([0o644, 0o755, 0o4755]),
)


@given(st.lists(ENTRIES, max_size=6), PATHS, st.lists(PATHS, max_size=2))
def test_checked_or_path_error(entries: Any, cwd: Any, outputs: Any) -> None:
    try:
        checked = check(*entries, cwd=cwd, outputs=outputs)
    except PathError:
        return
    directories = set(checked.directories)
    others = {entry.path for entry in checked.entries if entry.kind is not Kind.DIRECTORY}
    assert not directories & others
    for path in others | directories:
        assert b".." not in path.split(b"/")
        assert not path.startswith((b"/etc/", b"/usr/bin/"))
        assert (path.rpartition(b"/")[0] or b"/") in directories
