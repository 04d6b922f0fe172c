"""What compiles read, so that the same command in the same place need not ask the compiler again.

An entry is valid as long as every file, symlink and directory that it depends on is unchanged, and no directory that
was searched has gained or lost one of the names that were looked for. Checking takes only stat(2): nothing is read.
"""

import os
import stat
from dataclasses import replace

from cachetools import LRUCache

from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.caches.file_cache import FileCache, FileFacts
from securecc.client.inputs.compile_inputs import Directories, Inputs
from securecc.client.inputs.name_watch import NameWatch
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.system.file_type import file_type

Key = tuple[object, ...]
"""All that decides what a compile reads and does: command, directory, environment, toolchain."""


class DependencyCache:
    """The inputs of the compiles that one agent has seen, `most` of them."""

    def __init__(self, files: FileCache, directories: DirectoryCache, most: int = limits.COMPILES_REMEMBERED) -> None:
        self._files = files
        self._directories = directories
        self._known: LRUCache[Key, Inputs] = LRUCache(most)

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, key: Key, inputs: Inputs) -> None:
        """Remembers the inputs of a compile; if there are too many, the least recently used are dropped."""
        self._known[key] = inputs

    def forget(self, key: Key) -> None:
        """Forgets inputs that turned out not to be those that the compile read."""
        self._known.pop(key, None)

    def recall(self, key: Key, *, vouched: bool = False) -> Inputs | None:
        """The inputs, if everything that they depend on is unchanged; forgets them otherwise. If it is `vouched` that
        all names that the compile asked for are as they were (`securecc.client.witness.question_memory`), with the
        directories and symlinks on the way, only the files' contents remain to be looked at.
        """
        inputs = self._known.get(key)
        if inputs is None:
            return None
        files = self._current_files(inputs.files)
        if files is not None and files is not inputs.files:
            self._known[key] = inputs = replace(inputs, files=files)
        if vouched and files is not None:
            return inputs
        directories = _current_directories(inputs) if files is not None else None
        watches = self._current_watches(inputs.watches) if directories is not None else None
        if directories is None or watches is None or any(file_type(path) != kind for path, kind in inputs.file_types):
            self.forget(key)
            return None
        if watches is not inputs.watches or directories is not inputs.directories:
            self._known[key] = inputs = replace(inputs, watches=watches, directories=directories)
        return inputs

    def clear(self) -> None:
        """Forgets all compiles."""
        self._known.clear()

    def _current_files(self, files: tuple[FileFacts, ...]) -> tuple[FileFacts, ...] | None:
        """The same files, with what has settled since; None if one has changed. This is the loop in which a known
        compile spends most of its time: it calls nothing but lstat(2).
        """
        lstat = os.lstat
        settled: dict[int, FileFacts] = {}
        try:
            for index, known in enumerate(files):
                status = lstat(known.path)
                if (
                    status.st_dev,
                    status.st_ino,
                    status.st_size,
                    status.st_mtime_ns,
                    status.st_ctime_ns,
                ) != known.stat_key:
                    return None
                if known.racy:
                    fresh = self._files.facts(known.path)
                    if fresh.digest != known.digest:
                        return None
                    if not fresh.racy:
                        settled[index] = fresh
        except (OSError, StaysLocal):
            return None
        return tuple(settled.get(index, known) for index, known in enumerate(files)) if settled else files

    def _current_watches(self, watches: tuple[NameWatch, ...]) -> tuple[NameWatch, ...] | None:
        """The same watches, refreshed where a directory changed harmlessly; None if a name appeared or disappeared."""
        fresh: list[NameWatch] | None = None
        for index, watch in enumerate(watches):
            try:
                listing = self._directories.listing(watch.listing.path)
            except StaysLocal:
                return None
            if listing is watch.listing:
                continue
            if listing is None or not watch.holds_for(listing):
                return None
            fresh = fresh if fresh is not None else list(watches)
            fresh[index] = replace(watch, listing=listing)
        return watches if fresh is None else tuple(fresh)


def _current_directories(inputs: Inputs) -> Directories | None:
    """The directories on the way, refreshed where one was recreated (such as the build's own after a clean); None if
    one is gone, two have become one, or a symlink leads elsewhere. Their contents are checked by name.
    """
    fresh: dict[bytes, tuple[int, int]] | None = None
    try:
        for path, target in inputs.links:
            if os.readlink(path) != target:
                return None
        for path, identity in inputs.directories:
            status = os.lstat(path)
            now = (status.st_dev, status.st_ino)
            if not stat.S_ISDIR(status.st_mode):
                return None
            if now != identity:
                fresh = fresh if fresh is not None else dict(inputs.directories)
                fresh[path] = now
    except OSError:
        return None
    if fresh is None:
        return inputs.directories
    return tuple(fresh.items()) if len(set(fresh.values())) == len(fresh) else None
