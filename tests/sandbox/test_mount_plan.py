"""Where a client's tree and a toolchain's may meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.toolchain.closure import ClosureFile
from securecc.model import limits
from securecc.model.errors import PathError
from securecc.model.manifest import INPUT, Entry, Kind
from securecc.sandbox import mount_plan
from tests.closure_sample import CLOSURE, GCC

TREE = mount_plan.toolchain_tree(CLOSURE)


def places(*paths: bytes, kind: Kind = Kind.FILE, blob: bytes = b"") -> tuple[bytes, ...]:
    return mount_plan.mountpoints([Entry(path, kind, blob) for path in paths], TREE)


def test_what_a_toolchain_takes() -> None:
    assert TREE.tops == {b"usr"}
    assert {link.path for link in TREE.links} == {b"/lib", b"/etc/alternatives/cc"}
    assert {b"/usr", b"/usr/bin", GCC} <= TREE.folders


def test_a_toolchain_may_not_take_the_root() -> None:
    import dataclasses

    rootless = dataclasses.replace(CLOSURE, files=(ClosureFile(b"/cc1", Kind.FILE, b""),))
    with pytest.raises(PathError, match="root directory"):
        mount_plan.toolchain_tree(rootless)


def test_where_a_usual_compile_meets_gcc() -> None:
    assert places(
        b"/usr/include/stdio.h", b"/usr/include/c++/12/vector", GCC + b"/include/stddef.h", b"/home/alice/a.c"
    ) == (b"/usr/include", GCC + b"/include")
    assert places(b"/usr/local/include", b"/usr", b"/usr/lib", kind=Kind.DIRECTORY) == (b"/usr/local",)
    assert places(b"/usr/lib/llvm-14/include/x.h", b"/usr/src/linux/a.c", b"/usr/local/src/b.c") == (
        b"/usr/lib/llvm-14",
        b"/usr/local",
        b"/usr/src",
    )


@pytest.mark.parametrize(
    "path",
    [
        GCC + b"/specs",
        GCC + b"/as",
        GCC + b"/plugin/evil.so",
        b"/usr/lib/gcc/x86_64-linux-gnu/specs",
        b"/usr/lib/gcc/x86_64-linux-gnu/13/specs",
        b"/usr/bin/as",
        b"/usr/bin/objcopy",
        b"/usr/bin/sub/as",
        b"/usr/x86_64-linux-gnu/bin/as",
        b"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
        b"/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libc.so.6",
        b"/usr/share/locale/de/LC_MESSAGES/gcc-12.mo",
        b"/usr/bin/gcc-12/include/x.h",
        b"/lib/x86_64-linux-gnu/libc.so.6",
        b"/lib",
        b"/etc/ld.so.preload",
        b"/etc/alternatives/cc",
        b"/dev/zero",
        b"/proc/self/mem",
        b"/sys/x",
        b"/.securecc/tmp/x",
        b"/usr/x.h",
    ],
)
@pytest.mark.parametrize("kind", [Kind.FILE, Kind.LINK])
def test_where_no_client_file_may_stand(path: bytes, kind: Kind) -> None:
    with pytest.raises(PathError):
        places(path, kind=kind, blob=b"elsewhere")


@pytest.mark.parametrize("top", [b"/home", b"/usr/src"])
def test_a_path_is_no_deeper_than_a_tree_may_be(top: bytes) -> None:
    places(top + b"/d" * (limits.PATH_DEPTH - top.count(b"/")))
    with pytest.raises(PathError, match="components"):
        places(top + b"/d" * 2000)


def test_standard_input_is_no_part_of_the_tree_that_a_job_sees() -> None:
    assert places(INPUT, b"/home/alice/a.h") == ()
    for path, kind in ((INPUT, Kind.LINK), (INPUT + b"/x", Kind.FILE)):
        with pytest.raises(PathError):
            places(path, kind=kind)


def test_what_shows_clang_the_way_to_headers_and_other_compilers() -> None:
    assert places(b"/usr/lib/clang/14/include", kind=Kind.LINK, blob=b"../x") == (b"/usr/lib/clang",)
    cross = b"/usr/lib/gcc-cross/arm-linux-gnu/12"
    assert places(cross + b"/crtbegin.o") == (b"/usr/lib/gcc-cross",)
    for path, kind in (
        (cross + b"/crtbegin.o", Kind.LINK),
        (cross + b"/as", Kind.FILE),
        (b"/usr/bin/include", Kind.LINK),
        (GCC + b"/crtbegin.o", Kind.FILE),
    ):
        with pytest.raises(PathError):
            places(path, kind=kind)


MESSAGES = b"/usr/share/locale/de/LC_MESSAGES/gcc-12.mo"


def test_a_catalogue_of_the_toolchains_own_may_stand_there_and_no_other() -> None:
    import dataclasses

    ours = dataclasses.replace(CLOSURE, catalogues=(ClosureFile(MESSAGES, Kind.FILE, b"m" * 32),))
    tree = mount_plan.toolchain_tree(ours)
    assert mount_plan.mountpoints([Entry(MESSAGES, Kind.FILE, b"m" * 32)], tree) == (b"/usr/share",)
    for entry in (
        Entry(MESSAGES, Kind.FILE, b"n" * 32),
        Entry(MESSAGES, Kind.LINK, b"m" * 32),
        Entry(MESSAGES[:-6] + b"13.mo", Kind.FILE, b"m" * 32),
    ):
        with pytest.raises(PathError):
            mount_plan.mountpoints([entry], tree)
    whole = dataclasses.replace(ours, files=(*ours.files, ClosureFile(MESSAGES + b"x", Kind.FILE, b"x")))
    with pytest.raises(PathError):
        mount_plan.mountpoints([Entry(MESSAGES, Kind.FILE, b"m" * 32)], mount_plan.toolchain_tree(whole))


def test_a_link_that_both_have_is_no_conflict() -> None:
    assert places(b"/lib", kind=Kind.LINK, blob=b"usr/lib") == ()
    assert places(b"/usr/bin/cc", kind=Kind.LINK, blob=b"/etc/alternatives/cc") == ()


def test_a_directory_where_the_toolchain_has_a_file() -> None:
    with pytest.raises(PathError):
        places(b"/usr/bin/as", kind=Kind.DIRECTORY)


def test_where_shared_trees_meet_gcc() -> None:
    assert places(b"/usr/include", GCC + b"/include", b"/opt/site/release", kind=Kind.SHARED_TREE) == (
        b"/usr/include",
        GCC + b"/include",
    )
    assert places(b"/usr/lib/llvm-14/include", b"/usr/src", kind=Kind.SHARED_TREE) == (b"/usr/lib/llvm-14", b"/usr/src")


SHARED_TREES = [b"/", b"/usr", b"/usr/bin", b"/usr/lib", GCC, GCC + b"/plugin", b"/usr/share", b"/usr/share/locale/de"]
SHARED_TREES += [b"/usr/x86_64-linux-gnu/bin", b"/usr/x86_64-linux-gnu", b"/usr/bin/as", b"/lib", b"/lib/x"]
SHARED_TREES += [b"/etc", b"/etc/alternatives", b"/etc/x", b"/dev", b"/proc/1", b"/sys", b"/.securecc"]


@pytest.mark.parametrize("path", SHARED_TREES)
def test_where_no_shared_tree_may_stand(path: bytes) -> None:
    with pytest.raises(PathError):
        places(path, kind=Kind.SHARED_TREE)


@pytest.mark.parametrize("place", [b"/opt/site", b"/usr/include"])
@pytest.mark.parametrize("kind", list(Kind))
def test_nothing_of_the_clients_is_at_or_below_a_shared_tree(place: bytes, kind: Kind) -> None:
    beside = [Entry(place, Kind.SHARED_TREE), Entry(place + b"-2/x.h", Kind.FILE)]
    mount_plan.mountpoints(beside, TREE)
    for path in (place, place + b"/x", place + b"/x/y"):
        for both in ([*beside, Entry(path, kind)], [Entry(path, kind), *beside]):
            with pytest.raises(PathError):
                mount_plan.mountpoints(both, TREE)


def test_the_number_of_meetings_is_bounded() -> None:
    crowd = [b"/usr/d%d/x.h" % number for number in range(limits.TREE_MOUNTPOINTS + 1)]
    with pytest.raises(PathError, match="at most"):
        places(*crowd)
    assert len(places(*crowd[1:])) == limits.TREE_MOUNTPOINTS


def test_errors_are_one_printable_line() -> None:
    with pytest.raises(PathError) as caught:
        places(b"/etc/\n\x1b[2J\xff")
    assert str(caught.value).isprintable()


NAMES = st.sampled_from([b"usr", b"lib", b"bin", b"gcc", b"include", b"x86_64-linux-gnu", b"12", b"specs", b"as", b"a"])


@given(st.lists(NAMES, min_size=1, max_size=6).map(lambda names: b"/" + b"/".join(names)))
def test_a_file_that_is_let_through_stands_below_a_mountpoint_that_the_toolchain_lacks(path: bytes) -> None:
    try:
        found = places(path)
    except PathError:
        return
    if path.startswith(b"/usr/"):
        assert len(found) == 1
        assert path.startswith(found[0] + b"/")
        assert found[0] not in TREE.folders
        above = [folder for folder in TREE.guarded if path.startswith(folder + b"/")]
        assert not above or b"include" in path


def test_what_the_toolchain_covers_is_not_made() -> None:
    entries = [
        Entry(b"/home/alice", Kind.DIRECTORY),
        Entry(b"/usr", Kind.DIRECTORY),
        Entry(b"/usr/include", Kind.SHARED_TREE, b"d" * 32),
        Entry(b"/usr/lib", Kind.DIRECTORY),
        Entry(b"/usr/local/include", Kind.DIRECTORY),
        Entry(b"/usr/local/include/sub", Kind.DIRECTORY),
        Entry(b"/usr/local/include2", Kind.DIRECTORY),
        Entry(b"/usr/local/include/sub/a.h", Kind.FILE, b"d" * 32),
    ]
    assert mount_plan.uncovered(entries, TREE, [b"/usr/local/include"]) == [0, 4, 5, 7]
    assert mount_plan.uncovered(entries, TREE, []) == [0, 7]
