"""securecc.client.host.terminal_types: which kind of terminal a server's clang is told of."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from securecc.client.host import terminal_types
from securecc.client.host.terminal_types import TerminalTypes
from securecc.compiler.command_line.option_table import Family
from securecc.compiler.toolchain.closure import ClosureFile
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Kind
from securecc.model.messages import Terminal
from tests.client.farm_stub import request

FILES = (b"/usr/lib/terminfo/x/xterm", b"/usr/lib/terminfo/d/dumb", b"/lib/libtinfo.so.6")


def closure(family: Family = "clang", files: tuple[bytes, ...] = FILES) -> ToolchainClosure:
    return ToolchainClosure(
        name=f"{family}-14",
        target="x86_64-linux-gnu",
        version="14",
        called_by=(b"/usr/bin/clang",),
        files=tuple(ClosureFile(path, Kind.FILE, bytes(32)) for path in files),
        calls=(),
        directories=(),
        include_directories=(),
        search_path=b"/usr/bin",
        digest=bytes(32),
        family=family,
    )


def told(
    environment: dict[bytes, bytes],
    toolchain: ToolchainClosure | None = None,
    known: TerminalTypes | None = None,
    *,
    error: bool = True,
) -> bytes:
    asked = request("/w", "clang", "-c", "a.c", environment=environment, terminal=Terminal(error=error))
    return asyncio.run((known or TerminalTypes()).kind(toolchain or closure(), asked))


@pytest.fixture
def own(tmp_path: Path) -> bytes:
    """Descriptions that this machine alone has, of a terminal with colours and one without."""
    (tmp_path / "own.ti").write_text("own-grey|without,\n  am,\nown-colour|with,\n  am, colors#8,\n")
    subprocess.run(["tic", "-x", "-o", tmp_path / "own", tmp_path / "own.ti"], check=True)
    return os.fsencode(tmp_path / "own")


def test_what_a_server_knows_is_told_as_it_is(tmp_path: Path) -> None:
    home = os.fsencode(tmp_path)
    assert told({b"TERM": b"xterm", b"HOME": home}) == b"xterm"
    assert told({b"TERM": b"odd"}, closure("gcc")) == b"odd"  # gcc goes by the name
    assert told({b"TERM": b"odd"}, error=False) == b"odd"  # nobody looks
    assert told({}) == b""


def test_what_only_this_machine_knows(own: bytes) -> None:
    assert told({b"TERM": b"own-colour", b"TERMINFO": own}) == terminal_types.COLOURED
    assert told({b"TERM": b"own-grey", b"TERMINFO": own}) == terminal_types.PLAIN
    assert told({b"TERM": b"own-colour"}) == terminal_types.PLAIN  # which nobody knows
    assert told({b"TERM": b"own-colour", b"TERMINFO_DIRS": b":" + own}) == terminal_types.COLOURED


@pytest.mark.parametrize("variable", [b"TERMINFO", b"TERMINFO_DIRS"])
def test_a_description_of_ones_own_for_a_kind_that_all_know(tmp_path: Path, variable: bytes) -> None:
    (tmp_path / "own.ti").write_text("xterm|without colours here,\n  am,\n")
    subprocess.run(["tic", "-x", "-o", tmp_path / "own", tmp_path / "own.ti"], check=True)
    assert told({b"TERM": b"xterm", variable: os.fsencode(tmp_path / "own")}) == terminal_types.PLAIN


@pytest.mark.parametrize("files", [FILES[:2], FILES[1:]])
def test_a_clang_that_does_not_ask_as_tput_does_or_knows_no_coloured_one(files: tuple[bytes, ...]) -> None:
    with pytest.raises(StaysLocal) as local:
        told({b"TERM": b"odd"}, closure(files=files))
    assert local.value.reason == "terminal"


def test_it_is_asked_once_a_while(own: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [0, 8]
    known = TerminalTypes(lambda _: answers.pop())
    environment = {b"TERM": b"own-colour", b"TERMINFO": own}
    assert told(environment, known=known) == terminal_types.COLOURED
    assert told(environment, known=known) == terminal_types.COLOURED
    monkeypatch.setattr(terminal_types, "EXPIRY_S", 0.0)
    assert told(environment, known=known) == terminal_types.PLAIN


def test_a_tput_that_says_nothing_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def tput(*_words: object, **_options: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess("tput", 0, b"many\n", b"")

    monkeypatch.setattr(subprocess, "run", tput)
    with pytest.raises(StaysLocal) as local:
        told({b"TERM": b"odd"})
    assert local.value.reason == "terminal"
