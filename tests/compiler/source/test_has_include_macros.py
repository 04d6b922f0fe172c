"""securecc.compiler.source.has_include_macros: what is asked by macros that ask, and where that cannot be told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.source.directives import Name
from securecc.compiler.source.has_include_macros import Uses, hidden, replacements, spellings, uses, words

HAS = frozenset([b"HAS_FILE"])


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (b"#if HAS_FILE(<a/b.h>)", [Name(b"a/b.h", angled=True)]),
        (b'#if 1 && HAS_FILE ( "b.h" )', [Name(b"b.h")]),
        (b"#if HAS_FILE(<a>) || HAS_\\\nFILE(<b>)", [Name(b"a", angled=True), Name(b"b", angled=True)]),
        (b"#define WITH HAS_FILE(<a>)", [Name(b"a", angled=True)]),
        (b"#define HAS_FILE(x) __has_include(x)", []),
        (b"#ifdef HAS_FILE\n#undef HAS_FILE\n#elif defined(HAS_FILE) && !defined HAS_FILE\n#endif", []),
        (b"/* HAS_FILE says whether a file is there */ // as HAS_FILE does", []),
        (b"int MY_HAS_FILE, HAS_FILES;", []),
        (b"#if 1 /* a\n */ && HAS_FILE(<a>)", [Name(b"a", angled=True)]),
    ],
)
def test_what_is_spelled_is_asked(text: Any, asked: Any) -> None:
    found = uses(text, HAS)
    assert list(found.queried) == asked
    assert not hidden([found], HAS)


@pytest.mark.parametrize(
    "text",
    [
        b"#if HAS_FILE(NAME)",
        b"#define MY_HAS(x) HAS_FILE(x)",
        b"#define APPLY(f) f(<a>)\n#if APPLY(HAS_FILE)",
        b"#if HAS_FILE /* a */ (NAME)",
        b'#if HAS_FILE("a" "b")',
        b'#if HAS_FILE("a\\b")',
        b'R"(/*)" HAS_FILE(X) "*/"',
        b"#define J(a, b) a##b\n#if J(HAS_, FILE)(NAME)",
        b"#if J(HAS_F, ILE)(NAME)\n#define ILEX",
    ],
)
def test_what_is_not_spelled_is_hidden(text: Any) -> None:
    assert hidden([uses(text, HAS), uses(b"HAS_ ILE", HAS)], HAS) is True


def test_pieces_of_two_files_come_together() -> None:
    one, other = uses(b"J(HAS_, x)", HAS), uses(b"FILE *f;", HAS)
    assert not hidden([one], HAS)
    assert not hidden([other], HAS)
    assert hidden([one, other], HAS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"#define types types64", {(b"types", b"types64")}),
        (b"#  define\ttypes t /* for now */\n#define sys s // too", {(b"types", b"t"), (b"sys", b"s")}),
        (b"#define types \\\n t", {(b"types", b"t")}),
        (b"#define types", {(b"types", b"")}),
        (b"#define types a b", {(b"types", b"")}),
        (b"#define types <x>", {(b"types", b"")}),
        (b"#define types(x) x", set()),
        (b"#define my_types x\n#define types_", set()),
        (b"int types;", set()),
    ],
)
def test_what_a_word_stands_for(text: Any, found: Any) -> None:
    assert replacements(text, frozenset([b"types", b"sys"])) == found


def test_words_are_those_in_angles() -> None:
    assert words([Name(b"quoted.h"), Name(b"sys/t.h", angled=True)]) == {b"sys", b"t", b"h"}
    assert replacements(b"#define x y", frozenset()) == frozenset()


def angled(*names: Any) -> Any:
    return frozenset(Name(name, angled=True) for name in names)


def test_all_spellings() -> None:
    replaced = {b"a": frozenset([b"x", b"b"]), b"b": frozenset([b"a", b"c"])}
    quoted = frozenset([Name(b"a.h")])
    assert spellings(angled(b"a/b.h"), replaced) == angled(
        *(b"%b/%b.h" % (x, y) for x in b"a x b c".split() for y in b"a x b c".split())
    )
    assert spellings(quoted, replaced) == quoted
    assert spellings(angled(b"a.h"), {b"a": frozenset([b""])}) is None
    assert spellings(angled(b"a(b).h"), replaced) is None
    many = frozenset(b"w%d" % number for number in range(400))
    assert spellings(angled(b"a"), {b"a": many}) is None


@given(st.binary(), st.binary(max_size=12))
def test_any_bytes_are_read(text: Any, tail: Any) -> None:
    assert isinstance(uses(text + b"HAS_FILE" + tail, HAS), Uses)
