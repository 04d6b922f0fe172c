"""securecc.client.compile.invocation: by what a compile is known again, and where it looks."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securecc.client.compile.invocation import Invocation, environment_of, physical
from securecc.client.state.settings import Settings
from securecc.compiler.command_line import compile_plan, environment
from securecc.compiler.command_line.environment import EffectiveLocale
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model.errors import StaysLocal
from securecc.model.messages import SharedTree
from tests.client.compile.compile_rig import Rig, run
from tests.client.farm_stub import NotingLauncher, request

CLOSURE = ToolchainClosure(
    name="gcc-12",
    target="x86_64-linux-gnu",
    version="12",
    called_by=(b"/usr/bin/gcc",),
    files=(),
    calls=(),
    directories=(b"/usr/bin",),
    include_directories=(b"/own",),
    search_path=b"/usr/bin",
    digest=bytes(32),
)


def invocation(
    *words: str, shared_trees: tuple[SharedTree, ...] = (), folder: str = "/w", **changes: Any
) -> Invocation:
    asked = request(folder, *words, **changes)
    plan = compile_plan.parse(asked.arguments)
    sent = environment.sent_environment(asked.environment, plan.language, EffectiveLocale(b"C"))
    return Invocation(asked, plan, sent, CLOSURE, Settings(), shared_trees)


def test_it_looks_where_the_compiler_does_and_in_its_order() -> None:
    words = ("-idirafter", "d", "-isystem", "s", "-I", "i", "-iquote", "q", "-I/j", "-include", "f.h")
    search = invocation("gcc", *words, "-c", "a.c", environment={b"CPATH": b"/c"}).search
    assert search.search_path.quoted == (b"/w/q",)
    assert search.search_path.bracketed == (b"/w/i", b"/j", b"/c", b"/w/s", b"/own", b"/w/d")
    assert search.forced_includes == (b"f.h",)
    assert set(search.directories) == {*search.search_path.quoted, *search.search_path.bracketed}


@pytest.mark.parametrize(
    "other",
    [
        invocation("gcc", "-O2", "-c", "a.c"),
        invocation("gcc", "-c", "a.c", folder="/v"),
        invocation("gcc", "-c", "a.c", compiler=b"/usr/local/bin/gcc"),
        invocation("gcc", "-c", "a.c", environment={b"CPATH": b"/c"}),
        invocation("gcc", "-c", "a.c", shared_trees=(SharedTree(b"/usr/include", bytes(32)),)),
    ],
)
def test_what_makes_another_compile(other: Invocation) -> None:
    assert invocation("gcc", "-c", "a.c").key == invocation("gcc", "-c", "a.c").key
    assert other.key != invocation("gcc", "-c", "a.c").key


def test_where_an_output_really_lies(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert physical(b"link/a.o", os.fsencode(tmp_path)) == os.path.realpath(os.fsencode(tmp_path)) + b"/real/a.o"
    assert physical(b"/a.o", b"/w") == b"/a.o"


def test_the_time_of_day_in_a_zone_that_is_not_known_is_another_compile(rig: Rig) -> None:
    async def body() -> None:
        (rig.folder / "a.c").write_text("const char *t = __TIME__;\n")
        zone = os.environ.get("TZ")
        told = {} if zone is None else {b"TZ": zone.encode()}
        known = await rig.prepare(environment=told)
        inputs = await rig.resolve(known)
        assert inputs.uses_time
        assert b"SOURCE_DATE_EPOCH" in environment_of(known, inputs)
        elsewhere = await rig.prepare(environment={b"TZ": b"XXX+3"})
        with pytest.raises(StaysLocal) as local:
            await rig.resolve(elsewhere, NotingLauncher(listed=b"a.o: a.c\n"))
        assert local.value.reason == "time"
        with pytest.raises(StaysLocal):
            environment_of(elsewhere, inputs)

    run(body())


def test_where_a_file_says_its_own_time_the_zone_travels(rig: Rig) -> None:
    async def body() -> None:
        (rig.folder / "a.c").write_text("const char *t = __TIMESTAMP__;\n")
        known = await rig.prepare(environment={b"TZ": b"Asia/Tokyo"})
        inputs = await rig.resolve(known)
        assert environment_of(known, inputs)[b"TZ"] == b"JST-9"
        with pytest.raises(StaysLocal):
            environment_of(await rig.prepare(environment={b"TZ": b"No/Such"}), inputs)
        assert b"TZ" not in environment_of(known, replace(inputs, timestamps=()))

    run(body())
