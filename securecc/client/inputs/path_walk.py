"""Which directories and symlinks a spelled path crosses on its way to a file.

A compiler opens `gen/../inc/a.h` only where `gen` exists, and finds another file where `inc` is a symlink. So the tree
that the server builds holds every component that a spelled path passes through.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from securecc.client.inputs import special_files
from securecc.model import limits
from securecc.model.errors import StaysLocal

LINKS_FOLLOWED = 40
"""As the kernel's own bound (path_resolution(7))."""


@dataclass(slots=True)
class PathWalk:
    """All components that the paths of one compile pass through.

    `directories` maps a physical directory to (device, inode); `links` maps a symlink to its target.
    """

    directories: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    links: dict[bytes, bytes] = field(default_factory=dict)
    _places: dict[bytes, bytes | None] = field(default_factory=dict)

    def directory(self, spelled: bytes) -> bytes | None:
        """The physical path of an absolute spelled directory; None when there is no such directory. What exists of the
        way is recorded in both cases. Raises StaysLocal for what each process sees otherwise, such as /proc/self.
        """
        if spelled in self._places:
            return self._places[spelled]
        place = self._walk(spelled, LINKS_FOLLOWED)
        if place is not None and place not in self.directories:
            place = None
        self._places[spelled] = place
        return place

    def file(self, spelled: bytes) -> bytes:
        """The physical path of an absolute spelled file, its own symlinks followed. Raises StaysLocal when the way to
        it does not exist (any more).
        """
        head, _, tail = spelled.rpartition(b"/")
        parent = self.directory(head or b"/")
        if parent is None or tail in {b"", b".", b".."}:
            raise StaysLocal("input", f"{os.fsdecode(spelled)} is not there")
        place = _join(parent, tail)
        try:
            target = os.readlink(place)
        except OSError:
            return place
        self.links[place] = target
        found = self._walk(target if target.startswith(b"/") else _join(parent, target), LINKS_FOLLOWED)
        if found is None or found in self.directories:
            raise StaysLocal("input", f"{os.fsdecode(spelled)} leads nowhere")
        return found

    def leave_out(self, left_out: Callable[[bytes], bool]) -> None:
        """Forget the components of which this is true."""
        self.directories = {path: value for path, value in self.directories.items() if not left_out(path)}
        self.links = {path: value for path, value in self.links.items() if not left_out(path)}

    def _walk(self, spelled: bytes, follow: int) -> bytes | None:
        """Follows `spelled` component by component; returns the physical path of what is there."""
        here = b"/"
        self._enter(b"/")
        rest = [part for part in spelled.split(b"/") if part not in {b"", b"."}][::-1]
        while rest:
            part = rest.pop()
            if here not in self.directories:
                return None
            if part == b"..":
                here = here.rpartition(b"/")[0] or b"/"
                continue
            place = _join(here, part)
            if place in self.directories:
                here = place
                continue
            target = self._step(place)
            if target is None:
                return None
            if not target:
                here = place
                continue
            follow -= 1
            if follow < 0 or len(rest) > limits.PATH_DEPTH:
                return None
            here = b"/" if target.startswith(b"/") else here
            rest.extend(piece for piece in target.split(b"/")[::-1] if piece not in {b"", b"."})
        return here

    def _step(self, place: bytes) -> bytes | None:
        """A symlink's target, an empty string for anything else that exists, None for nothing."""
        if place in self.links:
            return self.links[place]
        if place in special_files.OWN:
            special_files.refuse(place, 0)
        try:
            status = os.lstat(place)
            if stat.S_ISLNK(status.st_mode):
                self.links[place] = os.readlink(place)
                return self.links[place]
        except OSError:
            return None
        if stat.S_ISDIR(status.st_mode):
            self.directories[place] = (status.st_dev, status.st_ino)
        return b""

    def _enter(self, place: bytes) -> None:
        if place not in self.directories:
            status = os.lstat(place)
            self.directories[place] = (status.st_dev, status.st_ino)


def _join(directory: bytes, name: bytes) -> bytes:
    return b"/" + name if directory == b"/" else directory + b"/" + name
