"""securecc.client.order: by what a compile is known again, and where it looks."""

import os
from contextlib import nullcontext
from dataclasses import replace

import pytest
from farm_stub import request

from securecc.client.order import Order, check_terminal, memory_key, physical, search_of
from securecc.client.settings import Settings
from securecc.compiler import cmdline, environment
from securecc.compiler.closure import ClosureFile
from securecc.compiler.environment import Speech
from securecc.compiler.toolchain import ToolchainClosure
from securecc.words.errors import StaysLocal
from securecc.words.manifest import Kind
from securecc.words.messages import Layer, Terminal

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


def order(*words, layers=(), folder="/w", **changes):
    asked = request(folder, *words, **changes)
    plan = cmdline.parse(asked.arguments)
    sent = environment.split(asked.environment, plan.language, Speech(b"C"))
    return Order(asked, plan, sent, CLOSURE, Settings(), layers)


def test_it_looks_where_the_compiler_does_and_in_its_order():
    words = ("-idirafter", "d", "-isystem", "s", "-I", "i", "-iquote", "q", "-I/j", "-include", "f.h")
    search = search_of(order("gcc", *words, "-c", "a.c", environment={b"CPATH": b"/c"}))
    assert search.chain.quoted == (b"/w/q",)
    assert search.chain.bracketed == (b"/w/i", b"/j", b"/c", b"/w/s", b"/own", b"/w/d")
    assert search.forced == (b"f.h",)
    assert set(search.directories) == {*search.chain.quoted, *search.chain.bracketed}


@pytest.mark.parametrize(
    "other",
    [
        order("gcc", "-O2", "-c", "a.c"),
        order("gcc", "-c", "a.c", folder="/v"),
        order("gcc", "-c", "a.c", compiler=b"/usr/local/bin/gcc"),
        order("gcc", "-c", "a.c", environment={b"CPATH": b"/c"}),
        order("gcc", "-c", "a.c", layers=(Layer(b"/usr/include", bytes(32)),)),
    ],
)
def test_what_makes_another_compile(other):
    assert memory_key(order("gcc", "-c", "a.c")) == memory_key(order("gcc", "-c", "a.c"))
    assert memory_key(other) != memory_key(order("gcc", "-c", "a.c"))


CLANG = replace(CLOSURE, family="clang", files=(ClosureFile(b"/usr/lib/terminfo/x/xterm", Kind.FILE, bytes(32)),))


@pytest.mark.parametrize(
    ("kind", "home", "stays"), [("", "", False), ("xterm", "", False), ("odd", "", True), ("xterm", "x/xterm", True)]
)
def test_a_terminal_that_only_this_machine_knows(tmp_path, kind, home, stays):
    if home:
        (tmp_path / ".terminfo/x").mkdir(parents=True)
        (tmp_path / ".terminfo" / home).touch()
    environment = {b"TERM": kind.encode(), b"HOME": os.fsencode(tmp_path)}
    asked = order("gcc", "-c", "a.c", environment=environment, terminal=Terminal(error=True))
    check_terminal(asked)  # gcc asks nobody
    with pytest.raises(StaysLocal) if stays else nullcontext():
        check_terminal(replace(asked, toolchain=CLANG))
    check_terminal(replace(asked, toolchain=CLANG, request=replace(asked.request, terminal=Terminal())))


@pytest.mark.parametrize(
    ("variable", "value", "stays"),
    [
        ("TERMINFO", "{own}", True),
        ("TERMINFO", "{own}-2", False),
        ("TERMINFO", "hex:1a01", True),
        ("TERMINFO", "{own}/x/xterm", True),
        ("TERMINFO_DIRS", ":{own}", True),
        ("TERMINFO_DIRS", "{own}-2::/nowhere", False),
        ("TERMINFO_DIRS", "", False),
    ],
)
def test_a_terminal_that_a_variable_describes(tmp_path, variable, value, stays):
    (tmp_path / "own/x").mkdir(parents=True)
    (tmp_path / "own/x/xterm").touch()
    environment = {b"TERM": b"xterm", variable.encode(): os.fsencode(value.format(own=tmp_path / "own"))}
    asked = order("gcc", "-c", "a.c", environment=environment, terminal=Terminal(error=True))
    with pytest.raises(StaysLocal) if stays else nullcontext():
        check_terminal(replace(asked, toolchain=CLANG))


def test_where_an_output_really_lies(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert physical(b"link/a.o", os.fsencode(tmp_path)) == os.path.realpath(os.fsencode(tmp_path)) + b"/real/a.o"
    assert physical(b"/a.o", b"/w") == b"/a.o"
