"""securecc.compiler.source.assembler_directives: what an assembler reads is named, or known to be possible."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from securecc.compiler.source import assembler_directives
from securecc.compiler.source.directives import scan
from tests.waiting import CEILING_S


@pytest.mark.parametrize(
    "text",
    [
        b'asm(".incbin \\"x\\"");',
        b'asm(".INCBIN \\"x\\"");',
        b'asm("\\t.incbin \\"x\\", 1, 2\\n");',
        b'asm(R"(.incbin "x")");',
        b'asm(".include \\"x\\"");',
        b'asm(".inc\\\nbin \\"x\\"");',
        b'asm(".inc??/\nbin \\"x\\"");',
        b'\t.incbin\t"x"\n',
        b'.Include "x"\n',
    ],
)
def test_a_file_that_is_named(text: Any) -> None:
    found = scan(text)
    assert (found.assembled or found.embedded) == (b"x",)
    assert bool(found.embedded) == (b"bin" in text.lower())
    assert not any((found.assembles, found.joins, found.unnamed))


@pytest.mark.parametrize(
    "text",
    [
        b'asm(".incbin \\"x" "y\\"");',
        b'asm(".incbin \\"" NAME "\\"");',
        b'asm(".incbin \\"%c0\\"" :: "i"(1));',
        b'asm(".incbin \\"{a|b}\\"");',
        b'asm(".incbin \\"\\x41\\"");',
        b'asm(R"(.incbin "x\0")");',
        b'asm(".inc" "lude \\"x\\"");',
        b'asm(".incbin \\"x\\"; .incbin " NAME);',
    ],
)
def test_a_name_that_is_put_together_in_strings(text: Any) -> None:
    found = scan(text)
    assert found.assembles
    assert found.unnamed


@pytest.mark.parametrize("text", [b'asm(".macro m a\n.\\a "x"\n.endm");', b'asm(".rept 2\nnop\n.endr");'])
def test_strings_that_might_put_a_directive_together(text: Any) -> None:
    found = scan(text)
    assert found.assembles
    assert not found.unnamed


@pytest.mark.parametrize(
    "text",
    [
        b".incbin NAME\n",
        b'.macro m f\n.incbin "\\f"\n.endm\nm a\n',
        b'.macro m d\n.\\d "f"\n.endm\nm incbin\n',
        b'.macro m d\n.inc\\d "f"\n.endm\nm bin\n',
        b'.macro m d\n.i\\d "f"\n.endm\nm ncbin\n',
        b'.macro m a b\n\\a\\b "f"\n.endm\nm .in cbin\n',
        b'.macro m a b c\n\\a\\b\\c "f"\n.endm\nm . inc bin\n',
        b'.macro m a\n\\a\\()bin "f"\n.endm\nm .inc\n',
        b'.macro m a\nx: \\a\\()cbin "f"\n.endm\nm .in\n',
        b'.irp d, incbin\n.\\d "f"\n.endr\n',
        b'#define J(a, b) a##b\nJ(.i, ncbin) "f"\n',
        b'.altmacro\n.macro m a\n.inc&a "f"\n.endm\nm bin\n',
    ],
)
def test_a_directive_that_is_put_together_in_assembly(text: Any) -> None:
    assert scan(text).joins


@pytest.mark.parametrize(
    "text",
    [
        b".macro push reg\npushq %\\reg\n.cfi_adjust_cfa_offset 8\n.endm\npush rax\n",
        b".macro m\n.Lx\\@:\nincl %eax\njmp .Lx\\@\n.endm\n",
        b".rept 4\nnop\n.endr\n.if 1\ninc %eax\n.endif\n",
        b'#include "x.h"\n#define F(x) x##_f\nF(a): ret\n',
        b'.file "table.inc"\n.section .text\n',
    ],
)
def test_common_assembly_hides_nothing(text: Any) -> None:
    assert not scan(text).joins


def test_the_assembler_does_read_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"one")
    (tmp_path / "m.inc").write_bytes(b'.incbin "blob"\n')
    assert assembler_directives.embedded((tmp_path / "m.inc").read_bytes()) == (b"blob",)
    for name, text in (("a.c", b'asm(".include \\"m.inc\\"");\n'), ("a.s", b'.INCLUDE "m.inc"\n')):
        (tmp_path / name).write_bytes(text)
        subprocess.run(["gcc", "-c", name, "-o", "a.o"], cwd=tmp_path, check=True, timeout=CEILING_S)
        assert b"one" in (tmp_path / "a.o").read_bytes()
        assert assembler_directives.named(text) == (b"m.inc",)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b'INCBIN(data, "a/d.bin");', b"a/d.bin"),
        (b'INCBIN(data, "my data");', b"my data"),
        (b"INC(a/d.bin)", b"a/d.bin"),
        (b"m d-1.bin, 4", b"d-1.bin"),
        (b'DF="d.bin"', b"d.bin"),
        (b'".incbin \\"d.bin\\"\\n"', b"d.bin"),
        (b"m ../x.bin", b"../x.bin"),
    ],
)
def test_a_word_may_be_a_name(text: Any, word: Any) -> None:
    assert word in assembler_directives.words(text)


@pytest.mark.parametrize("word", [b"..", b"../", b"a/..", b"a/../"])
def test_a_word_may_begin_a_name_elsewhere(word: Any) -> None:
    assert assembler_directives.leads_upwards(word)


@pytest.mark.parametrize("word", [b"...", b"../x", b"a..", b"x../", b"f(..)"])
def test_a_word_that_leads_nowhere_else(word: Any) -> None:
    assert not assembler_directives.leads_upwards(word)
