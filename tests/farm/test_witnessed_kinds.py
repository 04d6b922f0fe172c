"""Kinds of wrong objects that no prediction rules out: the questions of the run do. Real compilers and servers."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm import farmside
from tests.farm.farmside import Farm, Realms
from tests.farm.twins import Twins

VERSIONS = {"gcc": ("gcc", "g++"), "gcc-11": ("gcc-11", "g++-11"), "clang": ("clang", "clang++")}
VERSIONS["clang-19"] = ("clang-19", "clang++-19")
"""The drivers for C and C++ of each compiler."""
GCC = ("gcc", "gcc-11")

HAS = "#if __has_include(N)\nint f = 1;\n#else\nint f = 0;\n#endif\n"
UNFORESEEN = {
    "paste.c": '#define H(a, b) a##b\n#if H(__has_, include)("opt.h")\nint f = 1;\n#else\nint f = 0;\n#endif\n',
    "cr.c": f'int a; // x\r#define N "opt.h"\n// y\r{HAS}',
    "digits.cc": f'#define N "opt.h"\nint a = 1\'000; const char *s = "\'/*";\n{HAS}const char *u = "*/";\n',
}
MENTIONS = (
    '/* .incbin "%s" */',
    'const char *s = ".incbin \\"%s\\"";',
    '#if 0\n.incbin "%s"\n#endif',
    '#if 0\n#include "%s"\n#endif',
    '/* #include "%s" */',
    '#if 0\n#line 7 "%s"\n#endif',
)


@pytest.fixture(scope="module")
def farm(realms: Realms) -> Iterator[Farm]:
    """A server that has several versions of both compilers."""
    with farmside.some_farm(realms) as made:
        made.server.configure(toolchains=f"[{', '.join(f'/usr/bin/{version}' for version in VERSIONS)}]")
        made.server.restart()
        yield made


@pytest.fixture
def twins(farm: Farm, tmp_path: Path) -> Twins:
    return Twins(farm, tmp_path / "w")


def driver(version: str, name: str) -> tuple[str, ...]:
    c, cxx = VERSIONS[version]
    return (cxx, "-std=c++14") if name.endswith(".cc") else (c,)


SYSROOT_ALONE = {
    "gcc": "sdk/usr/local/include/x86_64-linux-gnu/opt.h",
    "gcc-11": "sdk/usr/local/include/x86_64-linux-gnu/opt.h",
    "clang": "sdk/usr/local/include/opt.h",
    "clang-19": "sdk/usr/local/include/opt.h",
}
"""In a directory that the compiler searches; gcc's is one that this machine itself does not have."""

every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
def test_a_directory_of_a_sysroot_that_the_machine_itself_lacks(twins: Twins, version: str) -> None:
    files = {"a.c": "#include <opt.h>\nint v = V;\n", "sdk/usr/include/opt.h": "#define V 1\n"}
    command = (version, f"--sysroot={twins.folder}/sdk", "-c", "a.c")
    there = twins.same({**files, SYSROOT_ALONE[version]: "#define V 2\n"}, *command)
    assert there.files[b"a.o"] != twins.same(files, *command).files[b"a.o"]


@every_version
def test_a_directory_of_a_sysroot_that_appears_while_the_agent_is_warm(twins: Twins, version: str) -> None:
    files = {"a.c": "#include <opt.h>\nint v = V;\n", "sdk/usr/include/opt.h": "#define V 1\n"}
    command = (version, f"--sysroot={twins.folder}/sdk", "-c", "a.c")
    before = twins.same(files, *command)
    for _ in range(2):
        twins.same(files, *command)
    after = twins.same({**files, SYSROOT_ALONE[version]: "#define V 2\n"}, *command)
    assert before.files[b"a.o"] != after.files[b"a.o"]


@every_version
@pytest.mark.parametrize("name", UNFORESEEN)
def test_a_text_that_the_scanner_reads_differently(twins: Twins, name: str, version: str) -> None:
    """gcc's -M leaves opt.h out: where just that is sent, and nobody says what was asked, another object is made."""
    command = (*driver(version, name), "-c", name)
    made = os.fsencode(Path(name).with_suffix(".o"))
    twins.make({name: UNFORESEEN[name], "opt.h": ""})
    _, wrong = twins.naive(twins.listed(*command), *command, output=os.fsdecode(made))
    there = twins.same({name: UNFORESEEN[name], "opt.h": ""}, *command)
    assert (wrong != there.files[made][-1]) is (version in GCC)
    absent = twins.same({name: UNFORESEEN[name]}, *command)
    assert there.files[made] != absent.files[made]


@every_version
def test_a_date_that_macros_put_together(twins: Twins, version: str) -> None:
    text = "#define P(a, b) a##b\n#define D(a, b) P(a, b)\nconst char *day = D(__DA, TE__);\n"
    alone, through = twins.both({"a.c": text}, version, "-c", "a.c")
    assert through.files[b"a.o"][3] == alone.files[b"a.o"][3]
    assert not through.remote, "the server's clock has said the day"


