"""securecc.compiler.source.directives, by itself and against what real gcc opens."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.compiler.source import dependency_output
from securecc.compiler.source.directives import Directives, Name, needs_local, redefined, scan
from tests.waiting import CEILING_S


@pytest.mark.parametrize(
    "spelling",
    [
        b'#include "x.h"',
        b'  #  include\t"x.h"  // why',
        b'#include"x.h"',
        b'%:include "x.h"',
        b'??=include "x.h"',
        b'#inc\\\nlude "x.h"',
        b'#inc\\ \t\nlude "x.h"',
        b'#inc\\\r\nlude "x.h"',
        b'#inc??/\nlude "x.h"',
        b'#include \\\n "x.h"',
        b'#include "x\\\n.h"',
        b'/* a */ # /* b\n */ include /* c */ "x.h"',
        b'#include/**/"x.h"',
        b'#\0include "x.h"',
        b'#import "x.h"',
        b'int a; /*\n*/#include "x.h"',
        b'\xef\xbb\xbf#include "x.h"',
        b'#if 0\n#include "x.h"\n#endif',
        b'char *s = "/*";\n#include "x.h"\nchar *t = "*/";',
        b'char *s = R"(/*)";\n# /**/ include "x.h"',
        b'#include_next "x.h"',
    ],
)
def test_includes(spelling: Any) -> None:
    assert "x.h" in [name.spelled.decode() for name in scan(spelling).includes if not name.angled]


def test_names() -> None:
    found = scan(b'#include <a/b.h>\n#include_next "c.h"\n#include_next <d.h>\n#include <a/b.h>\n#include MACRO\n')
    assert found.includes == (
        Name(b"a/b.h", angled=True),
        Name(b"c.h", following=True),
        Name(b"d.h", angled=True, following=True),
    )
    assert found.computed_include
    assert needs_local(found) is None


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (b"#if __has_include(<x.h>)", [Name(b"x.h", angled=True)]),
        (b'#if defined(__has_include) && __has_include( "x.h" )', [Name(b"x.h")]),
        (b"#if __has_include_next(<x.h>)", [Name(b"x.h", angled=True, following=True)]),
        (b"#if __has_include__(<x.h>)", [Name(b"x.h", angled=True)]),
        (b"#if __has_in\\\nclude(<x.h>)", [Name(b"x.h", angled=True)]),
        (b'#if __has_include /* a */ ( /* b */ "x.h")', [Name(b"x.h")]),
        (b"#ifdef __has_include\n#endif", []),
        (b"#define __has_include(x) 0", []),
    ],
)
def test_asked(text: Any, asked: Any) -> None:
    found = scan(text)
    assert list(found.queried) == asked
    assert not found.computed_query
    assert needs_local(found) is None


LOCAL = {
    b"#line N": "computed-line",
    b'#line __LINE__ "x"': "computed-line",
    b"#line 3 NAME": "computed-line",
    b'#line 3 "a\\\\b"': "computed-line",
    b"# 3 NAME": "computed-line",
    b" # /**/ 3 /* */ NAME": "computed-line",
    b"/* */ # 3 NAME": "computed-line",
    b"#pragma GCC dependency NAME": "dependency-pragma",
    b'_Pragma("GCC dependency \\"x.y\\"")': "dependency-pragma",
    b'#pragma GCC pch_preprocess "x.gch"': "precompiled-header",
    b"char *t = __TIME__;": "time",
    b"char *t = __DATE__;": "time",
    b"char *t = __TIMESTAMP__;": "time",
    b"char *t = __TI\\\nME__;": "time",
}


@pytest.mark.parametrize("text", LOCAL)
def test_stays_local(text: Any) -> None:
    for content in (text, b"int a;\n" + text + b"\nint b;\n", b"/* a */" + text):
        stays = needs_local(scan(content))
        assert stays is not None
        assert stays.reason == LOCAL[text]


@pytest.mark.parametrize(
    "text",
    [
        b'asm(".inc" "bin \\"x\\"");',
        b'asm(".in"\n  "cbin \\"x\\"");',
        b'asm("\\x2eincbin \\"x\\"");',
        b'asm(".\\151\\156cbin \\"x\\"");',
        b'__asm__(STRING(.inc) STRING(bin) " \\"x\\"");',
        b'asm(".irp a,bin\\n.inc\\\\a \\"x\\"\\n.endr");',
        b'asm(".macro m a\\n.i\\\\a \\"x\\"\\n.endm\\nm ncbin");',
        b'#define ORDER ".incbin"',
    ],
)
def test_the_assembler_may_read(text: Any) -> None:
    for content in (text, b"int a;\n" + text + b"\nint b;\n", b"/* a */" + text):
        assert scan(content).assembles


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'#include "table.inc"\n#include "x.include"',
        b"/* #line NUMBER and __TIME__, .incbin as well */",
        b'// asm(".incbin")\n',
        b'extern int f(void) __asm__("f_2");',
        b'asm("nop; .p2align 4");',
        b'#line 33\n# 1 "x.h" 2\n',
        b'#line 33 // so\n#line 7 /* or */ "so"\n',
        b"#pragma once\n#pragma GCC diagnostic push\n#define f(x) #x",
        b"s.macro = 1;",
        b"#define unique(name, line) name##line\n#define again(name, line) name## line",
        b"/* as in\n # 42 above */ int a; // # 1 b\n",
        b'char *s = "# 3 NAME";',
        b"#if X # 3 NAME",
    ],
)
def test_need_not_stay_local(text: Any) -> None:
    found = scan(text)
    assert needs_local(found) is None
    assert not found.assembles


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (b'#pragma GCC dependency "x.y" "and more"', Name(b"x.y")),
        (b"#pragma GCC  /* */ dependency <x.y>", Name(b"x.y", angled=True)),
        (b"#if __has_embed(<x>)", Name(b"x", angled=True)),
        (b'#if defined(__has_embed) && __has_embed("x" limit(1))', Name(b"x")),
    ],
)
def test_a_file_that_is_only_looked_at(text: Any, asked: Any) -> None:
    found = scan(text)
    assert found.queried == (asked,)
    assert needs_local(found) is None


@pytest.mark.parametrize("text", [b'#embed "x"', b'# /**/ embed "x" limit(4)', b"#embed <x>"])
def test_a_file_that_is_embedded(text: Any) -> None:
    found = scan(text)
    assert found.embedded == (b"x",)
    assert found.includes == ()
    assert not found.computed_include
    assert scan(b"#embed NAME").computed_include


@pytest.mark.parametrize(
    ("macro", "found"),
    [
        (b"D__DATE__=x", (b"__DATE__", b"x")),
        (b"U__TIME__", (b"__TIME__", b"")),
        (b"D__TIME__", (b"__TIME__", b"")),
        (b"D__TIME__X=1", (b"", b"D__TIME__X=1")),
        (b"D__TIME__(x)=1", (b"", b"D__TIME__(x)=1")),
        (b"DX=__TIME__", (b"", b"DX=__TIME__")),
    ],
)
def test_macros_of_the_time_that_are_redefined(macro: Any, found: Any) -> None:
    assert redefined(macro) == found


def test_a_line_by_a_macro_is_no_matter_where_all_names_are_known() -> None:
    assert needs_local(scan(b"#line 3 NAME"), knows_line_names=True) is None


def test_lines_are_shown() -> None:
    assert scan(b'#line 3 "a.y"\n# 7 "b.l" 2\n%:line 1 "c"\n').line_names == (b"a.y", b"b.l", b"c")
    assert scan(b'#line 7 /* or */ "so"\n').line_names == (b"so",)


@pytest.mark.parametrize(
    "text",
    [
        b"/* what was #included before */",
        b"// see #include_next\n",
        b'/* the variable "TMPDIR" is checked, previously #included. */',
    ],
)
def test_a_comment_that_speaks_of_including_computes_no_name(text: Any) -> None:
    assert not scan(text).computed_include


def test_a_raw_string_may_hide_the_end_of_what_looks_like_a_comment() -> None:
    assert scan(b'const char *s = R"(/*)";\n#include HEADER\n').computed_include


def test_dates_do_not_matter_when_the_epoch_is_given() -> None:
    assert needs_local(scan(b"__DATE__ __TIME__"), knows_time=True) is None
    assert needs_local(scan(b"__TIMESTAMP__"), knows_time=True) is not None


@given(st.binary(max_size=200) | st.text(alphabet="#include\"<>/*\\\n% R(x)?='", max_size=80).map(str.encode))
def test_anything_can_be_scanned(content: Any) -> None:
    assert isinstance(scan(content), Directives)


PIECES = [
    '#include "h{n}.h"\n',
    '  # include "h{n}.h" // c\n',
    '/* c */ %:include "h{n}.h"\n',
    '#inc\\\nlude "h{n}.h"\n',
    '# /* x\n */ include/**/"h{n}.h"\n',
    '#if 1\n#import "h{n}.h"\n#endif\n',
    'char *s{n} = "/*"; /* " */\n#include "h{n}.h"\n',
    "#if 0\ndon't /* '\n#endif */\n#endif\n#include \"h{n}.h\"\n",
    '#define N{n} "h{n}.h"\n#if __has_include("h{n}.h")\n#include "h{n}.h"\n#endif\n',
    "// a comment that goes on \\\n here\n",
    "int a{n} = 'x' + '\"' + '\\'';\n",
]


@settings(max_examples=10)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
def test_everything_that_gcc_opens_is_found(tmp_path_factory: pytest.TempPathFactory, pieces: Any) -> None:
    folder = tmp_path_factory.mktemp("generated")
    for number in range(len(pieces)):
        (folder / f"h{number}.h").write_text("")
    text = "".join(piece.replace("{n}", str(number)) for number, piece in enumerate(pieces))
    (folder / "a.c").write_text(text)
    done = subprocess.run(["gcc", "-M", "-w", "a.c"], cwd=folder, capture_output=True, check=False, timeout=CEILING_S)
    if done.returncode == 0:
        opened = {name for name in dependency_output.parse(done.stdout) if re.fullmatch(rb"h\d\.h", name)}
        assert opened <= {name.spelled for name in scan(text.encode()).includes}


def test_incbin_reads_what_no_list_of_dependencies_names(tmp_path: Path) -> None:
    """Why .incbin that is put together is more than a list of dependencies tells."""
    (tmp_path / "blob").write_bytes(b"one")
    source = b'asm(".section .data\\n.inc" "bin \\"blob\\"");\n'
    (tmp_path / "a.c").write_bytes(source)
    subprocess.run(["gcc", "-c", "-MD", "a.c"], cwd=tmp_path, check=True, timeout=CEILING_S)
    assert b"one" in (tmp_path / "a.o").read_bytes()
    assert b"blob" not in (tmp_path / "a.d").read_bytes()
    assert scan(source).assembles


@pytest.mark.parametrize(
    "text",
    [
        b"#if __has_include(NAME)",
        b"#if __has_embed(NAME)",
        b"#define HAS(x) __has_include(x)",
        b"#define HAS(x) /* a */ __has_include(x)\n#if __has_include /* b */ (<y>)",
        b"#define HAS __has_include",
        b'#if JOIN(__has_inc, lude)("x.h")',
        b'#if JOIN(__, has_include)("x.h")',
        b"-DHAS=__has_include",
    ],
)
def test_a_question_that_a_macro_hides(text: Any) -> None:
    found = scan(text)
    assert found.computed_query
    assert needs_local(found) is None


@pytest.mark.parametrize(
    "text",
    [
        b"#ifdef __has_include",
        b"#ifndef __has_include",
        b"#if defined __has_include",
        b"#if defined ( __has_include ) && 1",
        b"#undef __has_include",
        b"#define __has_include(x) 0",
        b"/* __has_include */",
        b"struct __has_##NAME { int has_include_path; };",
    ],
)
def test_a_mention_of_the_question_is_none(text: Any) -> None:
    assert needs_local(scan(text)) is None


@pytest.mark.parametrize("name", [b"__TIME__", b"__DATE__", b"__TIMESTAMP__"])
def test_a_time_macro_in_two_pieces(name: Any) -> None:
    for cut in range(1, len(name)):
        text = b"JOIN(" + name[:cut] + b", " + name[cut:] + b")"
        assert _reason(scan(text), knows_time=True) == "time"


@pytest.mark.parametrize("text", [b"NAME__ _TYPE__ __ATTRIBUTE__", b"__TIMER__ __DATABASE RUNTIME__", b"TIMES_ E__"])
def test_names_like_those_of_time_are_none(text: Any) -> None:
    assert needs_local(scan(text)) is None


def _reason(directives: Any, **known: Any) -> str:
    found = needs_local(directives, **known)
    return found.reason if found is not None else ""
