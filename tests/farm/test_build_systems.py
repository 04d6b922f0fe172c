"""What docs/build-systems.md says to type, with the real tools: the objects of a local build, compiled on the farm."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import textwrap
from pathlib import Path

import pytest

from tests.farm.farmside import Farm, until
from tests.farm.twins import Files, put

PAGE = (Path(__file__).parents[2] / "docs/build-systems.md").read_text()
SECTIONS = dict(part.split("\n", 1) for part in PAGE.split("\n## ")[1:])
BLOCKS = {
    section: [textwrap.dedent(block) for block in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)]
    for section, text in SECTIONS.items()
}
FILES = {
    "a.c": '#include "one.h"\n#include <stdio.h>\nint main(void) { return printf("%d\\n", b() + ONE) < 0; }\n',
    "b.c": '#include "one.h"\n#include <string.h>\nint b(void) { return (int)strlen("1234"); }\n',
    "c.cc": '#include "one.h"\n#include <string>\nextern "C" int c() { return (int)std::string("123").size(); }\n',
    "one.h": '#define ONE 1\n#ifdef __cplusplus\nextern "C"\n#endif\nint b(void);\n',
}
MAKE = {
    **FILES,
    "Makefile": "OBJECTS = a.o b.o c.o\nCFLAGS = -g -O1\nCXXFLAGS = -O1\n"
    "all: $(OBJECTS)\n\t$(CXX) -o sum $(OBJECTS)\n$(OBJECTS): one.h\n",
}
CMAKE = {
    **FILES,
    "CMakeLists.txt": "cmake_minimum_required(VERSION 3.16)\nproject(sample C CXX)\nadd_executable(sum a.c b.c c.cc)\n",
}
MESON = {**FILES, "meson.build": "project('sample', 'c', 'cpp')\nexecutable('sum', 'a.c', 'b.c', 'c.cc')\n"}
NINJA = "cflags = -g\n{rule}build a.o: cc a.c\nbuild b.o: cc b.c\n"
LIBTOOL = {
    **FILES,
    "configure.ac": "AC_INIT([sample],[1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_PROG_CXX\nAM_PROG_AR\n"
    "LT_INIT\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
    "Makefile.am": "lib_LTLIBRARIES = libsample.la\nlibsample_la_SOURCES = b.c c.cc\nbin_PROGRAMS = sum\n"
    "sum_SOURCES = a.c\nsum_LDADD = libsample.la\n",
}


@pytest.fixture
def site(farm: Farm, tmp_path: Path) -> Site:
    return Site(farm, tmp_path)


class Site:
    """A project that is built twice in the same place."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        self.farm = farm
        self.place = folder / "project"
        self.apart = folder

    def build(self, files: Files, *steps: str, **env: str) -> dict[Path, str]:
        """Runs scripts in a fresh tree of `files`; every object by its name, and what is its digest."""
        shutil.rmtree(self.place, ignore_errors=True)
        put(self.place, files)
        for step in steps:
            done = self.farm.run("sh", "-ec", step, cwd=self.place, **env)
            assert done.returncode == 0, done.stdout + done.stderr
        objects = {path.relative_to(self.place): path for path in self.place.rglob("*.o")}
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in objects.items()}

    def remote(self, alone: dict[Path, str], files: Files, *steps: str, **env: str) -> dict[str, int]:
        """Builds again: the same objects, each compiled on a server. What stayed local, by reason."""
        self.farm.end_agents()  # one may have more to write of what was before
        self.farm.forget()
        through = self.build(files, *steps, **env)
        assert through == alone != {}
        until(lambda: self.farm.journal()["remote"] >= len(alone), what=f"word of every object: {self.farm.journal()}")
        assert self.farm.journal()["remote"] == len(alone)
        reasons = self.farm.why()
        assert set(reasons) <= {"link", "conftest", "information", "preprocess-only", "no-source"}, self.farm.journal()
        return reasons

    def path(self, *folders: str | Path) -> str:
        return ":".join((*map(str, folders), self.farm.env["PATH"]))

    def masquerade(self, name: str = "links") -> Path:
        """A directory made by the tool."""
        folder = self.apart / name
        done = self.farm.run("securecctl", "masquerade", "install", folder, cwd=self.apart)
        assert done.returncode == 0, done.stderr
        return folder


def without(script: str) -> str:
    """The same, by the compiler alone."""
    return re.sub(r"securecc (?=gcc|g\+\+)| -DCMAKE_\w+_LAUNCHER=securecc", "", script)


def test_every_block_of_the_page_is_run_here() -> None:
    known = {
        "make": 1,
        "configure (autotools, libtool)": 1,
        "CMake": 2,
        "meson": 1,
        "ninja by itself": 1,
        "ccache": 1,
        "Builds that call gcc by name: a masquerade directory": 1,
        "Keeping a build off this machine": 1,
    }
    assert {section: len(blocks) for section, blocks in BLOCKS.items() if blocks} == known


def test_make(site: Site) -> None:
    (script,) = BLOCKS["make"]
    assert site.remote(site.build(MAKE, without(script)), MAKE, script) == {"link": 1}


def test_configure_automake_and_libtool(site: Site) -> None:
    (script,) = BLOCKS["configure (autotools, libtool)"]
    alone = site.build(LIBTOOL, "autoreconf -i", without(script))
    assert len(alone) == 5  # two of the library twice, position-independent or not
    reasons = site.remote(alone, LIBTOOL, "autoreconf -i", script)
    assert reasons["conftest"] > 10


