"""This machine's answers to a compiler's questions about paths, by its own file system, at this moment."""

import os
import stat

from securecc.client.inputs.caches.directory_cache import DirectoryCache, Listing
from securecc.client.inputs.spelled_paths import absolute
from securecc.compiler.questions import Answer, names_checksum
from securecc.model.errors import StaysLocal

_TYPES = {
    stat.S_IFREG: Answer.REGULAR,
    stat.S_IFDIR: Answer.FOLDER,
    stat.S_IFLNK: Answer.SYMLINK,
}


class LocalAnswers:
    """The answers for one compile. Directories are listed once; most questions are for names that they lack."""

    def __init__(self, directories: DirectoryCache, cwd: bytes) -> None:
        self._directories = directories
        self._cwd = cwd
        self._listings: dict[bytes, Listing | None] = {}

    def name(self, path: bytes) -> Answer:
        """What the path leads to (stat(2))."""
        return self._at(path, follow=True)

    def link(self, path: bytes) -> Answer:
        """What is at the path itself (lstat(2))."""
        return self._at(path, follow=False)

    def allowed(self, path: bytes, mode: int) -> Answer:
        """Whether the file may be used so (access(2))."""
        return Answer.PRESENT if os.access(absolute(path, self._cwd), mode) else Answer.REFUSED

    def names(self, path: bytes) -> frozenset[bytes]:
        """The names in a directory; none if it cannot be listed."""
        listing = self._listing(absolute(path, self._cwd))
        return listing.names if listing is not None else frozenset()

    def checksum(self, path: bytes) -> bytes:
        """The mark of the names in a directory."""
        return names_checksum(self.names(path))

    def _at(self, path: bytes, *, follow: bool) -> Answer:
        if not path:
            return Answer.ABSENT  # the empty name names nothing (path_resolution(7))
        path = absolute(path, self._cwd)
        return Answer.ABSENT if self._surely_absent(path) else _answer(path, follow=follow)

    def _surely_absent(self, path: bytes) -> bool:
        head, _, tail = path.rpartition(b"/")
        listing = self._listing(head or b"/")
        return listing is not None and not listing.folds_case and tail not in listing.names and tail not in _NO_NAMES

    def _listing(self, directory: bytes) -> Listing | None:
        if directory not in self._listings:
            try:
                self._listings[directory] = self._directories.listing(directory)
            except StaysLocal:  # it may not be listed: each name is looked at
                self._listings[directory] = None
        return self._listings[directory]


_NO_NAMES = frozenset((b"", b".", b".."))


def _answer(path: bytes, *, follow: bool) -> Answer:
    try:
        mode = os.stat(path, follow_symlinks=follow).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Answer.ABSENT
    except (OSError, ValueError):
        return Answer.REFUSED
    return _TYPES.get(stat.S_IFMT(mode), Answer.SPECIAL)
