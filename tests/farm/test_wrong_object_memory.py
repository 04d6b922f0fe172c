"""A memory of compiles that rests on the stat of the files read alone gives yesterday's object. This one does not.

Each test compiles twice, so that the compile is remembered, changes something, shows that no file that was read has
changed, that the compiler alone now makes something else, and that securecc makes just that.
"""

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.farm.farmside import Farm, until
from tests.farm.twins import Files, Twins, put

SHADOWED = {
    "a.c": "#include <c.h>\nint a = V;\n",
    "i2/c.h": "#define V 2\n",
    "i1/unrelated": "",
}
CROSS = "/usr/bin/aarch64-linux-gnu-gcc"
COMMAND = ("gcc", "-Ii1", "-Ii2", "-c", "a.c", "-o", "a.o")


@pytest.fixture
def twins(farm: Farm, tmp_path: Path) -> Twins:
    return Twins(farm, tmp_path / "w")


class Remembered:
    """A compile that securecc has done twice on the server."""

    def __init__(
        self, twins: Twins, files: Files | Callable[[Path], None], *command: str | bytes, **options: Any
    ) -> None:
        self.twins, self.command, self.options = twins, command, options
        files(twins.folder) if callable(files) else twins.make(files)
        self.read = {path: self.stamp(path) for path in twins.listed(*command)}
        for _ in range(2):
            ran = twins.securecc(*command, **options)
            assert ran.remote, ran.place
        self.before = twins.content("a.o"), ran.err

    @staticmethod
    def stamp(path: Path) -> tuple[int, ...]:
        status = path.stat()
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def untouched(self) -> bool:
        """Whether a memory of the files read alone would still hold."""
        return self.read == {path: self.stamp(path) for path in self.read}

    def now(self, *, remote: bool = True, **options: Any) -> tuple[bytes, bytes]:
        """(before, now) of what securecc makes, which is what the compiler alone makes."""
        options = options or self.options
        alone = self.twins.gcc(*self.command, **options)
        wanted = (self.twins.content("a.o"), alone.err)
        for _ in range(2):
            ran = self.twins.securecc(*self.command, **options)
            assert (self.twins.content("a.o"), ran.err, ran.status) == (*wanted, alone.status)
            assert ran.remote == remote, ran.place
        return wanted


