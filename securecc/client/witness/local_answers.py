"""This machine's answers to a compiler's questions about paths, by its own file system, at this moment."""

import os
import stat

from securecc.client.inputs.caches.directory_cache import DirectoryCache, Listing
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.witness.followed_paths import NO_NAMES, FollowedPaths
from securecc.compiler.questions import Answer, names_checksum
from securecc.model.errors import StaysLocal

_TYPES = {
    stat.S_IFREG: Answer.REGULAR,
    stat.S_IFDIR: Answer.FOLDER,
    stat.S_IFLNK: Answer.SYMLINK,
}


class LocalAnswers:
    """The answers for one compile. Directories are listed once, however they are spelled; most questions are for names
    that they lack.
    """

    def __init__(self, directories: DirectoryCache, cwd: bytes, paths: FollowedPaths | None = None) -> None:
        """`paths` are those that have been followed for this compile."""
        self._directories = directories
        self._cwd = cwd
        self._paths = paths or FollowedPaths()
        self._listings: dict[bytes, Listing | None] = {}
        self._complete: dict[bytes, frozenset[bytes] | None] = {}
        self._links: dict[bytes, Answer] = {}

    def name(self, path: bytes) -> Answer:
        """What the path leads to (stat(2))."""
        found = self.link(path)
        return answer_at(absolute(path, self._cwd), follow=True) if found is Answer.SYMLINK else found

    def link(self, path: bytes) -> Answer:
        """What is at the path itself (lstat(2))."""
        if not path:
            return Answer.ABSENT  # the empty name names nothing (path_resolution(7))
        path = absolute(path, self._cwd)
        head, _, tail = path.rpartition(b"/")
        names = self._complete[head] if head in self._complete else self._completely_listed(head)
        if names is not None and tail not in names and tail not in NO_NAMES:
            return Answer.ABSENT
        found = self._links.get(path)
        if found is None:
            found = self._links[path] = answer_at(path, follow=False)
        return found

    def allowed(self, path: bytes, mode: int) -> Answer:
        """Whether the file may be used so (access(2))."""
        return is_allowed(absolute(path, self._cwd), mode)

    def names(self, path: bytes) -> frozenset[bytes]:
        """The names in a directory; none if it cannot be listed."""
        listing = self._listing(absolute(path, self._cwd))
        return listing.names if listing is not None else frozenset()

    def checksum(self, path: bytes) -> bytes:
        """The mark of the names in a directory."""
        return names_checksum(self.names(path))

    def _completely_listed(self, head: bytes) -> frozenset[bytes] | None:
        """All names that lead anywhere in a directory, which may be missing; None if each must be looked at."""
        listing = self._listing(head)
        names: frozenset[bytes] | None = None
        if listing is not None and not listing.folds_case:
            names = listing.names
        elif listing is None and answer_at(head or b"/", follow=True) is Answer.ABSENT:
            names = frozenset()
        self._complete[head] = names
        return names

    def _listing(self, spelled: bytes) -> Listing | None:
        directory, missing = self._paths.place(spelled)
        if missing:
            return None
        if directory not in self._listings:
            try:
                self._listings[directory] = self._directories.listing(directory)
            except StaysLocal:  # it may not be listed: each name is looked at
                self._listings[directory] = None
        return self._listings[directory]


def answer_at(path: bytes, *, follow: bool) -> Answer:
    """What an absolute path leads to now, or what is at the path itself."""
    try:
        mode = os.stat(path, follow_symlinks=follow).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Answer.ABSENT
    except (OSError, ValueError):
        return Answer.REFUSED
    return _TYPES.get(stat.S_IFMT(mode), Answer.SPECIAL)


def is_allowed(path: bytes, mode: int) -> Answer:
    """Whether the file at an absolute path may be used so now."""
    return Answer.PRESENT if os.access(path, mode) else Answer.REFUSED
