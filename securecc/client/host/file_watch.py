"""Whether files that were looked at once are still as they were, without looking at each of them all the time."""

import os
import threading
import time
from collections.abc import Iterable

from securecc.client.host.inotify import Inotify, is_local
from securecc.client.host.mount_table import MountTable
from securecc.compiler.tree.symlinks import TooManyLinksError, resolve
from securecc.model.errors import StaysLocal
from securecc.system.stat_key import StatKey, path_stat_key

LOOKED_AT_S = 2.0
"""Files that nothing tells of are looked at again after this long; so are the others, once something has happened."""
WATCHED_S = 60.0
"""Files that are watched are looked at again all the same: of a write through a shared mapping nobody is told."""


class FileWatch:
    """Over some absolute paths, there or not. `stamps` says what each was when it began, None for nothing."""

    def __init__(self, paths: Iterable[bytes], watches: "FileWatches", owner: bytes) -> None:
        """Watched before they are looked at, so nothing is missed between."""
        paths = tuple(dict.fromkeys(paths))
        self._watches = watches
        self._owner = owner
        unseen = watches.begin(paths, owner)
        self.stamps = tuple((path, path_stat_key(path)) for path in paths)
        self._told = frozenset(path for path, stamp in self.stamps if path not in unseen and not _linked(path, stamp))
        self._looked = time.monotonic()
        self._looked_at_all = self._looked

    def holds(self) -> bool:
        """Whether all is as it was. May be LOOKED_AT_S behind."""
        now = time.monotonic()
        if now - self._looked < LOOKED_AT_S:
            return True
        self._looked = now
        if self._watches.happened(self._owner) or now - self._looked_at_all >= WATCHED_S:
            self._looked_at_all = now
            return all(path_stat_key(path) == stamp for path, stamp in self.stamps)
        return all(path_stat_key(path) == stamp for path, stamp in self.stamps if path not in self._told)

    def end(self) -> None:
        """Watch no more."""
        self._watches.end(self._owner)


class FileWatches:
    """What the vigils of one agent are told by the kernel. Where it tells nothing, they look for themselves."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._mounts: MountTable | None = None
        self._pending: set[bytes] = set()
        self._owners: set[bytes] = set()
        self._making = threading.Lock()

    def begin(self, paths: Iterable[bytes], owner: bytes) -> frozenset[bytes]:
        """Watches the folders of these paths for `owner`; those paths of which it will not be told. Of any thread."""
        paths = tuple(paths)
        folders = {path: _folder(path) for path in paths}
        ways = {folder: _way(folder) for folder in set(folders.values())}
        firm = {folder: way for folder, way in ways.items() if way and all(map(is_local, way))}
        watched = {step for way in firm.values() for step in way}
        held = ((path, firm[folder][-1]) for path, folder in folders.items() if folder in firm)
        real = (os.path.join(folder, os.path.basename(path)) for path, folder in held)
        inner = {path for path in real if path not in watched and _is_folder(path)}
        try:
            with self._making:
                if self._inotify is None:
                    self._mounts = MountTable()
                    self._inotify = Inotify()
            self._inotify.watch(watched | inner, owner)
        except (StaysLocal, OSError):
            return frozenset(paths)
        self._owners.add(owner)
        return frozenset(path for path, folder in folders.items() if folder not in firm)

    def happened(self, owner: bytes) -> bool:
        """Whether anything has, in a folder watched for `owner` or above it, since it last asked."""
        if self._inotify is None or self._mounts is None:
            return False
        self._pending |= self._inotify.changed()
        if self._mounts.changed():
            self._pending |= self._owners
        found = owner in self._pending
        self._pending.discard(owner)
        return found

    def end(self, owner: bytes) -> None:
        """Nothing more for this one."""
        self._owners.discard(owner)
        self._pending.discard(owner)
        if self._inotify is not None:
            self._inotify.forget(owner)


def _folder(path: bytes) -> bytes:
    """The nearest directory above a path that is there."""
    folder = os.path.dirname(path)
    while folder != b"/" and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _way(folder: bytes) -> tuple[bytes, ...]:
    """The real directories whose entries decide what a path to a directory means: those of symlinks on the way, and
    last the one where it ends. Empty where links lead nowhere (path_resolution(7)).
    """
    holders: dict[bytes, None] = {}

    def link_target(step: bytes) -> bytes | None:
        if not os.path.islink(step):
            return None
        holders[os.path.dirname(step)] = None
        return os.readlink(step)

    try:
        end, _ = resolve(folder, link_target)
    except (OSError, TooManyLinksError):
        return ()
    return (*holders, end)


def _is_folder(path: bytes) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _linked(path: bytes, stamp: StatKey | None) -> bool:
    """Whether a file may be changed by another name, in a folder that nobody watches."""
    try:
        return stamp is not None and not os.path.isdir(path) and os.lstat(path).st_nlink > 1
    except OSError:
        return True
