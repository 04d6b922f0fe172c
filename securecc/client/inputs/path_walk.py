"""Which directories and symlinks a spelled path crosses on its way to a file.

A compiler opens `gen/../inc/a.h` only if `gen` exists, and finds another file if `inc` is a symlink. So the tree that
the server builds has every component that a spelled path passes through.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from securecc.client.inputs import special_files
from securecc.compiler.tree.symlinks import TooManyLinksError, resolve
from securecc.model.errors import StaysLocal


class _NoDirectoryError(Exception):
    """The path leads through something that is not a directory."""


@dataclass(slots=True)
class PathWalk:
    """All components that the paths of one compile pass through.

    `directories` maps a physical directory to its (device, inode); `links` maps a symlink to its target.
    """

    directories: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    links: dict[bytes, bytes] = field(default_factory=dict)
    _known: dict[bytes, bytes | None] = field(default_factory=dict)

    def directory(self, spelled: bytes) -> bytes | None:
        """The physical path of an absolute spelled directory; None if there is no such directory. The existing part of
        the way is recorded in both cases.

        Raises:
            StaysLocal: the way leads through something that each process sees differently, such as /proc/self.
        """
        if spelled in self._known:
            return self._known[spelled]
        physical = self._walk(spelled)
        if physical is not None and physical not in self.directories:
            physical = None
        self._known[spelled] = physical
        return physical

    def file(self, spelled: bytes) -> bytes:
        """The physical path of an absolute spelled file, following its symlinks.

        Raises:
            StaysLocal: the way to it does not exist (any more), or leads through something that each process sees
            differently.
        """
        head, _, tail = spelled.rpartition(b"/")
        parent = self.directory(head or b"/")
        if parent is None or tail in {b"", b".", b".."}:
            raise StaysLocal("input", f"{os.fsdecode(spelled)} does not exist")
        physical = _join(parent, tail)
        try:
            target = os.readlink(physical)
        except OSError:
            return physical
        self.links[physical] = target
        found = self._walk(target if target.startswith(b"/") else _join(parent, target))
        if found is None or found in self.directories:
            raise StaysLocal("input", f"{os.fsdecode(spelled)} is a symlink that leads to no file")
        return found

    def exclude(self, excluded: Callable[[bytes], bool]) -> None:
        """Drops the components for which this is true."""
        self.directories = {path: value for path, value in self.directories.items() if not excluded(path)}
        self.links = {path: value for path, value in self.links.items() if not excluded(path)}

    def _walk(self, spelled: bytes) -> bytes | None:
        """Follows `spelled` component by component; returns the physical path of what is there, None for nothing."""
        if b"/" not in self.directories:
            root = os.lstat(b"/")
            self.directories[b"/"] = (root.st_dev, root.st_ino)
        try:
            return resolve(spelled, self._link_target, self._enter)[0]
        except (OSError, TooManyLinksError, _NoDirectoryError):
            return None

    def _link_target(self, physical: bytes) -> bytes | None:
        """Records what is there.

        Raises:
            OSError: nothing is there.
        """
        if physical in self.directories:
            return None
        if physical in self.links:
            return self.links[physical]
        if physical in special_files.PER_PROCESS:
            special_files.refuse(physical, 0)
        status = os.lstat(physical)
        if stat.S_ISLNK(status.st_mode):
            self.links[physical] = os.readlink(physical)
            return self.links[physical]
        if stat.S_ISDIR(status.st_mode):
            self.directories[physical] = (status.st_dev, status.st_ino)
        return None

    def _enter(self, physical: bytes) -> None:
        if physical not in self.directories:
            raise _NoDirectoryError


def _join(directory: bytes, name: bytes) -> bytes:
    return b"/" + name if directory == b"/" else directory + b"/" + name