@pytest.mark.parametrize("generator", ["-G Ninja", '-G "Unix Makefiles"'])
def test_cmake(site: Site, generator: str) -> None:
    script = BLOCKS["CMake"][0].replace("-G Ninja", generator)
    site.remote(site.build(CMAKE, without(script)), CMAKE, script)


def test_cmake_by_the_environment(site: Site) -> None:
    script = without(BLOCKS["CMake"][0])
    site.remote(site.build(CMAKE, script), CMAKE, BLOCKS["CMake"][1] + script)


def test_meson(site: Site) -> None:
    (script,) = BLOCKS["meson"]
    (native,) = re.findall(r"```ini\n(.*?)```", SECTIONS["meson"], re.DOTALL)
    alone = site.build({**MESON, "securecc.ini": without(native).replace("'securecc', ", "")}, script)
    site.remote(alone, {**MESON, "securecc.ini": native}, script)


def test_ninja(site: Site) -> None:
    (rule,) = BLOCKS["ninja by itself"]
    alone = site.build({**FILES, "build.ninja": NINJA.format(rule=without(rule))}, "ninja")
    site.remote(alone, {**FILES, "build.ninja": NINJA.format(rule=rule)}, "ninja -j64")


@pytest.mark.parametrize(
    ("files", "script"),
    [
        (MAKE, 'make CC="ccache gcc" CXX="ccache g++"'),
        (MAKE, "PATH=/usr/lib/ccache:$PATH make CC=gcc"),
        (CMAKE, f"{BLOCKS['CMake'][0].replace('securecc', 'ccache')}"),
    ],
    ids=["words", "links", "cmake"],
)
def test_ccache(site: Site, files: Files, script: str) -> None:
    (export,) = BLOCKS["ccache"]
    alone = site.build(files, re.sub(r"ccache (?=g)|/usr/lib/ccache:| -DCMAKE_\w+_LAUNCHER=ccache", "", script))
    env = {"CCACHE_DIR": str(site.apart / "cache")}
    site.remote(alone, files, export + script, **env)
    site.farm.end_agents()
    site.farm.forget()
    assert site.build(files, export + script, **env) == alone
    assert site.farm.journal()["remote"] == 0  # all of them from the cache


def test_a_masquerade_directory(site: Site) -> None:
    (script,) = BLOCKS["Builds that call gcc by name: a masquerade directory"]
    alone = site.build(MAKE, "make CC=gcc")
    build = f"{script}\nmake CC=gcc\nsecurecctl masquerade remove ~/.local/lib/securecc"
    reasons = site.remote(alone, MAKE, build, HOME=str(site.apart))
    assert set(reasons) == {"link"}  # as often as the record of a build before this one came late
    assert not (site.apart / ".local/lib/securecc/gcc").is_symlink()


def test_a_build_that_is_kept_off_this_machine(site: Site) -> None:
    (script,) = BLOCKS["Keeping a build off this machine"]
    files = {name: text for name, text in MAKE.items() if name != "c.cc"}
    files["Makefile"] = files["Makefile"].replace(" c.o", "").replace("$(CXX)", "$(CC)")
    assert site.remote(site.build(files, without(script)), files, script) == {"link": 1}
    done = site.farm.run("sh", "-ec", f"rm *.o\n{script}", cwd=site.place, SECURECC_HOSTS="localhost:1")
    assert done.returncode == 2


@pytest.mark.parametrize(
    "order",
    [
        ("links", "links2"),
        ("links", "/usr/lib/ccache"),
        ("/usr/lib/ccache", "links"),
        ("links", "/usr/lib/ccache", "links2"),
    ],
    ids=" ".join,
)
def test_several_masquerade_directories(site: Site, order: tuple[str, ...]) -> None:
    alone = site.build(MAKE, "make CC=gcc")
    links = {name: site.masquerade(name) for name in ("links", "links2")}
    path = site.path(*(links.get(name, name) for name in order))
    site.remote(alone, MAKE, "make CC=gcc", PATH=path, CCACHE_DIR=str(site.apart / "cache"), CCACHE_NODIRECT="1")


def test_a_compiler_script_between_masquerade_and_compiler_that_comes_back(site: Site) -> None:
    links = site.masquerade()
    script = site.apart / "scripts/gcc"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nexec gcc "$@"\n')
    script.chmod(0o755)
    put(site.place, FILES)
    done = site.farm.run("gcc", "-c", "a.c", cwd=site.place, PATH=site.path(links, script.parent))
    assert done.returncode == 111
    assert "SECURECC_RECURSION" in done.stderr


def test_nothing_but_masquerade_directories(site: Site) -> None:
    links = [site.masquerade("links"), site.masquerade("links2")]
    put(site.place, FILES)
    done = site.farm.run("gcc", "-c", "a.c", cwd=site.place, PATH=":".join(map(str, links)))
    assert done.returncode == 110
    assert "no compiler named gcc" in done.stderr


def test_list_shows_what_the_launcher_runs(site: Site) -> None:
    links = site.masquerade()
    path = site.path(links, "/usr/lib/ccache")
    done = site.farm.run("securecctl", "masquerade", "list", cwd=site.apart, PATH=path)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"{links}/gcc +{shutil.which('gcc', path=site.farm.env['PATH'])}$", done.stdout, re.MULTILINE)
    put(site.place, FILES)
    said = site.farm.run("gcc", "-print-prog-name=cc1", cwd=site.place, PATH=path)
    assert os.path.isabs(said.stdout.strip())
