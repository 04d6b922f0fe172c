"""The closures of an agent's life."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securecc.client.host import toolchain_cache
from securecc.client.host.file_watch import FileWatch
from securecc.client.host.toolchain_cache import ToolchainCache
from securecc.compiler.toolchain import toolchain_list
from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure
from securecc.compiler.toolchain.wrapper_scripts import script_digest
from securecc.model.errors import StaysLocal, ToolchainError
from securecc.model.manifest import Kind


class Discovery:
    """In the place of discovering: counts, waits if it is told to, names what the program's file says."""

    def __init__(self, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program = program
        self.found = 0
        self.now = 0.0
        program.write_text("12")
        monkeypatch.setattr(toolchain_cache, "discover", self.discover)
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def discover(self, compiler: Any, search_path: Any, digests: Any, vouched: Any) -> ToolchainClosure:
        self.found += 1
        if not self.program.exists():
            raise ToolchainError("no such compiler")
        file = ClosureFile(os.fsencode(self.program), Kind.FILE, b"")
        text = self.program.read_text()
        return ToolchainClosure("gcc-12", "", "", (), (file,), (), (), (), b"", text.encode())

    def replace(self, text: str) -> None:
        new = self.program.with_suffix(".new")
        new.write_text(text)
        new.replace(self.program)


@pytest.fixture
def discovery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Discovery:
    return Discovery(tmp_path / "gcc", monkeypatch)


def test_a_compiler_is_discovered_once_however_many_ask(discovery: Discovery) -> None:
    async def body() -> None:
        known = ToolchainCache()
        found = await asyncio.gather(*(known.closure(b"/gcc", b"/bin") for _ in range(9)))
        assert {closure.digest for closure in found} == {b"12"}
        await known.closure(b"/gcc", b"/bin")
        assert discovery.found == 1
        await known.closure(b"/gcc", b"/other")
        assert discovery.found == 2

    asyncio.run(body())


def test_nobody_gets_the_old_one_while_the_new_one_is_looked_at(discovery: Discovery) -> None:
    async def body() -> None:
        known = ToolchainCache()
        await known.closure(b"/gcc", b"/bin")
        discovery.replace("13")
        first = asyncio.create_task(known.closure(b"/gcc", b"/bin"))
        await asyncio.sleep(0)
        second = asyncio.create_task(known.closure(b"/gcc", b"/bin"))
        assert [(await task).digest for task in (first, second)] == [b"13", b"13"]

    asyncio.run(body())


def test_what_is_no_compiler_stays_local_and_is_asked_again(discovery: Discovery) -> None:
    async def body() -> None:
        known = ToolchainCache()
        await known.closure(b"/gcc", b"/bin")
        discovery.program.unlink()
        for _ in range(2):
            with pytest.raises(StaysLocal) as local:
                await known.closure(b"/gcc", b"/bin")
            assert local.value.reason == "toolchain"
        discovery.program.write_text("14")
        assert (await known.closure(b"/gcc", b"/bin")).digest == b"14"

    asyncio.run(body())


def test_a_compiler_that_changes_while_it_is_looked_at_stays_local(
    discovery: Discovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = discovery.discover

    def vanishing(*words: Any) -> ToolchainClosure:
        closure = found(*words)
        discovery.program.unlink()
        return closure

    monkeypatch.setattr(toolchain_cache, "discover", vanishing)
    with pytest.raises(StaysLocal, match="changed"):
        asyncio.run(ToolchainCache().closure(b"/gcc", b"/bin"))


def test_a_compile_that_is_given_up_does_not_stop_the_look(discovery: Discovery) -> None:
    async def body() -> None:
        known = ToolchainCache()
        first, second = (asyncio.create_task(known.closure(b"/gcc", b"/bin")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).digest == b"12"
        assert discovery.found == 1

    asyncio.run(body())


def test_a_program_that_comes_to_stand_before_the_one_that_is_used(discovery: Discovery, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()

    async def body() -> None:
        known = ToolchainCache()
        await known.closure(b"/gcc", os.fsencode(folder))
        (folder / "as").touch()
        await known.closure(b"/gcc", os.fsencode(folder))
        assert discovery.found == 2

    asyncio.run(body())


def test_what_is_met_is_on_record(discovery: Discovery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    discovery.program.write_text("12")

    async def body() -> None:
        known = ToolchainCache(tmp_path / "toolchains.json")
        monkeypatch.setattr(
            toolchain_cache, "discover", lambda *words: replace(discovery.discover(*words), digest=b"d" * 32)
        )
        await known.closure(b"/gcc", b"/bin")
        [met] = toolchain_list.read(tmp_path / "toolchains.json").toolchains
        assert (met.digest, met.called_by, met.search_path) == (b"d" * 32, (b"/gcc",), b"/bin")
        assert met.description.name == "gcc-12"

    asyncio.run(body())


def test_a_script_is_a_compiler_as_long_as_it_is_vouched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, vouching = tmp_path / "gcc", tmp_path / "wrappers"
    script.write_text('#!/bin/sh\nexec /usr/bin/gcc "$@"\n')
    script.chmod(0o755)
    path = os.fsencode(script)

    async def body() -> None:
        known = ToolchainCache(lists=(vouching,))
        with pytest.raises(StaysLocal, match="vouched"):
            await known.closure(path, b"/usr/bin")
        vouching.write_text(script_digest(path).hex())
        assert (await known.closure(path, b"/usr/bin")).program == b"/usr/bin/gcc"
        vouching.unlink()
        with pytest.raises(StaysLocal, match="vouched"):
            await known.closure(path, b"/usr/bin")

    asyncio.run(body())


def test_converters_are_looked_at_by_their_directory() -> None:
    paths = [b"/usr/bin/gcc", b"/usr/lib/gconv/UTF-16.so", b"/usr/lib/gconv/UTF-32.so", b"/usr/lib/libc.so"]
    files = tuple(ClosureFile(path, Kind.FILE, b"") for path in paths)
    closure = ToolchainClosure("gcc-12", "", "", (), files, (), (), (), b"", b"12")
    assert sorted(toolchain_cache.own_paths(closure)) == [b"/usr/bin/gcc", b"/usr/lib/gconv", b"/usr/lib/libc.so"]


def test_a_compiler_that_is_forgotten_is_watched_no_more(discovery: Discovery, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[FileWatch] = []
    end = FileWatch.end

    def noted(watch: FileWatch) -> None:
        ended.append(watch)
        end(watch)

    monkeypatch.setattr(FileWatch, "end", noted)

    async def body() -> None:
        known = ToolchainCache(most=2)
        for search_path in (b"/1", b"/2", b"/1", b"/3", b"/1"):
            await known.closure(b"/gcc", search_path)
        assert (discovery.found, len(ended)) == (3, 1)
        await known.closure(b"/gcc", b"/2")
        assert (discovery.found, len(ended)) == (4, 2)

    asyncio.run(body())


@pytest.mark.parametrize(("point", "found"), [(b"/elsewhere", 1), (b"/", 2), (b"/gcc", 2)])
def test_a_mount_where_it_lies_makes_it_another(discovery: Discovery, point: bytes, found: int) -> None:
    """Another file system may show equal stamps."""

    async def body() -> None:
        known = ToolchainCache()
        await known.closure(b"/gcc", b"/bin")
        known.forget_at([point])
        await known.closure(b"/gcc", b"/bin")
        assert discovery.found == found

    asyncio.run(body())
