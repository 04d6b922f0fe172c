"""What one compile finds: the files that it reads or could find, with their roles, and the way to them."""

import os
import stat
from collections.abc import Iterable

from securecc.client.inputs.file_cache import FileCache, FileFacts
from securecc.client.inputs.name_watch import NameWatch, nature, under
from securecc.client.inputs.path_walk import PathWalk
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Role

_SECOND = 1_000_000_000  # in nanoseconds


class InputSet:
    """One compile's. `files` are by their place, `spelled` are the paths that were read, with the place of each. What
    is in `embedded` is taken as it is, and says nothing about other files.
    """

    def __init__(self, fingerprints: FileCache, cwd: bytes) -> None:
        self._fingerprints = fingerprints
        self._cwd = cwd
        self.crossings = PathWalk()
        self.files: dict[bytes, tuple[FileFacts, Role]] = {}
        self.spelled: dict[bytes, bytes] = {}
        self.embedded: set[bytes] = set()
        self.around: dict[bytes, None] = {}
        self.natures: dict[bytes, int] = {}
        self._shared: tuple[bytes, ...] = ()

    def cross(self, directory: bytes) -> None:
        """A directory that is searched or written to, or a file in its place, which the compiler may remark upon."""
        if self.crossings.directory(directory) is None and os.path.exists(directory):
            self._add_candidate(directory.rstrip(b"/"), set())
            self.note_nature(directory)

    def read(self, path: bytes, role: Role = Role.READ) -> FileFacts:
        """A file that the compiler says it reads, or may read."""
        self.around[path.rpartition(b"/")[0] or b"/"] = None
        self.spelled[path] = place = self._add(path, role)
        return self.files[place][0]

    def give(self, seen: FileFacts) -> None:
        """Standard input, which lies nowhere."""
        self.files[seen.path] = (seen, Role.READ)

    def embed(self, path: bytes) -> None:
        """A file whose bytes may be taken as they are, if it is one."""
        kind = nature(path)
        if kind == stat.S_IFREG:
            self.embedded.add(self._add(path, Role.MAY_READ))
        elif kind not in {0, stat.S_IFDIR}:
            raise StaysLocal("input", f"{os.fsdecode(path)} is no regular file")

    def show(self, path: bytes) -> bytes:
        """A file that #line names: diagnostics quote from it, if it is there."""
        kind = nature(path)
        if kind == stat.S_IFREG:
            self._add(path, Role.MAY_READ)
        elif kind not in {0, stat.S_IFDIR}:
            raise StaysLocal("line", f"#line names {os.fsdecode(path)}, which is no regular file")
        return path

    def add_candidates(self, watches: Iterable[NameWatch], asked: frozenset[bytes]) -> None:
        """Every file that could be found under a name that some file is found under, as well. Where the run's own
        conditions differ from those of `-M` (``#pragma GCC target``), it must not find another file instead.
        """
        equal = {_once(seen) for seen, _ in self.files.values()}
        alike = {(seen.stamp[2], seen.stamp[3] // _SECOND) for seen, _ in self.files.values()}
        matched = asked | {path.rpartition(b"/")[2] for path in (*self.spelled, *self.files)}
        for watch in watches:
            for name in watch.present:
                path = under(watch.listing.path, name)
                if path not in self.spelled and (name in matched or _leads_to_one(path, alike)):
                    self._add_candidate(path, equal)

    def leave_out(self, roots: tuple[bytes, ...]) -> None:
        """What lies in these directories is in a shared tree: it need not be told, and need not be looked at again."""
        self._shared = tuple(root + b"/" for root in roots)
        if roots:
            self.files = {path: value for path, value in self.files.items() if not self.left_out(path)}
            self.natures = {path: value for path, value in self.natures.items() if not self.left_out(path)}
            self.crossings.leave_out(self.left_out)

    def left_out(self, path: bytes) -> bool:
        """Whether a physical path is a shared tree, or lies in one."""
        return (path + b"/").startswith(self._shared)

    def note_nature(self, path: bytes) -> None:
        """Something that is there, but no file or no directory where one would be used."""
        self.natures[path] = nature(path)

    def _add_candidate(self, path: bytes, equal: set[tuple[bytes, int]]) -> None:
        kind = nature(path)
        if kind == stat.S_IFREG:
            place = self.crossings.file(path)
            seen = self._fingerprints.look(place)
            self.files.setdefault(place, (seen, Role.MAY_READ if _once(seen) in equal else Role.PRESENT))
        elif kind in {0, stat.S_IFDIR}:
            self.crossings.directory(path)
            self.natures[path] = kind
        else:
            raise StaysLocal("input", f"{os.fsdecode(path)} is no regular file")

    def _add(self, path: bytes, role: Role) -> bytes:
        place = self.crossings.file(path)
        if self.files.get(place, (None, Role.PRESENT))[1] is Role.PRESENT:
            self.files[place] = (self._fingerprints.look(place), role)
        return place


def _once(seen: FileFacts) -> tuple[bytes, int]:
    """Files that agree in this are one to ``#pragma once`` (libcpp/files.cc: check_file_against_entries), which reads
    the second to see that it does, and lists it nowhere.
    """
    return seen.digest, seen.stamp[3] // _SECOND


def _leads_to_one(path: bytes, alike: set[tuple[int, int]]) -> bool:
    """Whether a path could be another name, or a copy, of a file that has one of these sizes and times (seconds)."""
    try:
        status = os.lstat(path)
    except OSError:
        return True
    return stat.S_ISLNK(status.st_mode) or (status.st_size, status.st_mtime_ns // _SECOND) in alike
