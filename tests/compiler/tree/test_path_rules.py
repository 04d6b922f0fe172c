"""securecc.compiler.tree.path_rules: where a client's files may lie."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.tree import path_rules
from securecc.compiler.tree.path_rules import FORBIDDEN, PathRules, ancestors, check_path, path_rules_of
from securecc.model.errors import PathError
from securecc.model.manifest import Kind

GCC = b"/opt/gcc/lib/gcc/x86_64/12"
HERE = path_rules_of(frozenset((b"/opt/gcc/bin", GCC)), frozenset((GCC + b"/include",)))


@pytest.mark.parametrize(
    ("directory", "allowed"),
    [
        (b"/home/alice", True),
        (GCC + b"/include", True),
        (GCC + b"/include/sys", True),
        (GCC + b"/plugin", False),
        (GCC + b"/plugin/include", True),
        (b"/opt/gcc/bin", False),
        (b"/opt/gcc", True),
        (b"/usr/bin", False),
        (b"/usr/include/x", True),
        (b"/usr/share/x", True),
        (b"/usr/share/locale/de", False),
    ],
)
def test_directories(directory: Any, allowed: Any) -> None:
    for _ in range(2):  # remembered, then
        assert HERE.allows(directory) is allowed
        if allowed:
            assert HERE.parent(directory + b"/x.h", Kind.FILE) == directory
        else:
            with pytest.raises(PathError):
                HERE.parent(directory + b"/x.h", Kind.FILE)


CROSS = b"/usr/lib/gcc-cross/aarch64-linux-gnu/12"


@pytest.mark.parametrize(
    ("path", "kind", "may"),
    [
        (CROSS + b"/crtbegin.o", Kind.FILE, True),
        (CROSS + b"/32/crtbegin.o", Kind.FILE, True),
        (CROSS + b"/crtbegin.o", Kind.LINK, False),
        (CROSS + b"/as", Kind.FILE, False),
        (CROSS, Kind.DIRECTORY, True),
        (CROSS, Kind.FILE, False),
        (CROSS + b"/plugin/crtbegin.o", Kind.FILE, False),
        (b"/usr/lib/crtbegin.o", Kind.FILE, False),
        (GCC + b"/crtbegin.o", Kind.FILE, False),
        (b"/usr/lib/clang/14/include", Kind.LINK, True),
        (b"/usr/lib/clang/14/include", Kind.FILE, False),
        (b"/usr/lib/clang/14/lib", Kind.LINK, False),
        (b"/opt/gcc/bin/include", Kind.LINK, False),
        (b"/usr/include", Kind.LINK, False),
        (GCC + b"/include", Kind.LINK, False),
    ],
)
def test_what_shows_clang_the_way(path: Any, kind: Any, may: Any) -> None:
    if may:
        assert HERE.parent(path, kind) == path.rpartition(b"/")[0]
    else:
        with pytest.raises(PathError):
            HERE.parent(path, kind)


def test_a_toolchains_rules_are_remembered() -> None:
    assert path_rules_of(HERE.own, HERE.shared) is path_rules_of(HERE.own, HERE.shared)


@given(st.lists(st.sampled_from([b"", b".", b"..", b"a", b"etc", b"dev", b"b c", b"x\n"]), max_size=5))
def test_a_path_that_passes_is_what_it_says(parts: Any) -> None:
    path = b"/" + b"/".join(parts)
    try:
        check_path(path)
    except PathError:
        return
    assert path == b"/" or not {b"", b".", b".."} & set(path[1:].split(b"/"))
    assert b"/" + path[1:].partition(b"/")[0] not in FORBIDDEN
    assert b"\n" not in path
    assert all(path.startswith(above + b"/") for above in ancestors(path))


def test_a_full_memory_forgets_its_older_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never all of it: the verdicts of the jobs under way stay."""
    monkeypatch.setattr(path_rules, "_VERDICTS", 8)
    rules = PathRules(frozenset(), frozenset())
    for number in range(9):
        rules.parent(b"/home/alice/%d" % number, Kind.FILE)
    assert list(rules.parents[Kind.FILE]) == [b"/home/alice/%d" % number for number in range(4, 9)]
