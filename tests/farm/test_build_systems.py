"""What docs/build-systems.md says to type, with the real tools: the objects of a local build, compiled on the farm."""

import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest
from farmside import until
from twins import put

PAGE = (Path(__file__).parents[2] / "docs/build-systems.md").read_text()
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
NINJA = {
    **FILES,
    "build.ninja": "cc = gcc\ncxx = g++\ninclude local.ninja\n"
    "rule cc\n  command = $cc -MD -MF $out.d -c $in -o $out\n  depfile = $out.d\n  deps = gcc\n"
    "rule cxx\n  command = $cxx -MD -MF $out.d -c $in -o $out\n  depfile = $out.d\n  deps = gcc\n"
    "rule ld\n  command = $cxx $in -o $out\n"
    "build a.o: cc a.c\nbuild b.o: cc b.c\nbuild c.o: cxx c.cc\nbuild sum: ld a.o b.o c.o\n",
    "local.ninja": "",
}
LIBTOOL = {
    **FILES,
    "configure.ac": "AC_INIT([sample],[1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_PROG_CXX\nAM_PROG_AR\n"
    "LT_INIT\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
    "Makefile.am": "lib_LTLIBRARIES = libsample.la\nlibsample_la_SOURCES = b.c c.cc\nbin_PROGRAMS = sum\n"
    "sum_SOURCES = a.c\nsum_LDADD = libsample.la\n",
}
LAUNCHERS = {"CMAKE_C_COMPILER_LAUNCHER": "securecc", "CMAKE_CXX_COMPILER_LAUNCHER": "securecc"}


@pytest.fixture
def site(farm, tmp_path):
    return Site(farm, tmp_path)


class Site:
    """A project that is built twice in the same place."""

    def __init__(self, farm, folder):
        self.farm = farm
        self.place = folder / "project"
        self.apart = folder

    def build(self, files, *steps, **env):
        """Runs the commands in a fresh tree of `files`; every object by its name, and what is its digest."""
        shutil.rmtree(self.place, ignore_errors=True)
        put(self.place, files)
        for step in steps:
            done = self.farm.run(*step.split(), cwd=self.place, **env)
            assert done.returncode == 0, done.stdout + done.stderr
        objects = {path.relative_to(self.place): path for path in self.place.rglob("*.o")}
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in objects.items()}

    def remote(self, alone, files, *steps, **env):
        """Builds again: the same objects, each compiled on a server. What stayed local, by reason."""
        self.farm.forget()
        through = self.build(files, *steps, **env)
        assert through == alone != {}
        until(lambda: self.farm.journal()["remote"] >= len(alone), what=f"word of every object: {self.farm.journal()}")
        assert self.farm.journal()["remote"] == len(alone)
        reasons = self.farm.why()
        assert set(reasons) <= {"link", "conftest", "information", "preprocess-only", "no-source"}, self.farm.journal()
        return reasons

    def path(self, *folders):
        return ":".join((*map(str, folders), self.farm.env["PATH"]))

    def masquerade(self, name="links"):
        """A directory made by the tool."""
        folder = self.apart / name
        done = self.farm.run("securecctl", "masquerade", "install", folder, cwd=self.apart)
        assert done.returncode == 0, done.stderr
        return folder


def on_the_page(*texts):
    """What is tested here is what people are told to type."""
    for text in texts:
        assert text in PAGE


def test_make(site):
    on_the_page('CC="securecc gcc" CXX="securecc g++"')
    alone = site.build(MAKE, "make -j2 CC=gcc")
    through = {**MAKE, "make.sh": 'exec make -j2 CC="securecc gcc" CXX="securecc g++"\n'}
    assert site.remote(alone, through, "sh make.sh") == {"link": 1}


def test_cmake_and_ninja(site):
    on_the_page("-DCMAKE_C_COMPILER_LAUNCHER=securecc -DCMAKE_CXX_COMPILER_LAUNCHER=securecc")
    alone = site.build(CMAKE, "cmake -S . -B out -G Ninja", "cmake --build out")
    options = " ".join(f"-D{name}={value}" for name, value in LAUNCHERS.items())
    site.remote(alone, CMAKE, f"cmake -S . -B out -G Ninja {options}", "cmake --build out")


