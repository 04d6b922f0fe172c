"""The compilers of this machine by their closures, discovered once and watched while they are used."""

import asyncio
import contextlib
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

from securecc.client.host import wrapper_lists
from securecc.client.host.file_watch import FileWatch, FileWatches
from securecc.compiler.toolchain import gcc, toolchain_list
from securecc.compiler.toolchain.closure import describe
from securecc.compiler.toolchain.discovery import Digests, ToolchainClosure, discover
from securecc.compiler.toolchain.toolchain_list import KnownToolchain
from securecc.model.errors import StaysLocal, ToolchainError
from securecc.system.stat_key import StatKey, path_stat_key

_LOOKED_FOR = (*gcc.PROGRAMS, b"specs")
_CHOOSES = b"/crtbegin.o"  # beside its directory stand the other versions of gcc, of which clang takes the newest


@dataclass(slots=True)
class _Found:
    closure: ToolchainClosure
    called: tuple[tuple[bytes, StatKey | None], ...]
    vigil: FileWatch


class ToolchainCache:
    """The closures of one agent's life. `lists` name the scripts that stand for compilers; what is met is written to
    `record`, for people to look at.
    """

    def __init__(self, record: Path | None = None, lists: tuple[Path, ...] | None = None) -> None:
        self._record = record
        self._lists = wrapper_lists.default_paths() if lists is None else lists
        self._digests: Digests = {}
        self._watches = FileWatches()
        self._numbers = itertools.count()
        self._known: dict[tuple[bytes, bytes], _Found] = {}
        self._finding: dict[tuple[bytes, bytes], asyncio.Task[_Found]] = {}

    async def closure(self, compiler: bytes, search_path: bytes) -> ToolchainClosure:
        """The closure of the compiler at this absolute path, `as` and its like looked for along `search_path`.

        Raises StaysLocal for what is no compiler that can be shown whole.
        """
        key = (compiler, search_path)
        known = self._known.get(key)
        if known is not None:
            if not _stale(known):
                return known.closure
            self._known.pop(key).vigil.end()  # nobody may get the old one while the new one is looked at
        task = self._finding.get(key)
        if task is None:
            task = self._finding[key] = asyncio.create_task(asyncio.to_thread(self._find, compiler, search_path))
            task.add_done_callback(lambda _: self._finding.pop(key, None))
        try:
            found = await asyncio.shield(task)
        except ToolchainError as error:
            raise StaysLocal("toolchain", str(error)) from error
        new = self._known.get(key) is not found
        self._known[key] = found
        if new:
            self._write()
        return found.closure

    def _find(self, compiler: bytes, search_path: bytes) -> _Found:
        called = _stamps([compiler, os.path.realpath(compiler), *map(os.fsencode, self._lists)])
        began = time.time_ns()
        closure = discover(compiler, search_path, self._digests, wrapper_lists.vouched(self._lists))
        own = _own(closure)
        vigil = FileWatch((*own, *_deciding(closure, search_path)), self._watches, b"%d" % next(self._numbers))
        seen = dict(vigil.stamps)
        if any((stamp := seen[path]) is None or stamp[4] > began for path in own):
            vigil.end()
            raise ToolchainError(f"{os.fsdecode(compiler)} changes while it is looked at")
        return _Found(closure, called, vigil)

    def _write(self) -> None:
        if self._record is None:
            return
        known = [
            KnownToolchain(found.closure.digest, (compiler,), describe(found.closure), search_path)
            for (compiler, search_path), found in self._known.items()
        ]
        with contextlib.suppress(OSError):  # it is only for people
            toolchain_list.write(self._record, known)


def _own(closure: ToolchainClosure) -> list[bytes]:
    """The closure's paths, with one for all of glibc's 250 converters: packages put new ones in their places, which
    changes the directory.
    """
    paths = [file.path for file in (*closure.files, *closure.calls)]
    converters = {os.path.dirname(path) for path in paths if path.endswith(b".so") and b"/gconv/" in path}
    return [*converters, *(path for path in paths if os.path.dirname(path) not in converters)]


def _deciding(closure: ToolchainClosure, search_path: bytes) -> list[bytes]:
    """What would be found before, or beside, what is used, if it came to be there; mostly it is not."""
    folders = [*closure.directories, *(folder for folder in search_path.split(b":") if folder.startswith(b"/"))]
    chosen = [file.path for file in closure.files if file.path.endswith(_CHOOSES)]
    return [
        *(os.path.join(folder, name) for folder in dict.fromkeys(folders) for name in _LOOKED_FOR),
        *(os.path.dirname(os.path.dirname(path)) for path in chosen),
    ]


def _stamps(paths: list[bytes]) -> tuple[tuple[bytes, StatKey | None], ...]:
    return tuple((path, path_stat_key(path)) for path in paths)


def _stale(known: _Found) -> bool:
    return any(path_stat_key(path) != stamp for path, stamp in known.called) or not known.vigil.holds()
