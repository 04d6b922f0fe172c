"""Memory of compiles: the same command in the same place need not ask the compiler again what it reads.

A memory holds as long as every file, symlink and directory that it rests on is what it was, and no directory that was
searched has gained or lost one of the names that were looked for. Looking is all it takes: nothing is read.
"""

import os
import stat
from collections import OrderedDict
from dataclasses import replace

from securecc.client.inputs.directory_cache import DirectoryCache
from securecc.client.inputs.file_cache import FileCache, FileFacts
from securecc.client.inputs.manifest_builder import Directories, Inputs
from securecc.client.inputs.name_watch import NameWatch, nature
from securecc.model.errors import StaysLocal

REMEMBERED = 4096
"""Compiles. At some 5 kB each this bounds the agent's memory; the least recently used goes first."""

Key = tuple[object, ...]
"""All that decides what a compile reads and does: command, directory, environment, toolchain."""


class DependencyCache:
    """What an agent remembers."""

    def __init__(self, fingerprints: FileCache, listings: DirectoryCache) -> None:
        self._fingerprints = fingerprints
        self._listings = listings
        self._known: OrderedDict[Key, Inputs] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, key: Key, inputs: Inputs) -> None:
        """Remembers."""
        self._known[key] = inputs
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def forget(self, key: Key) -> None:
        """The inputs turned out to be others than those that the compile read."""
        self._known.pop(key, None)

    def recall(self, key: Key) -> Inputs | None:
        """The inputs, if everything that they rest on is still so; forgets them otherwise."""
        inputs = self._known.get(key)
        if inputs is None:
            return None
        directories = _way_holds(inputs) if self._files_hold(inputs.files) else None
        watches = self._watches_hold(inputs.watches) if directories is not None else None
        if directories is None or watches is None or any(nature(path) != kind for path, kind in inputs.natures):
            del self._known[key]
            return None
        if watches is not inputs.watches or directories is not inputs.directories:
            inputs = replace(inputs, watches=watches, directories=directories)
            self._known[key] = inputs
        self._known.move_to_end(key)
        return inputs

    def _files_hold(self, files: tuple[FileFacts, ...]) -> bool:
        lstat = os.lstat
        try:
            for seen in files:
                status = lstat(seen.path)
                if (
                    status.st_dev,
                    status.st_ino,
                    status.st_size,
                    status.st_mtime_ns,
                    status.st_ctime_ns,
                ) != seen.stamp:
                    return False
                if seen.racy and self._fingerprints.look(seen.path).digest != seen.digest:
                    return False
        except (OSError, StaysLocal):
            return False
        return True

    def _watches_hold(self, watches: tuple[NameWatch, ...]) -> tuple[NameWatch, ...] | None:
        """The same watches, refreshed where a directory changed without harm; None where a name came or went."""
        fresh: list[NameWatch] | None = None
        for index, watch in enumerate(watches):
            try:
                listing = self._listings.look(watch.listing.path)
            except StaysLocal:
                return None
            if listing is watch.listing:
                continue
            if listing is None or not watch.holds_for(listing):
                return None
            fresh = fresh if fresh is not None else list(watches)
            fresh[index] = replace(watch, listing=listing)
        return watches if fresh is None else tuple(fresh)


def _way_holds(inputs: Inputs) -> Directories | None:
    """The directories on the way, refreshed where one was made anew (as the build's own is after a clean); None where
    one is gone or two have become one, or a symlink leads elsewhere. What they hold is looked at by name.
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
