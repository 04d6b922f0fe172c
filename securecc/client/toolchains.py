"""The compilers of this machine by their closures, discovered once and looked at again while they are used."""

import asyncio
import os
import time
from dataclasses import dataclass

from securecc.client.stamp import Stamp, stamp_of
from securecc.compiler.toolchain import ToolchainClosure, discover
from securecc.words.errors import StaysLocal, ToolchainError

LOOKED_AT_S = 0.5
"""A closure's files are looked at again after this long; replacing a compiler takes longer."""


@dataclass(slots=True)
class _Known:
    closure: ToolchainClosure
    stamps: tuple[tuple[bytes, Stamp], ...]
    looked: float


class Toolchains:
    """The closures of one agent's life."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], _Known] = {}
        self._finding: dict[tuple[bytes, bytes], asyncio.Task[_Known]] = {}

    async def closure(self, compiler: bytes, search_path: bytes) -> ToolchainClosure:
        """The closure of the compiler at this absolute path, `as` and its like looked for along `search_path`.

        Raises StaysLocal for what is no compiler that can be shown whole.
        """
        key = (compiler, search_path)
        known = self._known.get(key)
        if known is not None:
            if not _stale(known):
                return known.closure
            del self._known[key]  # nobody may get the old one while the new one is looked at
        task = self._finding.get(key)
        if task is None:
            task = self._finding[key] = asyncio.create_task(asyncio.to_thread(_find, compiler, search_path))
            task.add_done_callback(lambda _: self._finding.pop(key, None))
        try:
            found = await asyncio.shield(task)
        except ToolchainError as error:
            raise StaysLocal("toolchain", error.message) from error
        self._known[key] = found
        return found.closure


def _find(compiler: bytes, search_path: bytes) -> _Known:
    closure = discover(compiler, search_path)
    try:
        stamps = tuple((file.path, stamp_of(os.lstat(file.path))) for file in closure.files)
    except OSError as error:
        raise ToolchainError(f"{os.fsdecode(compiler)} changes: {error.strerror}") from error
    return _Known(closure, stamps, time.monotonic())


def _stale(known: _Known) -> bool:
    now = time.monotonic()
    if now - known.looked < LOOKED_AT_S:
        return False
    known.looked = now
    try:
        return any(stamp_of(os.lstat(path)) != stamp for path, stamp in known.stamps)
    except OSError:
        return True
