"""securecc.client.compile.compiler_query: what the compiler itself says of what it reads."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from securecc.client.compile import compiler_query
from securecc.client.compile.invocation import Invocation
from securecc.client.inputs.include_search import IncludeSearch
from securecc.compiler.command_line import compile_plan
from securecc.compiler.command_line.environment import SentEnvironment
from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Kind
from tests.client.farm_stub import SETTINGS, NotingLauncher, request

CLANG = ToolchainClosure(
    "clang-14",
    "x86_64-pc-linux-gnu",
    "14",
    (b"/usr/bin/clang",),
    (),
    (),
    (),
    (b"/usr/include",),
    b"",
    b"d" * 32,
    "clang",
)
SAID = b"""Selected GCC installation: %(top)s/cross/12
Selected multilib: .;@m64
 "/usr/lib/cc1"
ignoring nonexistent directory "/nowhere/include"
#include "..." search starts here:
#include <...> search starts here:
 %(top)s/aarch64/include
 /usr/include
End of search list.
"""


def invocation(folder: Path | str, *words: str, closure: ToolchainClosure = CLANG) -> Invocation:
    asks = request(folder, *words)
    return Invocation(asks, compile_plan.parse(asks.arguments), SentEnvironment({}), closure, SETTINGS)


def listed(launcher: NotingLauncher, this: Invocation) -> tuple[tuple[bytes, ...], IncludeSearch]:
    return asyncio.run(compiler_query.listed(launcher, this))


@pytest.fixture
def top(tmp_path: Path) -> bytes:
    (tmp_path / "cross/12").mkdir(parents=True)
    (tmp_path / "cross/12/crtbegin.o").touch()
    (tmp_path / "aarch64/include").mkdir(parents=True)
    return os.fsencode(os.path.realpath(tmp_path))


def test_without_options_that_lead_elsewhere_it_is_asked_for_files_only(tmp_path: Path) -> None:
    launcher = NotingLauncher(listed=b"a.o: a.c a.h\n")
    files, search = listed(launcher, invocation(tmp_path, "clang", "-c", "a.c"))
    assert files == (b"a.c", b"a.h")
    assert launcher.told == [("capture", (b"/usr/bin/gcc", b"a.c", b"-M"))]
    assert search.watched_directories == ()


def test_what_is_not_preprocessed_reads_itself(tmp_path: Path) -> None:
    launcher = NotingLauncher()
    assert listed(launcher, invocation(tmp_path, "gcc", "-c", "a.i"))[0] == (b"a.i",)
    assert launcher.told == []


def test_where_options_lead_is_searched_and_all_around_it_is_watched(top: bytes) -> None:
    launcher = NotingLauncher(listed=b"a.o: a.c\n", said=SAID % {b"top": top})
    _, search = listed(launcher, invocation(os.fsdecode(top), "clang", "--target=aarch64-linux-gnu", "-c", "a.c"))
    assert launcher.told[0][1][-2:] == (b"-M", b"-v")
    assert {b"/usr/include", b"/nowhere/include", top + b"/aarch64/include"} <= set(search.directories)
    assert top + b"/cross/12/crtbegin.o" in search.unlisted_files
    wanted = (b"", b"/aarch64", b"/aarch64/include", b"/cross", b"/cross/12")
    assert {*(top + part for part in wanted), b"/usr/lib/gcc"} <= set(search.watched_directories)
    assert b"/usr/include" not in search.watched_directories


def test_what_the_toolchain_has_is_not_shown(top: bytes) -> None:
    path = top + b"/cross/12/crtbegin.o"
    closure = replace(CLANG, files=(ClosureFile(path, Kind.FILE, b"d" * 32),))
    launcher = NotingLauncher(listed=b"a.o: a.c\n", said=SAID % {b"top": top})
    _, search = listed(launcher, invocation(os.fsdecode(top), "clang", "-m32", "-c", "a.c", closure=closure))
    assert path not in search.unlisted_files


@pytest.mark.parametrize("words", [("clang", "-c", "a.c"), ("clang", "-m32", "-c", "a.c")])
def test_a_compiler_that_fails_shall_say_why_itself(tmp_path: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(StaysLocal) as local:
        listed(NotingLauncher(preprocesses=256), invocation(tmp_path, *words))
    assert local.value.reason == "does-not-preprocess"


def test_what_linemarkers_name(tmp_path: Path) -> None:
    launcher = NotingLauncher(listed=b'# 1 "a.c"\n# 7 "g.y"\n# 1 ""\n')
    this = invocation(tmp_path, "gcc", "-c", "a.c")
    assert asyncio.run(compiler_query.line_names(launcher, this)) == (b"a.c", b"g.y")
    with pytest.raises(StaysLocal):
        asyncio.run(compiler_query.line_names(NotingLauncher(preprocesses=256), this))
