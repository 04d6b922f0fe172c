"""securecc.client.compile.diagnostics: several compiles speak as one command."""

from securecc.client.compile.diagnostics import joined


def test_what_the_driver_says_of_several_sources_is_said_once_and_first() -> None:
    unused, strange = b"gcc: warning: unused\n", b"\x1b[01m\x1b[Kgcc:\x1b[m\x1b[K strange\n"
    parts = [unused + b"a.c: one\n", strange + unused + b"b.c: two\n" + unused, b""]
    assert joined(b"/usr/bin/gcc", parts) == unused + strange + b"a.c: one\nb.c: two\n" + unused
    assert joined(b"gcc", [unused + unused]) == unused + unused


def test_what_clang_says_of_an_option_it_says_for_each_source() -> None:
    each, last = b"gcc: warning: [-Wdeprecated]\n", b"gcc: warning: [-Wunused-command-line-argument]\n"
    assert joined(b"gcc", [each + last, each + last]) == each + each + last