def dangling(name: str, target: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        put(folder, {"a.c": SHADOWED["a.c"], "i2/c.h": SHADOWED["i2/c.h"], name: f"-> {target}"})

    return make


APPEARS: dict[str, tuple[Files | Callable[[Path], None], Files]] = {
    "in front of the file found": (SHADOWED, {"i1/c.h": "#define V 1\n"}),
    "in a directory that was not there": (
        {"a.c": SHADOWED["a.c"], "i2/c.h": SHADOWED["i2/c.h"]},
        {"i1/c.h": "#define V 1\n"},
    ),
    "in a directory of its name that was not there": (
        {"a.c": "#include <s/t/c.h>\nint a = V;\n", "i2/s/t/c.h": "#define V 2\n", "i1/unrelated": ""},
        {"i1/s/t/c.h": "#define V 1\n"},
    ),
    "where a symlink led nowhere": (dangling("i1/c.h", "../gen/c.h"), {"gen/c.h": "#define V 1\n"}),
    "where a symlinked directory led nowhere": (dangling("i1", "gen"), {"gen/c.h": "#define V 1\n"}),
    "in front of a file that a macro named": (
        {**SHADOWED, "a.c": "#define H <c.h>\n#include H\nint a = V;\n"},
        {"i1/c.h": "#define V 1\n"},
    ),
    "beside the source": ({**SHADOWED, "a.c": '#include "c.h"\nint a = V;\n'}, {"c.h": "#define V 1\n"}),
    "though it was only asked for": (
        {**SHADOWED, "a.c": '#if __has_include("new.h")\nint a = 1;\n#else\nint a = 2;\n#endif\n'},
        {"i1/new.h": "#error\n"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", APPEARS)
def test_a_name_appears(twins: Twins, how: str) -> None:
    files, new = APPEARS[how]
    compile_ = Remembered(twins, files, *COMMAND)
    put(twins.folder, new)
    assert compile_.untouched()
    assert compile_.now() != compile_.before


def test_a_directory_with_a_headers_name_becomes_one(twins: Twins) -> None:
    compile_ = Remembered(twins, {**SHADOWED, "i1/c.h/unrelated": ""}, *COMMAND)
    (twins.folder / "i1/c.h/unrelated").unlink()
    (twins.folder / "i1/c.h").rmdir()
    put(twins.folder, {"i1/c.h": "#define V 1\n"})
    assert compile_.untouched()
    assert compile_.now() != compile_.before


def test_a_file_with_a_directorys_name_becomes_one(twins: Twins) -> None:
    files = {"a.c": "#include <s/c.h>\nint a = V;\n", "i2/s/c.h": "#define V 2\n", "i1/s": "a program, say"}
    compile_ = Remembered(twins, files, *COMMAND)
    (twins.folder / "i1/s").unlink()
    put(twins.folder, {"i1/s/c.h": "#define V 1\n"})
    assert compile_.untouched()
    assert compile_.now() != compile_.before


def test_a_file_that_was_asked_for_vanishes(twins: Twins) -> None:
    files = {**SHADOWED, "a.c": '#if __has_include("opt.h")\nint a = 1;\n#else\nint a = 2;\n#endif\n', "i1/opt.h": ""}
    compile_ = Remembered(twins, files, *COMMAND)
    (twins.folder / "i1/opt.h").unlink()
    assert compile_.untouched()
    assert compile_.now() != compile_.before


@pytest.mark.parametrize("place", ["i2", "i1"])
def test_a_precompiled_header_appears_beside_a_header_or_its_absence(twins: Twins, place: str) -> None:
    compile_ = Remembered(twins, SHADOWED, *COMMAND)
    put(twins.folder, {"other.h": "#define V 7\n"})
    header = ["gcc", "-x", "c-header", "other.h", "-o", f"{place}/c.h.gch"]
    subprocess.run(header, cwd=twins.folder, check=True)
    assert compile_.untouched()
    assert compile_.now(remote=False) != compile_.before


def rewrite(path: Path, status: os.stat_result) -> None:
    path.write_text("#define V 1\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path, status: os.stat_result) -> None:
    new = path.with_name("new")
    rewrite(new, status)
    new.rename(path)


@pytest.mark.parametrize("change", [rewrite, replace])
def test_a_header_changes_and_keeps_its_size_and_time(
    twins: Twins, change: Callable[[Path, os.stat_result], None]
) -> None:
    compile_ = Remembered(twins, SHADOWED, *COMMAND)
    path = twins.folder / "i2/c.h"
    before = path.stat()
    change(path, before)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert compile_.now() != compile_.before


def test_a_header_changes_again_and_again_at_once(twins: Twins) -> None:
    """Faster than the file system's clock ticks: neither size nor any time need differ."""
    twins.make(SHADOWED)
    path = twins.folder / "i2/c.h"
    seen = set()
    for number in range(1, 7):
        path.write_text(f"#define V {number}\n")
        ran = twins.securecc(*COMMAND)
        assert (ran.status, ran.remote) == (0, True)
        made = twins.content("a.o")
        path.write_text(f"#define V {number}\n")
        twins.gcc(*COMMAND)
        assert made == twins.content("a.o")
        seen.add(made)
    assert len(seen) == 6


def test_a_header_is_set_back_in_time(twins: Twins) -> None:
    files = {
        "a.c": 'int a = 0\n#include "x.h"\n#include "y.h"\n;\n',
        "x.h": "#pragma once\n+ 1\n",
        "y.h": "#pragma once\n+ 1\n",
    }
    compile_ = Remembered(twins, files, "gcc", "-c", "a.c")
    subprocess.run(["touch", "-d", "2001-01-01", "y.h"], cwd=twins.folder, check=True)
    assert compile_.now() != compile_.before


@pytest.mark.parametrize("link", ["i1", "i2/c.h"])
def test_a_symlink_is_turned_to_an_equal_place(twins: Twins, link: str) -> None:
    files = {"a.c": SHADOWED["a.c"], "x/c.h": "#define V 1\n", "y/c.h": "#define V 2\n"}
    files[link] = "-> x" if link == "i1" else "-> ../x/c.h"
    compile_ = Remembered(twins, files, *COMMAND)
    (twins.folder / link).unlink()
    put(twins.folder, {link: "-> y" if link == "i1" else "-> ../y/c.h"})
    assert compile_.now() != compile_.before


def test_the_environment_changes(twins: Twins) -> None:
    files = {**SHADOWED, "i3/c.h": "#define V 3\n", "i4/c.h": "#define V 4\n"}
    command = ("gcc", "-c", "a.c")
    made = set()
    for path in ("i3", "i4", "nowhere:i3", "i4:i3"):
        env = {"CPATH": path}
        twins.make(files)
        alone = twins.gcc(*command, env=env)
        wanted = twins.content("a.o")
        for _ in range(2):
            ran = twins.securecc(*command, env=env)
            assert (ran.status, ran.remote, twins.content("a.o")) == (alone.status, True, wanted)
        made.add(wanted)
    assert len(made) == 2


UPGRADE = """set -e
for i in 1 2; do securecc gcc -c a.c -o before$i.o; done
mount --bind "$1" "$2"
for i in 1 2; do securecc gcc -c a.c -o after$i.o; done
gcc -c a.c -o alone.o
"""


@pytest.mark.skipif(not Path(CROSS).exists(), reason="no cross compiler")
def test_the_compiler_changes(twins: Twins) -> None:
    """Its name, its path and all files read stay, as in an upgrade; here for whoever is in one mount namespace."""
    own = twins.farm.apart("upgrade")
    twins.make({"a.c": "int a = sizeof(void *);\nint f(void) { return a; }\n"})
    programs = [os.path.realpath(name) for name in (CROSS, "/usr/bin/gcc")]
    done = own.run("unshare", "--mount", "sh", "-c", UPGRADE, "sh", *programs, cwd=twins.folder)
    until(lambda: own.journal()["remote"] == 2, what="word of both compiles")
    own.end_agents()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no server has exactly this compiler") == done.stderr.count("\n") == 1
    before1, before2, after1, after2, alone = (
        twins.content(f"{name}.o") for name in ("before1", "before2", "after1", "after2", "alone")
    )
    assert before1 == before2 != alone
    assert after1 == after2 == alone


def test_the_date_changes(twins: Twins) -> None:
    twins.make({"a.c": "const char *t = __DATE__;\n"})
    made = set()
    for day in range(3):
        ran = twins.securecc("gcc", "-c", "a.c", env={"SOURCE_DATE_EPOCH": str(86400 * day)})
        assert ran.remote
        made.add(twins.content("a.o"))
    assert len(made) == 3


def test_a_file_that_line_names_changes_comes_and_goes(twins: Twins) -> None:
    files = {"a.c": '#line 1 "g.y"\nint f(void) { int unused; return 0; }\n', "i1/x": "", "i2/x": ""}
    compile_ = Remembered(twins, files, "gcc", "-Wall", "-c", "a.c")
    said = [compile_.before[1]]
    for text in ("first text\n", "other text\n", None):
        if text:
            put(twins.folder, {"g.y": text})
        else:
            (twins.folder / "g.y").unlink()
        assert compile_.untouched()
        said.append(compile_.now()[1])
    assert len(set(said)) == 3
    assert said[0] == said[3]


def test_an_include_directory_comes_that_was_warned_of(twins: Twins) -> None:
    compile_ = Remembered(twins, {"a.c": "int a;\n"}, "gcc", "-Wmissing-include-dirs", "-Ii1", "-c", "a.c")
    (twins.folder / "i1").mkdir()
    assert compile_.untouched()
    assert compile_.before[1] != compile_.now()[1] == b""


def test_a_header_is_gone(twins: Twins) -> None:
    compile_ = Remembered(twins, SHADOWED, *COMMAND)
    (twins.folder / "i2/c.h").unlink()
    alone, through = twins.gcc(*COMMAND), twins.securecc(*COMMAND)
    assert compile_.before
    assert (through.status, through.err) == (alone.status, alone.err)
    assert alone.status == 1


def test_the_output_folder_is_made_anew(twins: Twins) -> None:
    twins.make({**SHADOWED, "out/x": ""})
    command = (*COMMAND[:-1], "out/a.o")
    assert twins.securecc(*command).remote
    before = twins.content("out/a.o")
    for name in ("a.o", "x"):
        (twins.folder / "out" / name).unlink()
    (twins.folder / "out").rmdir()
    alone, through = twins.gcc(*command), twins.securecc(*command)
    assert (through.status, through.err) == (alone.status, alone.err)
    assert alone.status == 1
    (twins.folder / "out").mkdir()
    assert twins.securecc(*command).remote
    assert twins.content("out/a.o") == before


@pytest.mark.parametrize("compiler", ["gcc", "g++"])
def test_what_a_run_has_read_is_what_the_next_one_is_held_to(twins: Twins, compiler: str) -> None:
    """The first run is sent all within reach, the next ones what it read: the same bytes, words and lists."""
    twins.make(
        {
            "a.c": '#include "i/x.h"\n#include <stdio.h>\n#ifdef NEVER\n#include "never.h"\n#endif\n'
            "int main(void) { return puts(TEXT); }\n",
            "i/x.h": '#pragma once\n#include "empty.h"\n#include "../i/x.h"\n#define TEXT "x"\n',
            "i/empty.h": "",
            "never.h": "int never;\n",
        }
    )
    command = (compiler, "-g", "-MD", "-c", "a.c")
    assert twins.gcc(*command).status == 0
    alone = (twins.content("a.o"), twins.content("a.d"))
    twins.farm.forget()
    for _ in range(4):
        assert twins.securecc(*command).remote
        assert (twins.content("a.o"), twins.content("a.d")) == alone


@pytest.mark.parametrize("zone", ["XXX+3", "UTC"])
def test_the_time_zone_changes(twins: Twins, zone: str) -> None:
    twins.make({"a.c": "const char *t = __DATE__;\n"})
    assert twins.securecc("gcc", "-c", "a.c", env={"TZ": "Asia/Tokyo"}).remote
    twins.securecc("gcc", "-c", "a.c", env={"TZ": zone})
    assert datetime.now(UTC).strftime("%Y").encode() in twins.content("a.o")