@pytest.mark.parametrize("version", GCC)
@pytest.mark.parametrize("entry", [".", "bin", ""])
def test_a_relative_entry_of_path_leads_to_another_assembler(twins: Twins, entry: str, version: str) -> None:
    def make(folder: Path) -> None:
        (folder / "a.c").write_text("int f(void) { return 1; }\n")
        program = folder / entry / "as"
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\nexec /usr/bin/as --defsym H=1 "$@"\n')
        program.chmod(0o755)

    command, env = (version, "-c", "a.c"), {"PATH": f"{entry}:{twins.env()['PATH']}"}
    alone, through = twins.both(make, *command, env=env)
    assert through.seen == alone.seen
    assert b"PATH leads to" in through.place
    assert alone.files[b"a.o"] != twins.same({"a.c": "int f(void) { return 1; }\n"}, *command).files[b"a.o"]


@pytest.mark.parametrize("version", GCC)
@pytest.mark.parametrize("absolute", [False, True])
def test_an_entry_of_path_at_which_the_search_for_the_assembler_ends(
    twins: Twins, absolute: bool, version: str
) -> None:
    """execvp(3) gives up at a loop of links: gcc fails here, and must fail all the same."""
    loop = f"{twins.folder}/loop" if absolute else "loop"
    env = {"PATH": f"{twins.env()['PATH'].partition(':')[0]}:{loop}:/usr/bin:/bin"}
    alone, through = twins.both({"a.c": "int a;\n", "loop": "->loop"}, f"/usr/bin/{version}", "-c", "a.c", env=env)
    assert alone.status
    assert b"Too many levels of symbolic links" in alone.err
    assert (through.status, through.err) == (alone.status, alone.err)
    assert b"PATH ends at" in through.place


@pytest.mark.parametrize("version", GCC)
def test_a_variable_that_nobody_listed_and_the_compiler_asks_for(twins: Twins, version: str) -> None:
    files = {
        "a.c": "#include <stdio.h>\n#ifdef H\nint h = H;\n#endif\nint e = EOF;\n",
        "x/x86_64-linux-gnu/include/stdio.h": "#define H 1\n#include_next <stdio.h>\n",
    }
    root = {"BINUTILS_ROOT": str(twins.folder / "x")}
    twins.farm.forget()
    alone, through = twins.both(files, version, "-c", "a.c", env=root)
    assert through.seen == alone.seen
    assert b"BINUTILS_ROOT" in through.place
    twins.same(files, version, "-c", "a.c")


@every_version
@pytest.mark.parametrize(
    "variable",
    [
        "GCC_VERSION=12.2.0",
        "GCC_MIRRORS=https://mirror.example.org/gcc",
        "GCC_AR=/usr/bin/gcc-ar",
        "COLLECT_GCC_OPTIONS=-O3",
        "LD_LIBRARY_PATH=/opt/nowhere/lib",
        "SOMETHING_ELSE=1",
    ],
)
def test_a_variable_that_the_compiler_never_asks_for_keeps_nothing_here(
    twins: Twins, variable: str, version: str
) -> None:
    name, _, value = variable.partition("=")
    twins.same({"a.c": "int f(int a) { return a + 1; }\n"}, version, "-c", "a.c", env={name: value})


@every_version
def test_what_only_this_machine_has_is_seen(twins: Twins, version: str) -> None:
    text = UNFORESEEN["paste.c"].replace("opt.h", "/proc/self/status")
    alone, through = twins.both({"a.c": text}, version, "-c", "a.c")
    assert through.seen == alone.seen
    assert not through.remote


@pytest.mark.parametrize("path", ["/.securecc/witness", "/.securecc/tmp/../witness", "/.securecc/confine"])
def test_what_only_the_sandbox_has_is_in_no_object(twins: Twins, path: str) -> None:
    alone, through = twins.both({"a.s": f'.incbin "{path}"\n'}, "gcc", "-c", "a.s")
    assert through.seen == alone.seen
    assert not through.remote or through.status


@every_version
@pytest.mark.parametrize("mention", MENTIONS)
def test_what_is_only_mentioned_does_not_leave(twins: Twins, mention: str, version: str) -> None:
    secret = twins.farm.folder / "secret"
    content = f"alice's own {uuid.uuid4()}\n"
    secret.write_text(content)
    twins.same({"b.c": f"{mention % secret}\nint b;\n"}, version, "-c", "b.c")
    held = [path for path in twins.farm.server.folder.rglob("*") if path.is_file()]
    assert not any(content.encode() in path.read_bytes() for path in held if path.stat().st_size < 1_000_000)


def test_a_source_that_reads_what_another_of_the_same_command_makes(twins: Twins) -> None:
    text = '#if __has_include("a.d")\nint f = 1;\n#else\nint f = 0;\n#endif\n'
    alone, through = twins.both({"a.c": "int a;\n", "b.c": text}, "gcc", "-MD", "-c", "a.c", "b.c")
    assert through.seen == alone.seen
    assert not through.remote
    twins.same({"a.c": "int a;\n", "b.c": "int b;\n"}, "gcc", "-MD", "-c", "a.c", "b.c")
