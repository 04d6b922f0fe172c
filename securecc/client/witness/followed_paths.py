"""Where the paths lead that a compiler has spelled, and what they lead through."""

import os
import stat

from securecc.client.inputs.spelled_paths import absolute

_MOST_LINKS = 40
"""How many symlinks one path may lead through (path_resolution(7))."""

NO_NAMES = frozenset((b"", b".", b".."))
"""Parts of a path that are no entries of a directory."""

Place = tuple[bytes, bytes]
"""A physical directory, and a name in it that is no directory, existing or not; empty for the directory itself."""


class FollowedPaths:
    """The paths of one run, as this machine's file system has them at this moment; each is looked at once.

    `links` are the symlinks that they lead through, with their targets; `left` are directories that they lead out of
    again (``..``).
    """

    def __init__(self) -> None:
        self.links: dict[bytes, bytes] = {}
        self.left: set[bytes] = set()
        self._known: dict[bytes, Place] = {b"": (b"/", b"")}

    def place(self, spelled: bytes) -> Place:
        """Where an absolute path leads: to a directory, to a name in one, or, if a part of the way is missing, to the
        first name that is no directory.
        """
        return self._known.get(spelled) or self._walked(spelled, 0)

    def _walked(self, spelled: bytes, links: int) -> Place:
        at, names = spelled, []
        while (place := self._known.get(at)) is None:
            at, _, name = at.rpartition(b"/")
            names.append(name)
        for name in reversed(names):
            at += b"/" + name
            self._known[at] = place = self._next(place, name, links)
        return place

    def _next(self, place: Place, name: bytes, links: int) -> Place:
        """The place that a name leads to from another place."""
        directory, missing = place
        if missing or name in {b"", b"."}:
            return place
        if name == b"..":
            self.left.add(directory)
            return os.path.dirname(directory), b""
        path = join(directory, name)
        try:
            mode = os.lstat(path).st_mode
            if not stat.S_ISLNK(mode):
                return (path, b"") if stat.S_ISDIR(mode) else (directory, name)
            target = self.links[path] = os.readlink(path)
        except (OSError, ValueError):
            return directory, name
        return self._walked(absolute(target, directory), links + 1) if links < _MOST_LINKS else (directory, name)


def join(directory: bytes, name: bytes) -> bytes:
    """The path of a name in a physical directory; the directory itself for an empty name."""
    if not name:
        return directory
    return b"/" + name if directory == b"/" else directory + b"/" + name
