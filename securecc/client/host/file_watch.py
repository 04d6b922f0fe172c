"""Whether files are still as they were when examined, without examining each of them every time."""

import os
import threading
import time
from collections.abc import Iterable

from securecc.client.host.inotify import Inotify, is_local
from securecc.client.host.mount_table import MountTable
from securecc.compiler.tree.symlinks import TooManyLinksError, resolve
from securecc.model.errors import StaysLocal
from securecc.system.stat_key import StatKey, path_stat_key

RECHECK_S = 60.0
"""Watched files are checked after this long in any case: inotify does not report writes through a shared mapping."""


class FileWatch:
    """A watch over absolute paths that need not exist. `stat_keys` says what each was when the watch began, None for
    nothing.
    """

    def __init__(self, paths: Iterable[bytes], watches: "FileWatches", owner: bytes) -> None:
        """Starts the watch before examining the paths, so that no change in between is missed."""
        paths = tuple(dict.fromkeys(paths))
        self._watches = watches
        self._owner = owner
        unwatched = watches.begin(paths, owner)
        self.stat_keys = tuple((path, path_stat_key(path)) for path in paths)
        self._unwatched = tuple(
            (path, key) for path, key in self.stat_keys if path in unwatched or _has_other_names(path, key)
        )
        self._checked = time.monotonic()

    def holds(self) -> bool:
        """Whether everything is unchanged. Files whose changes inotify(7) does not report are looked at each time."""
        now = time.monotonic()
        happened = self._watches.happened(self._owner)
        if happened or now - self._checked >= RECHECK_S:
            self._checked = now
            return all(path_stat_key(path) == key for path, key in self.stat_keys)
        return all(path_stat_key(path) == key for path, key in self._unwatched)

    def end(self) -> None:
        """Stops watching."""
        self._watches.end(self._owner)


class FileWatches:
    """The kernel's events for all watches of one agent. Where there are none, watches check for themselves."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._mounts: MountTable | None = None
        self._pending: set[bytes] = set()
        self._owners: set[bytes] = set()
        self._making = threading.Lock()

    def begin(self, paths: Iterable[bytes], owner: bytes) -> frozenset[bytes]:
        """Watches the directories of these paths for `owner`; returns the paths whose changes will not be reported. May
        be called from any thread.
        """
        paths = tuple(paths)
        parents = {path: _existing_parent(path) for path in paths}
        ways = {parent: _way(parent) for parent in set(parents.values())}
        told = {parent: way for parent, way in ways.items() if way and all(map(is_local, way))}
        watched = {step for way in told.values() for step in way}
        ends = ((path, told[parent][-1]) for path, parent in parents.items() if parent in told)
        physical = (os.path.join(parent, os.path.basename(path)) for path, parent in ends)
        inner = {path for path in physical if path not in watched and _is_directory(path)}
        try:
            with self._making:
                if self._inotify is None:
                    self._mounts = MountTable()
                    self._inotify = Inotify()
            self._inotify.watch(watched | inner, owner)
        except (StaysLocal, OSError):
            return frozenset(paths)
        self._owners.add(owner)
        return frozenset(path for path, parent in parents.items() if parent not in told)

    def happened(self, owner: bytes) -> bool:
        """Whether anything happened in a directory watched for `owner`, or above it, since it last asked."""
        if self._inotify is None or self._mounts is None:
            return False
        self._pending |= self._inotify.changed()
        if self._mounts.changed():
            self._pending |= self._owners
        found = owner in self._pending
        self._pending.discard(owner)
        return found

    def end(self, owner: bytes) -> None:
        """Stops watching for `owner`."""
        self._owners.discard(owner)
        self._pending.discard(owner)
        if self._inotify is not None:
            self._inotify.forget(owner)


def _existing_parent(path: bytes) -> bytes:
    """The nearest existing directory above a path."""
    parent = os.path.dirname(path)
    while parent != b"/" and not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    return parent


def _way(directory: bytes) -> tuple[bytes, ...]:
    """The physical directories whose entries decide what a path to a directory means: those of symlinks on the way, and
    last the one where it ends. Empty if the links lead nowhere.
    """
    holders: dict[bytes, None] = {}

    def link_target(step: bytes) -> bytes | None:
        if not os.path.islink(step):
            return None
        holders[os.path.dirname(step)] = None
        return os.readlink(step)

    try:
        end, _ = resolve(directory, link_target)
    except (OSError, TooManyLinksError):
        return ()
    return (*holders, end)


def _is_directory(path: bytes) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _has_other_names(path: bytes, key: StatKey | None) -> bool:
    """Whether a file may be changed through a hard link in an unwatched directory."""
    try:
        return key is not None and not os.path.isdir(path) and os.lstat(path).st_nlink > 1
    except OSError:
        return True