def test_cmake_by_the_environment(site):
    on_the_page("export CMAKE_C_COMPILER_LAUNCHER=securecc CMAKE_CXX_COMPILER_LAUNCHER=securecc")
    steps = ("cmake -S . -B out -G Ninja", "cmake --build out")
    site.remote(site.build(CMAKE, *steps), CMAKE, *steps, **LAUNCHERS)


def test_meson(site):
    alone = site.build(MESON, "meson setup out", "ninja -C out")
    (native,) = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)
    files = {**MESON, "securecc.ini": native}
    site.remote(alone, files, "meson setup --native-file securecc.ini out", "ninja -C out")


def test_ninja(site):
    alone = site.build(NINJA, "ninja")
    site.remote(alone, {**NINJA, "local.ninja": "cc = securecc gcc\ncxx = securecc g++\n"}, "ninja")


def test_libtool(site):
    on_the_page('./configure CC="securecc gcc" CXX="securecc g++"')
    steps = ("autoreconf -i", "sh configure.sh", "make -j2")
    alone = site.build({**LIBTOOL, "configure.sh": "./configure CC=gcc CXX=g++\n"}, *steps)
    assert len(alone) == 5  # two of the library twice, position-independent or not
    files = {**LIBTOOL, "configure.sh": './configure CC="securecc gcc" CXX="securecc g++"\n'}
    reasons = site.remote(alone, files, *steps)
    assert reasons["conftest"] > 10


def test_ccache(site):
    on_the_page("CCACHE_PREFIX=securecc")
    alone = site.build(MAKE, "make CC=gcc")
    env = {"CCACHE_DIR": str(site.apart / "cache"), "CCACHE_PREFIX": "securecc", "PATH": site.path("/usr/lib/ccache")}
    site.remote(alone, MAKE, "make CC=gcc", **env)
    site.farm.forget()
    assert site.build(MAKE, "make CC=gcc", **env) == alone
    assert site.farm.journal()["remote"] == 0  # all of them from the cache


def test_a_masquerade_directory(site):
    alone = site.build(MAKE, "make CC=gcc")
    links = site.masquerade()
    reasons = site.remote(alone, MAKE, "make CC=gcc", PATH=site.path(links))
    assert set(reasons) == {"link"}  # as often as the record of a build before this one came late


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
def test_several_masquerade_directories(site, order):
    alone = site.build(MAKE, "make CC=gcc")
    links = {name: site.masquerade(name) for name in ("links", "links2")}
    path = site.path(*(links.get(name, name) for name in order))
    site.remote(alone, MAKE, "make CC=gcc", PATH=path, CCACHE_DIR=str(site.apart / "cache"), CCACHE_NODIRECT="1")


def test_a_compiler_script_between_masquerade_and_compiler_that_comes_back(site):
    links = site.masquerade()
    script = site.apart / "scripts/gcc"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nexec gcc "$@"\n')
    script.chmod(0o755)
    put(site.place, FILES)
    done = site.farm.run("gcc", "-c", "a.c", cwd=site.place, PATH=site.path(links, script.parent))
    assert done.returncode == 111
    assert "SECURECC_RECURSION" in done.stderr


def test_nothing_but_masquerade_directories(site):
    links = [site.masquerade("links"), site.masquerade("links2")]
    put(site.place, FILES)
    done = site.farm.run("gcc", "-c", "a.c", cwd=site.place, PATH=":".join(map(str, links)))
    assert done.returncode == 110
    assert "no compiler named gcc" in done.stderr


def test_list_shows_what_the_launcher_runs(site):
    links = site.masquerade()
    path = site.path(links, "/usr/lib/ccache")
    done = site.farm.run("securecctl", "masquerade", "list", cwd=site.apart, PATH=path)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"{links}/gcc +{shutil.which('gcc', path=site.farm.env['PATH'])}$", done.stdout, re.MULTILINE)
    put(site.place, FILES)
    said = site.farm.run("gcc", "-print-prog-name=cc1", cwd=site.place, PATH=path)
    assert os.path.isabs(said.stdout.strip())
