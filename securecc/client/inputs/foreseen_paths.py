"""Which files a mere mention, or a server's mere word that a run asked for them, may send to a server.

A comment, a string or a skipped part of a source can name any file, and so can a server. What is only named so leaves
this machine from the source's own tree, the command's include directories and the system's. Of a home directory, and
of those above it, that means only what lies directly in it; and never what is hidden (``.ssh``, ``.netrc``), unless the
directory itself was named.
"""

import functools
import os
import pwd
import stat
from collections.abc import Iterable

_LEAST_DEPTH = 3
"""How many names a path has at least that is taken for the tree of a project: ``/home/alice/project``."""

_SYSTEM = (b"/usr/", b"/opt/", b"/lib/", b"/lib32/", b"/lib64/", b"/libx32/", b"/bin/", b"/sbin/")


def is_public(path: bytes) -> bool:
    """Whether a path leads to something of the system's that every user may reach and read, outside the user's home."""
    real = os.path.realpath(path)
    if not real.startswith(_SYSTEM) or real.startswith(tuple(home + b"/" for home in _homes() - {b"/"})):
        return False
    try:
        if not os.stat(real).st_mode & stat.S_IROTH:
            return False
        while real != b"/":
            real = os.path.dirname(real)
            if not os.stat(real).st_mode & stat.S_IXOTH:
                return False
    except OSError:
        return False
    return True


def project_roots(cwd: bytes, source: bytes) -> tuple[bytes, ...]:
    """The source's own tree, from the working directory and the source's path (absolute): the directories of both, and
    those above them and the one that they have in common, unless these may hold more than one project, or are a home.
    """
    directories = (os.path.realpath(cwd), os.path.realpath(source.rpartition(b"/")[0] or b"/"))
    above = {*map(os.path.dirname, directories), os.path.commonpath(directories)} - _wide()
    return (*directories, *(directory for directory in sorted(above) if directory.count(b"/") >= _LEAST_DEPTH))


class ForeseenPaths:
    """The files that may be sent because a text names them."""

    def __init__(self, directories: Iterable[bytes]) -> None:
        """`directories` are absolute; files below them may be sent, and only those in it of a directory of homes."""
        real = {os.path.realpath(directory) for directory in directories}
        wide = _wide()
        self._roots = tuple(directory + b"/" for directory in real - wide)
        self._themselves = real & wide
        self._known: dict[bytes, bool] = {}

    def covers(self, path: bytes) -> bool:
        """Whether the file at this absolute path, as spelled, may be sent. For a directory the path ends in a slash."""
        directory, _, name = path.rpartition(b"/")
        known = self._known.get(directory)
        if known is None:
            known = self._known[directory] = self._covers_directory(os.path.realpath(directory or b"/"))
        return known and not name.startswith(b".")

    def _covers_directory(self, real: bytes) -> bool:
        below = (real + b"/")[len(root) :] if (root := self._nearest_root(real)) else b""
        return real in self._themselves or (bool(root) and b"/." not in b"/" + below)

    def _nearest_root(self, real: bytes) -> bytes:
        return max((root for root in self._roots if (real + b"/").startswith(root)), key=len, default=b"")


def _homes() -> frozenset[bytes]:
    """The user's home directories: that of the user database, and HOME, which may be another."""
    homes = (_home_on_record(), os.environb.get(b"HOME", b""))
    return frozenset(os.path.realpath(home) for home in homes if home.startswith(b"/"))


@functools.cache
def _home_on_record() -> bytes:
    try:
        return os.fsencode(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return b""


def _wide() -> set[bytes]:
    """The user's home directories and all above them, which may hold anything."""
    wide = {b"/"}
    for home in _homes():
        parts = home.split(b"/")
        wide.update(b"/".join(parts[:count]) for count in range(2, len(parts) + 1))
    return wide
