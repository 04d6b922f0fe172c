"""A tree of only the files that `-M` lists gives another object, exit status 0. The tree that travels does not.

Each test shows both: real gcc where only those files stand, and securecc.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.farm.farmside import Farm
from tests.farm.twins import OLD_NS, Twins, put

SECOND = 1_000_000_000


@pytest.fixture
def twins(farm: Farm, tmp_path: Path) -> Twins:
    return Twins(farm, tmp_path / "w")


def one_time(source: Path, place: Path) -> None:
    shutil.copyfile(source, place)
    os.utime(place, ns=(OLD_NS, OLD_NS))


def own_time(source: Path, place: Path) -> None:
    shutil.copyfile(source, place)
    os.utime(place, ns=(OLD_NS, OLD_NS + ord(place.parent.name[0]) * SECOND))


def test_a_directory_that_is_only_crossed(twins: Twins) -> None:
    files = {
        "a.c": "#include <c.h>\nint a = A;\n",
        "gen/unrelated": "",
        "inc/c.h": "#define A 1\n#include_next <c.h>\n",
        "inc2/c.h": "#ifndef A\n#define A 2\n#endif\n",
    }
    command = ("gcc", "-Igen/../inc", "-Iinc2", "-c", "a.c")
    twins.make(files)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.same(files, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


def test_two_names_of_one_include_directory(twins: Twins) -> None:
    files = {
        "a.c": '#include <c.h>\nint a = V;\n#undef V\n#include "real/c.h"\nint b = V;\n',
        "real/c.h": "#ifdef ONCE\n#define V 1\n#else\n#define ONCE\n#include_next <c.h>\n#endif\n",
        "last/c.h": "#ifndef V\n#define V 2\n#endif\n",
        "link": "-> real",
    }
    command = ("gcc", "-Ilink", "-Ireal", "-Ilast", "-c", "a.c")
    twins.make(files)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.same(files, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


def test_a_header_beside_the_target_of_a_symlinked_directory(twins: Twins) -> None:
    files = {
        "a.c": '#include <c.h>\n#include "d.h"\nint a = V;\n',
        "deep/real/c.h": '#include "../d.h"\n',
        "deep/d.h": "#define V 1\n",
        "d.h": "#ifndef V\n#define V 2\n#endif\n",
        "link": "-> deep/real",
    }
    command = ("gcc", "-Ilink", "-c", "a.c")
    twins.make(files)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.same(files, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


def test_a_symlinked_working_directory(twins: Twins) -> None:
    files = {"real/a.c": "int a;\n", "alias": "-> real"}
    alias = str(twins.folder / "alias")
    command = ("gcc", "-g", "-c", "a.c")
    alone = twins.same(files, *command, cwd="alias", env={"PWD": alias})
    assert alias.encode() in alone.files[b"real/a.o"][-1]
    wrong = twins.gcc(*command, "-o", "wrong.o", cwd=twins.folder / "real")
    assert wrong.status == 0
    assert twins.content("real/wrong.o") != alone.files[b"real/a.o"][-1]


def test_a_pwd_that_names_another_directory_is_not_believed(twins: Twins) -> None:
    files = {"real/a.c": "int a;\n", "other/unrelated": ""}
    twins.same(files, "gcc", "-g", "-c", "a.c", cwd="real", env={"PWD": str(twins.folder / "other")})
    twins.same(files, "gcc", "-g", "-c", "a.c", cwd="real", env={"PWD": "nonsense"})


def test_a_file_that_is_only_asked_for(twins: Twins) -> None:
    files = {"a.c": '#if __has_include("opt.h")\nint a = 1;\n#else\nint a = 2;\n#endif\n', "opt.h": "#error\n"}
    command = ("gcc", "-c", "a.c")
    twins.make(files)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.same(files, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


def test_a_file_that_is_only_asked_for_further_on(twins: Twins) -> None:
    question = '#if __has_include_next("c.h")\n#define V 1\n#else\n#define V 2\n#endif\n'
    files = {"a.c": "#include <c.h>\nint a = V;\n", "i1/c.h": question, "i2/c.h": "#error\n"}
    command = ("gcc", "-Ii1", "-Ii2", "-c", "a.c")
    twins.make(files)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.same(files, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


@pytest.mark.parametrize("name", ['"sub/opt.h"', "<sub/opt.h>"])
def test_a_question_that_a_macro_asks_in_anothers_name(twins: Twins, name: str) -> None:
    """As libraries do: the macro in one header, the question in another file, the answer read by neither."""
    files = {
        "has.h": "#ifdef __has_include\n#  define HAS(x) __has_include(x)\n#else\n#  define HAS(x) 0\n#endif\n",
        "a.c": f'#include "has.h"\n#if HAS({name})\nint a = 1;\n#else\nint a = 2;\n#endif\n',
        "sub/opt.h": "",
    }
    command = ("gcc", "-I.", "-c", "a.c")
    twins.make(files)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.same(files, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]
    (twins.folder / "sub/opt.h").unlink()
    assert twins.securecc(*command).remote
    assert twins.content("a.o") == wrong


@pytest.mark.parametrize(
    "question",
    [
        '#define HAS __has_include\n#if HAS("opt.h")',
        '#define HAS(x) __has_include(x)\n#define O "opt.h"\n#if HAS(O)',
        '#define J(a, b) a##b\n#if J(__has_inc, lude)("opt.h")',
        '#define H "opt.h"\n#if __has_include(H)',
    ],
)
def test_a_question_that_a_macro_hides(twins: Twins, question: str) -> None:
    files = {"a.c": f"{question}\nint a = 1;\n#else\nint a = 2;\n#endif\n", "opt.h": ""}
    command = ("gcc", "-c", "a.c")
    twins.make(files)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.same(files, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


ONCE = {"a.c": 'int a = 0\n#include "x/h.h"\n#include "y/h.h"\n;\n', "x/h.h": "#pragma once\n+ 1\n"}


def pair(folder: Path, *, later: int = 0, link: str = "") -> None:
    put(folder, ONCE)
    (folder / "y").mkdir()
    if link == "hard":
        os.link(folder / "x/h.h", folder / "y/h.h")
    elif link == "symbolic":
        os.symlink("../x/h.h", folder / "y/h.h")
    else:
        put(folder, {"y/h.h": ONCE["x/h.h"]}, OLD_NS + later)


@pytest.mark.parametrize(
    ("how", "copy"),
    [
        ({"later": SECOND}, one_time),
        ({}, own_time),
        ({"later": 999}, own_time),
        ({"link": "hard"}, own_time),
        ({"link": "symbolic"}, own_time),
    ],
    ids=["two times", "one time", "one second", "hard link", "symlink"],
)
def test_whether_two_equal_headers_are_one(
    twins: Twins, how: dict[str, Any], copy: Callable[[Path, Path], None]
) -> None:
    command = ("gcc", "-c", "a.c")
    twins.folder.mkdir()
    pair(twins.folder, **how)
    listed = {*twins.listed(*command), twins.folder / "y/h.h"}
    status, wrong = twins.naive(listed, *command, output="a.o", copy=copy)
    alone = twins.same(lambda folder: pair(folder, **how), *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


OPTIMISED = {
    "a.c": '#include "i2/f.h"\n#undef V\n#ifdef __OPTIMIZE__\n#include <f.h>\n#else\n#define V 3\n#endif\nint a = V;\n',
    "i1/f.h": "#define V 1\n",
    "i2/f.h": "#define V 2\n",
}


def test_includes_that_depend_on_optimisation(twins: Twins) -> None:
    command = ("gcc", "-Ii1", "-Ii2", "-c", "a.c")
    twins.make(OPTIMISED)
    status, wrong = twins.naive(twins.listed(*command), *command, "-O2", output="a.o")
    alone = twins.same(OPTIMISED, *command, "-O2")
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


def test_glibc_includes_more_when_it_optimises(twins: Twins) -> None:
    files = {"a.c": "#include <string.h>\n#include <stdlib.h>\ndouble f(const char *s) { return atof(s); }\n"}
    twins.make(files)
    plain, optimised = (twins.gcc("gcc", level, "-M", "a.c").out for level in ("-O0", "-O2"))
    assert plain != optimised
    twins.same(files, "gcc", "-O2", "-c", "a.c")


def stale_gch(folder: Path, name: str = "c.h", text: str = '#include "c.h"\nint a = V;\n') -> None:
    put(folder, {"a.c": text, name: "#define V 2\n"})
    subprocess.run(["gcc", "-x", "c-header", name, "-o", f"{name}.gch"], cwd=folder, check=True)
    put(folder, {"c.h": "#define V 1\n"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.h", '#include "c.h"\nint a = V;\n'),
        ("c.h", '#define H "c.h"\n#include H\nint a = V;\n'),
        ("i1/c.h", "#include <c.h>\nint a = V;\n"),
    ],
)
def test_a_precompiled_header_beside_a_header(twins: Twins, name: str, text: str) -> None:
    command = ("gcc", "-Ii1", "-I.", "-c", "a.c")

    def make(folder: Path) -> None:
        stale_gch(folder, name, text)
        if name != "c.h":
            (folder / name).unlink()

    twins.make({"a.c": text, "c.h": "#define V 1\n"})
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.kept("precompiled-header", make, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


def test_a_precompiled_header_that_is_forced(twins: Twins) -> None:
    twins.kept(
        "precompiled-header",
        lambda folder: stale_gch(folder, text="int a = V;\n"),
        "gcc",
        "-include",
        "c.h",
        "-c",
        "a.c",
    )


def test_a_profile(twins: Twins) -> None:
    source = "int f(int n) { return n > 3 ? n * 7 : n - 1; }\nint main(void) { return f(9) - 63; }\n"

    counted: dict[str, bytes] = {}

    def make(folder: Path) -> None:
        put(folder, {"a.c": source})
        if not counted:  # no two runs leave the same stamps
            subprocess.run(["gcc", "-O2", "-fprofile-generate", "a.c", "-o", "p"], cwd=folder, check=True)
            subprocess.run(["./p"], cwd=folder, check=True)
            (made,) = folder.glob("*.gcda")
            counted["a.gcda"] = made.read_bytes()
            for path in (made, folder / "p"):
                path.unlink()
        put(folder, counted)

    command = ("gcc", "-O2", "-fprofile-use", "-Wno-missing-profile", "-c", "a.c")
    twins.make({"a.c": source})
    status, wrong = twins.naive([twins.folder / "a.c"], *command, output="a.o")
    alone = twins.same(make, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


@pytest.mark.parametrize("directive", ['.inc" "bin', "\\x2eincbin"])
def test_a_file_that_the_assembler_may_read(twins: Twins, directive: str) -> None:
    files = {
        "a.c": f'#include <d.h>\nasm(".data\\n{directive} \\"d.h\\"\\n");\n',
        "d.h": "/* 1 */\n",
        "i2/d.h": "/* 2 */\n#define X\n",
    }
    command = ("gcc", "-Ii2", "-c", "a.c")
    twins.make(files)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.same(files, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


@pytest.mark.parametrize("name", ["a.c", "a.s", "a.S"])
def test_a_file_that_the_assembler_reads(twins: Twins, name: str) -> None:
    lines = '.data\n.include "i.inc"\n.incbin "d.bin", 1\n'
    text = (
        lines
        if name != "a.c"
        else "asm(" + "\n".join(f'"{x}\\n"' for x in lines.replace('"', '\\"').split("\n")) + ");\n"
    )
    files = {name: text, "i2/i.inc": ".long 5\n", "i2/d.bin": "wrong", "d.bin": "right"}
    for _ in range(2):
        alone = twins.same(files, "gcc", "-Ii2", "-c", name)
        assert b"ight" in alone.files[b"a.o"][-1]


def test_a_file_that_line_names_is_quoted(twins: Twins) -> None:
    files = {"a.c": '#line 1 "g.y"\nint f(void) { int unused; return 0; }\n', "g.y": "what %the user { wrote }\n"}
    command = ("gcc", "-Wall", "-c", "a.c")
    twins.make(files)
    alone = twins.same(files, *command)
    assert b"what %the user" in alone.err
    _, said = twins.naive(twins.listed(*command), *command)
    assert said != alone.err


def test_a_file_that_line_names_and_that_is_not_there(twins: Twins) -> None:
    twins.same({"a.c": '#line 7 "no/where.y"\nint f(void) { int unused; return 0; }\n'}, "gcc", "-Wall", "-c", "a.c")


def test_line_naming_a_device_or_a_directory(twins: Twins) -> None:
    twins.same({"a.c": '#line 7 "d"\nint f(void) { int unused; return 0; }\n', "d/x": ""}, "gcc", "-Wall", "-c", "a.c")
    twins.same({"a.c": '#line 7 "/dev/null"\nint f(void) { int u; return 0; }\n'}, "gcc", "-Wall", "-c", "a.c")


def test_a_pragma_that_compares_times(twins: Twins) -> None:
    def make(folder: Path) -> None:
        put(folder, {"a.c": '#pragma GCC dependency "n.h"\nint a;\n'})
        put(folder, {"n.h": ""}, OLD_NS + 9 * SECOND)

    command = ("gcc", "-c", "a.c")
    alone = twins.same(make, *command)
    assert b"older than" in alone.err
    _, said = twins.naive([twins.folder / "a.c"], *command)
    assert said != alone.err


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("#define J(a, b) a##b\n#define K(a, b) J(a, b)\nconst char *t = K(__TI, ME__);\n", ()),
    ],
)
def test_the_time_of_day(twins: Twins, text: str, options: tuple[str, ...]) -> None:
    twins.make({"a.c": text})
    command = ("gcc", *options, "-c", "a.c")
    _, here = twins.naive([twins.folder / "a.c"], *command, output="a.o", env={"TZ": "XXX+3"}, copy=shutil.copy2)
    _, there = twins.naive([twins.folder / "a.c"], *command, output="a.o", env={"TZ": "XXX-9"}, copy=shutil.copy2)
    assert here != there
    twins.farm.forget()
    assert not twins.securecc(*command).remote
    twins.farm.counts("time")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("text", ["__DATE__ __TIME__", "WHEN"])
def test_the_time_of_day_is_this_machines(twins: Twins, text: str, zone: str) -> None:
    """The server's clock tells another zone's; what it makes says what a compile here would say."""
    command = ("gcc", "-DWHEN=__DATE__ __TIME__", "-c", "a.c")
    env = {"TZ": zone}
    twins.make({"a.c": f"const char *t = {text};\n"})
    _, elsewhere = twins.naive([twins.folder / "a.c"], *command, output="a.o", env={"TZ": "XXX-5:17"})
    began = datetime.now(ZoneInfo(zone))
    assert twins.securecc(*command, env=env).remote
    took = datetime.now(ZoneInfo(zone)) - began
    later = range(-1, int(took.total_seconds()) + 2)
    told = {(began + timedelta(seconds=second)).strftime("%b %e %Y%H:%M:%S").encode() for second in later}
    assert not any(moment in elsewhere for moment in told)
    assert any(moment in twins.content("a.o") for moment in told)


def test_a_zone_that_is_not_known_keeps_the_time_of_day_local(twins: Twins) -> None:
    text = {"a.c": "const char *t = __TIME__;\n"}
    twins.make(text)
    twins.farm.forget()
    assert not twins.securecc("gcc", "-c", "a.c", env={"TZ": "XXX+3"}).remote
    twins.farm.counts("time")


@pytest.mark.parametrize("text", ["__DATE__ __TIME__", "WHEN"])
def test_a_time_of_day_that_is_given(twins: Twins, text: str) -> None:
    env = {"SOURCE_DATE_EPOCH": "1000000000"}
    alone = twins.same({"a.c": f"const char *t = {text};\n"}, "gcc", "-DWHEN=__TIME__", "-c", "a.c", env=env)
    assert b"01:46:40" in alone.files[b"a.o"][-1]


STAMPED = {
    "a.c": '#include "a.h"\nconst char *t = __TIMESTAMP__ WHEN;\n',
    "a.h": "#define WHEN __TIMESTAMP__\nstatic const char *h = __TIMESTAMP__;\n",
}


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "Asia/Tokyo", "XXX+3", "America/St_Johns"])
def test_a_files_own_time_is_this_machines(twins: Twins, zone: str | None) -> None:
    env = {"SOURCE_DATE_EPOCH": "1000000000"} | ({"TZ": zone} if zone else {})
    twins.same(STAMPED, "gcc", "-c", "a.c", env=env)


def test_a_files_own_time_that_changes_is_another_object(twins: Twins) -> None:
    twins.make(STAMPED)
    command = ("gcc", "-c", "a.c")
    made = set()
    for when in (1_700_000_000, 1_700_000_001, 1_700_000_000 + 200 * 86400):
        os.utime(twins.folder / "a.c", (when, when))
        for _ in range(2):
            assert twins.securecc(*command, env={"TZ": "Europe/Berlin"}).remote
            made.add(twins.content("a.o"))
        local = time.asctime(datetime.fromtimestamp(when, ZoneInfo("Europe/Berlin")).timetuple())
        assert local.encode() in twins.content("a.o")
    assert len(made) == 3


def test_a_zone_that_no_rule_tells_of_keeps_a_files_own_time_local(twins: Twins) -> None:
    twins.kept("time", STAMPED, "gcc", "-c", "a.c", env={"TZ": ""})


@pytest.mark.parametrize("spelling", ["H", "S(c.h)", "<c.h>"])
def test_a_computed_include(twins: Twins, spelling: str) -> None:
    files = {
        "a.c": f"#define H <c.h>\n#define S(x) T(x)\n#define T(x) #x\n#include {spelling}\nint a = V;\n",
        "i1/c.h": "#define V 1\n",
        "i2/c.h": "#define V 2\n",
    }
    twins.same(files, "gcc", "-Ii1", "-Ii2", "-MD", "-c", "a.c")


def test_names_that_are_no_text(twins: Twins) -> None:
    files = {b"caf\xe9 $#'\".c": b'#include "h\xff.h"\nint a = V;\n', b"h\xff.h": b"#define V 1\n"}
    twins.same(files, "gcc", "-g", "-MD", "-c", b"caf\xe9 $#'\".c", "-o", b"\xfe.o")


def test_a_source_by_its_absolute_path(twins: Twins) -> None:
    files = {"s/a.c": '#include "h.h"\nint a = V;\n', "s/h.h": "#define V 1\n", "b/unrelated": ""}
    twins.same(files, "gcc", "-g", "-MD", "-c", str(twins.folder / "s/a.c"), "-o", "a.o", cwd="b")
    twins.same(files, "gcc", "-g", "-MD", "-c", "../s/a.c", cwd="b")
    twins.same(files, "gcc", "-g", "-c", "../s/a.c", "-o", str(twins.folder / "s/o.o"), cwd="b")


@pytest.mark.parametrize("mask", ["077", "022", "002", "000"])
def test_the_umask_is_honoured(twins: Twins, mask: str) -> None:
    files = {"a.c": "int a;\n"}
    script = f'umask {mask}; exec "$@"'
    ran = []
    for prefix in ((), ("securecc",)):
        twins.make(files)
        done = twins.gcc("sh", "-c", script, "sh", *prefix, "gcc", "-MD", "-g", "-gsplit-dwarf", "-c", "a.c")
        assert done.status == 0
        ran.append({path.name: path.stat().st_mode for path in twins.folder.iterdir()})
    assert ran[0] == ran[1]


def test_outputs_that_stand_already(twins: Twins) -> None:
    def make(folder: Path) -> None:
        put(folder, {"a.c": "int a;\n", "a.o": "old", "a.d": "old"})
        os.link(folder / "a.o", folder / "other.o")
        os.link(folder / "a.d", folder / "other.d")
        (folder / "a.o").chmod(0o755)

    twins.same(make, "gcc", "-MD", "-c", "a.c")


def test_pragmas_make_the_list_of_m_another_than_the_compiles(twins: Twins) -> None:
    files = {
        "a.c": '#include "i2/f.h"\n#undef V\n#define V 3\n#pragma GCC optimize("O2")\n#ifdef __OPTIMIZE__\n#undef V\n'
        "#include <f.h>\n#endif\nint a = V;\n",
        "i1/f.h": "#define V 1\n",
        "i2/f.h": "#define V 2\n",
    }
    command = ("gcc", "-Ii1", "-Ii2", "-c", "a.c")
    twins.make(files)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.same(files, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]
