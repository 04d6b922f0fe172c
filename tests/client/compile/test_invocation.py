"""securecc.client.compile.invocation: by what a compile is known again, and where it looks."""

import os

import pytest

from securecc.client.compile.invocation import Invocation, memory_key, physical, search_of
from securecc.client.state.settings import Settings
from securecc.compiler.command_line import compile_plan, environment
from securecc.compiler.command_line.environment import EffectiveLocale
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model.messages import SharedTree
from tests.client.farm_stub import request

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


def order(*words, shared_trees=(), folder="/w", **changes):
    asked = request(folder, *words, **changes)
    plan = compile_plan.parse(asked.arguments)
    sent = environment.sent_environment(asked.environment, plan.language, EffectiveLocale(b"C"))
    return Invocation(asked, plan, sent, CLOSURE, Settings(), shared_trees)


def test_it_looks_where_the_compiler_does_and_in_its_order():
    words = ("-idirafter", "d", "-isystem", "s", "-I", "i", "-iquote", "q", "-I/j", "-include", "f.h")
    search = search_of(order("gcc", *words, "-c", "a.c", environment={b"CPATH": b"/c"}))
    assert search.search_path.quoted == (b"/w/q",)
    assert search.search_path.bracketed == (b"/w/i", b"/j", b"/c", b"/w/s", b"/own", b"/w/d")
    assert search.forced == (b"f.h",)
    assert set(search.directories) == {*search.search_path.quoted, *search.search_path.bracketed}


@pytest.mark.parametrize(
    "other",
    [
        order("gcc", "-O2", "-c", "a.c"),
        order("gcc", "-c", "a.c", folder="/v"),
        order("gcc", "-c", "a.c", compiler=b"/usr/local/bin/gcc"),
        order("gcc", "-c", "a.c", environment={b"CPATH": b"/c"}),
        order("gcc", "-c", "a.c", shared_trees=(SharedTree(b"/usr/include", bytes(32)),)),
    ],
)
def test_what_makes_another_compile(other):
    assert memory_key(order("gcc", "-c", "a.c")) == memory_key(order("gcc", "-c", "a.c"))
    assert memory_key(other) != memory_key(order("gcc", "-c", "a.c"))


def test_where_an_output_really_lies(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert physical(b"link/a.o", os.fsencode(tmp_path)) == os.path.realpath(os.fsencode(tmp_path)) + b"/real/a.o"
    assert physical(b"/a.o", b"/w") == b"/a.o"
