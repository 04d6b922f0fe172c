"""securecc.compiler.assembly: what an assembler reads is named, or known to be possible."""

import subprocess

import pytest

from securecc.compiler import assembly
from securecc.compiler.directives import needs_local, scan


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
def test_a_file_that_is_named(text):
    found = scan(text)
    assert found.assembled == (b"x",)
    assert needs_local(found) is None
    assert needs_local(found, assembled=True) is None


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
def test_a_name_that_is_put_together_in_strings(text):
    assert needs_local(scan(text)).reason == "assembler"


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
def test_a_directive_that_is_put_together_in_assembly(text):
    assert needs_local(scan(text), assembled=True).reason == "assembler"


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
def test_common_assembly_hides_nothing(text):
    assert needs_local(scan(text), assembled=True) is None


def test_the_assembler_does_read_what_is_named(tmp_path):
    (tmp_path / "blob").write_bytes(b"one")
    (tmp_path / "m.inc").write_bytes(b'.incbin "blob"\n')
    for name, text in (("a.c", b'asm(".include \\"m.inc\\"");\n'), ("a.s", b'.INCLUDE "m.inc"\n')):
        (tmp_path / name).write_bytes(text)
        subprocess.run(["gcc", "-c", name, "-o", "a.o"], cwd=tmp_path, check=True, timeout=30)
        assert b"one" in (tmp_path / "a.o").read_bytes()
        assert assembly.named(text) == (b"m.inc",)
