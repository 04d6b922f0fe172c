"""Which files a mere mention may send to a server.

A comment, a string or a skipped part of a source can name any file. What has only been read in a text leaves this
machine from the source's own tree, the command's include directories and the system's; anything else only once the
compiler itself has asked for it.
"""

import os
import stat
from collections.abc import Iterable

_LEAST_DEPTH = 3
"""How many names a path has at least that is taken for the tree of a project: ``/home/alice/project``."""


_SYSTEM = (b"/usr/", b"/opt/", b"/lib/", b"/lib32/", b"/lib64/", b"/libx32/", b"/bin/", b"/sbin/")


def is_public(path: bytes) -> bool:
    """Whether a path leads to something of the system's that every user may read."""
    real = os.path.realpath(path)
    try:
        mode = os.stat(real).st_mode
    except OSError:
        return False
    return (real + b"/").startswith(_SYSTEM) and bool(mode & stat.S_IROTH)


def project_roots(cwd: bytes, source: bytes) -> tuple[bytes, ...]:
    """The source's own tree, from the working directory and the source's path (absolute): the directories of both, and
    those above them and the one that they have in common, unless these may hold more than one project.
    """
    directories = (os.path.realpath(cwd), os.path.realpath(source.rpartition(b"/")[0] or b"/"))
    above = (*map(os.path.dirname, directories), os.path.commonpath(directories))
    return (*directories, *(directory for directory in above if directory.count(b"/") >= _LEAST_DEPTH))


class ForeseenPaths:
    """The files that may be sent because a text names them."""

    def __init__(self, directories: Iterable[bytes]) -> None:
        """`directories` are absolute; files below them may be sent, and only those in it of the root directory."""
        real = {os.path.realpath(directory) for directory in directories}
        self._roots = tuple(directory + b"/" for directory in real - {b"/"})
        self._root_itself = b"/" in real
        self._known: dict[bytes, bool] = {}

    def covers(self, path: bytes) -> bool:
        """Whether the file at this absolute path, as spelled, may be sent."""
        directory = path.rpartition(b"/")[0] or b"/"
        known = self._known.get(directory)
        if known is None:
            real = os.path.realpath(directory)
            known = (real + b"/").startswith(self._roots) or (real == b"/" and self._root_itself)
            self._known[directory] = known
        return known
