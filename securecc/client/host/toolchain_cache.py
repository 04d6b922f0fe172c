"""The closures of this machine's compilers, discovered once and watched while in use."""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cachetools import LRUCache

from securecc.client.host import wrapper_lists
from securecc.client.host.digest_cache import DigestCache
from securecc.client.host.file_watch import FileWatch, FileWatches
from securecc.client.host.local_programs import stops_search
from securecc.client.host.mount_table import overlap
from securecc.compiler.toolchain import gcc, toolchain_list
from securecc.compiler.toolchain.closure import describe
from securecc.compiler.toolchain.discovery import ToolchainClosure, discover
from securecc.compiler.toolchain.toolchain_list import KnownToolchain
from securecc.model import limits
from securecc.model.errors import StaysLocal, ToolchainError
from securecc.model.printable import plain_path
from securecc.system.stat_key import StatKey, path_stat_key

_SOUGHT = (*gcc.PROGRAMS, b"specs")
_GCC_MARK = b"/crtbegin.o"  # other versions of gcc are beside its directory; clang uses the newest

_Key = tuple[bytes, bytes]  # the compiler's path as called, and the PATH it was called with


@dataclass(frozen=True, slots=True)
class _Found:
    """A closure with what it depends on: where the compiler's name leads, and the files that it consists of."""

    closure: ToolchainClosure
    called: tuple[tuple[bytes, StatKey | None], ...]
    watch: FileWatch

    def stale(self) -> bool:
        return any(path_stat_key(path) != key for path, key in self.called) or not self.watch.holds()


class _Toolchains(LRUCache[_Key, _Found]):
    """Stops watching what is evicted."""

    def popitem(self) -> tuple[_Key, _Found]:
        key, found = super().popitem()
        found.watch.end()
        return key, found


class ToolchainCache:
    """The closures that one agent has discovered, `most` of them. `lists` name the scripts that stand for compilers.
    Toolchains are recorded in `record`, for people to read.
    """

    def __init__(
        self,
        record: Path | None = None,
        lists: tuple[Path, ...] | None = None,
        *,
        most: int = limits.TOOLCHAINS_REMEMBERED,
    ) -> None:
        self._record = record
        self._lists = wrapper_lists.default_paths() if lists is None else lists
        self._digests = DigestCache()
        self._watches = FileWatches()
        self._numbers = itertools.count()
        self._known = _Toolchains(most)
        self._discovering: dict[_Key, asyncio.Task[_Found]] = {}

    async def closure(self, compiler: bytes, search_path: bytes) -> ToolchainClosure:
        """The closure of the compiler at this absolute path, `as` and its like looked for along `search_path`.

        Raises:
            StaysLocal: it is not a compiler, or not all of its files can be found.
        """
        key = (compiler, search_path)
        known = self._known.get(key)
        if known is not None:
            if not known.stale():
                return known.closure
            self._known.pop(key).watch.end()  # no one may get the old one while the new one is examined
        task = self._discovering.get(key)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._discover, compiler, search_path))
            self._discovering[key] = task
            task.add_done_callback(lambda _: self._discovering.pop(key, None))
        try:
            found = await asyncio.shield(task)
        except ToolchainError as error:
            raise StaysLocal("toolchain", str(error)) from error
        new = self._known.get(key) is not found
        self._known[key] = found
        if new:
            self._write()
        return found.closure

    def forget_at(self, mounted: Iterable[bytes]) -> None:
        """Forgets what lies at or below these mount points, or above them: another file system may have equal stat
        keys.
        """
        points = tuple(mounted)
        for key, found in list(self._known.items()):
            paths = (key[0], *(path for path, _ in (*found.called, *found.watch.stat_keys)))
            if any(overlap(path, point) for path in paths for point in points):
                self._known.pop(key).watch.end()
                self._digests.clear()

    def _discover(self, compiler: bytes, search_path: bytes) -> _Found:
        called = [compiler, os.path.realpath(compiler), *map(os.fsencode, self._lists)]
        called_keys = tuple((path, path_stat_key(path)) for path in called)
        began = time.time_ns()
        closure = discover(compiler, search_path, self._digests, wrapper_lists.vouched(self._lists))
        stop = next((path for path in search_path.split(b":") if path[:1] == b"/" and stops_search(path)), b"")
        if stop:
            raise ToolchainError(f"PATH ends at {plain_path(stop)}, which cannot be searched")
        own = own_paths(closure)
        watch = FileWatch((*own, *_deciding(closure, search_path)), self._watches, b"%d" % next(self._numbers))
        keys = dict(watch.stat_keys)
        if any((key := keys[path]) is None or key.ctime_ns > began for path in own):
            watch.end()
            raise ToolchainError(f"{os.fsdecode(compiler)} changed while it was being examined")
        return _Found(closure, called_keys, watch)

    def _write(self) -> None:
        if self._record is None:
            return
        known = [
            KnownToolchain(found.closure.digest, (compiler,), describe(found.closure), search_path)
            for (compiler, search_path), found in self._known.items()
        ]
        with contextlib.suppress(OSError):  # it is only informational
            toolchain_list.write(self._record, known)


def own_paths(closure: ToolchainClosure) -> list[bytes]:
    """The closure's paths, with one directory for all of glibc's 250 converters: packages replace these one by one,
    which changes the directory.
    """
    paths = [file.path for file in (*closure.files, *closure.calls)]
    converters = {os.path.dirname(path) for path in paths if path.endswith(b".so") and b"/gconv/" in path}
    return [*converters, *(path for path in paths if os.path.dirname(path) not in converters)]


def _deciding(closure: ToolchainClosure, search_path: bytes) -> list[bytes]:
    """Paths, most of which do not exist, that would be found before or beside the files in use if they appeared."""
    directories = [*closure.directories, *(path for path in search_path.split(b":") if path.startswith(b"/"))]
    marks = [file.path for file in closure.files if file.path.endswith(_GCC_MARK)]
    return [
        *(os.path.join(directory, name) for directory in dict.fromkeys(directories) for name in _SOUGHT),
        *(os.path.dirname(os.path.dirname(path)) for path in marks),
    ]
