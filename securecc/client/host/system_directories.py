"""Directories that only root can change, watched: whether anything in them has happened since a moment.

Others may change through names that no watch sees: a hard link or a mapping of a file, another mount. Here nobody but
root can make those, and mounts are noticed.
"""

import os
import stat

from securecc.client.host.inotify import Inotify, is_local
from securecc.client.host.mount_table import MountTable
from securecc.model.errors import StaysLocal

_MOST = 4096
"""How many directories are watched; a toolchain and its headers have some hundreds."""


class SystemDirectories:
    """The watched directories of one agent."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._mounts: MountTable | None = None
        self._watched: dict[bytes, bool] = {}
        self._moment = 0

    def moment(self) -> int:
        """A number that has grown if anything has happened in a watched directory since the last call."""
        if self._inotify is not None and self._mounts is not None:
            happened = bool(self._inotify.changed())
            if self._mounts.changed() or happened:
                self._moment += 1
                self._watched.clear()  # who may write there is examined again
        return self._moment

    def watch(self, directory: bytes) -> bool:
        """Watches a directory (absolute, without symlinks), if only root can change it. Whether it is watched now."""
        known = self._watched.get(directory)
        if known is None:
            known = self._watched[directory] = self._begin(directory)
        return known

    def _begin(self, directory: bytes) -> bool:
        if len(self._watched) >= _MOST or not _only_roots(directory) or not is_local(directory):
            return False
        try:
            if self._inotify is None:
                self._mounts = MountTable()
                self._inotify = Inotify()
            self._inotify.watch([directory], directory)
        except (StaysLocal, OSError):
            return False
        return True


def is_roots(status: os.stat_result) -> bool:
    """Whether root alone can change it; a link's mode means nothing."""
    writable = 0 if stat.S_ISLNK(status.st_mode) else stat.S_IMODE(status.st_mode) & 0o022
    return not status.st_uid and not writable


def _only_roots(directory: bytes) -> bool:
    """Whether root alone can write there, and to every directory above."""
    while True:
        try:
            status = os.lstat(directory)
        except OSError:
            return False
        if not stat.S_ISDIR(status.st_mode) or not is_roots(status):
            return False
        if directory == b"/":
            return True
        directory = os.path.dirname(directory)
