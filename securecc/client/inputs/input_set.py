"""What one compile finds: the files that it reads or could find, with their roles, and the directories on the way."""

import os
import stat
from collections.abc import Callable, Iterable

from securecc.client.inputs.caches.file_cache import FileCache, FileFacts
from securecc.client.inputs.foreseen_paths import is_public
from securecc.client.inputs.name_watch import NameWatch
from securecc.client.inputs.path_walk import PathWalk
from securecc.client.inputs.spelled_paths import under
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Role
from securecc.system.file_type import file_type

_SECOND = 1_000_000_000  # in nanoseconds


class InputSet:
    """Grows while a compile's inputs are looked for.

    `files` are by their physical path; `spelled` maps the paths that were read to these. Files in `embedded` are
    included as bytes, and name no other file. `directories` contain the files that were read, as spelled. `file_types`
    are existing names that are not files to the compiler. `withheld` is a path that is here and that a compiler may ask
    for, but that a server is not shown; empty if there is none. All methods that add raise StaysLocal for anything that
    cannot be reproduced for a remote compiler.
    """

    def __init__(self, files: FileCache) -> None:
        self._file_cache = files
        self.walk = PathWalk()
        self.files: dict[bytes, tuple[FileFacts, Role]] = {}
        self.spelled: dict[bytes, bytes] = {}
        self.embedded: set[bytes] = set()
        self.directories: dict[bytes, None] = {}
        self.file_types: dict[bytes, int] = {}
        self.withheld = b""
        self._excluded: tuple[bytes, ...] = ()

    def add_directory(self, path: bytes) -> None:
        """Adds a directory that is searched or written to, or a file in its place, which may cause a warning."""
        if self.walk.directory(path) is None and os.path.exists(path):
            self._add_candidate(path.rstrip(b"/"), set())
            self.add_file_type(path)

    def add_read(self, path: bytes, role: Role = Role.READ) -> FileFacts:
        """Adds a file that the compiler says it reads, or may read."""
        self.directories[path.rpartition(b"/")[0] or b"/"] = None
        self.spelled[path] = physical = self._add(path, role)
        return self.files[physical][0]

    def add_standard_input(self, file: FileFacts) -> None:
        """Adds standard input, which is in no directory."""
        self.files[file.path] = (file, Role.READ)

    def add_embedded(self, path: bytes) -> None:
        """Adds a file whose bytes may be included as they are, if it is a file.

        Raises:
            StaysLocal: it is a special file.
        """
        kind = file_type(path)
        if kind == stat.S_IFREG:
            self.embedded.add(self._add(path, Role.MAY_READ))
        elif kind not in {0, stat.S_IFDIR}:
            raise StaysLocal("input", f"{os.fsdecode(path)} is not a regular file")

    def add_unlisted(self, path: bytes) -> bytes:
        """Adds a file that no compiler lists, if it exists: #line names it, for example, and diagnostics quote from it.
        Returns the path.

        Raises:
            StaysLocal: it is a special file.
        """
        kind = file_type(path)
        if kind == stat.S_IFREG:
            self._add(path, Role.MAY_READ)
        elif kind == stat.S_IFDIR:
            self.walk.directory(path)
        elif kind:
            raise StaysLocal("line", f"#line names {os.fsdecode(path)}, which is not a regular file")
        return path

    def add_candidates(
        self, watches: Iterable[NameWatch], queried: frozenset[bytes], foreseen: Callable[[bytes], bool]
    ) -> None:
        """Adds every other file that could be found under the same names. If the run's conditions differ from those of
        `-M` (``#pragma GCC target``), it must not find another file instead. `foreseen` says whether a file may be sent
        because a text names it; others are withheld.
        """
        equal = {_pragma_once_key(file) for file, _ in self.files.values()}
        alike = {(file.stat_key.size, file.stat_key.mtime_ns // _SECOND) for file, _ in self.files.values()}
        matched = queried | {path.rpartition(b"/")[2] for path in (*self.spelled, *self.files)}
        for watch in watches:
            for name in watch.present:
                path = under(watch.listing.path, name)
                if path in self.spelled or not (name in matched or _may_be_copy(path, alike)):
                    continue
                if foreseen(path) or is_public(path):
                    self._add_candidate(path, equal)
                else:
                    self.withheld = self.withheld or path

    def add_file_type(self, path: bytes) -> None:
        """Adds something that exists, but is not the file or directory that would be used there."""
        self.file_types[path] = file_type(path)

    def exclude(self, roots: tuple[bytes, ...]) -> None:
        """Drops files in these directories, which the server has in a shared tree: they need not be sent or checked
        again.
        """
        self._excluded = tuple(root + b"/" for root in roots)
        if roots:
            self.files = {path: value for path, value in self.files.items() if not self.excludes(path)}
            self.file_types = {path: value for path, value in self.file_types.items() if not self.excludes(path)}
            self.walk.exclude(self.excludes)

    def excludes(self, path: bytes) -> bool:
        """Whether a physical path is a shared tree, or in one."""
        return (path + b"/").startswith(self._excluded)

    def _add_candidate(self, path: bytes, equal: set[tuple[bytes, int]]) -> None:
        kind = file_type(path)
        if kind == stat.S_IFREG:
            physical = self.walk.file(path)
            file = self._file_cache.facts(physical)
            self.files.setdefault(physical, (file, Role.MAY_READ if _pragma_once_key(file) in equal else Role.PRESENT))
        elif kind in {0, stat.S_IFDIR}:
            self.walk.directory(path)
            self.file_types[path] = kind
        else:
            raise StaysLocal("input", f"{os.fsdecode(path)} is not a regular file")

    def _add(self, path: bytes, role: Role) -> bytes:
        physical = self.walk.file(path)
        if self.files.get(physical, (None, Role.PRESENT))[1] is Role.PRESENT:
            self.files[physical] = (self._file_cache.facts(physical), role)
        return physical


def _pragma_once_key(file: FileFacts) -> tuple[bytes, int]:
    """Files with the same key may be one to ``#pragma once`` (libcpp/files.cc: check_file_against_entries), which reads
    the second to compare it, and lists it nowhere.
    """
    return file.digest, file.stat_key.mtime_ns // _SECOND


def _may_be_copy(path: bytes, alike: set[tuple[int, int]]) -> bool:
    """Whether a path could be another name, or a copy, of a file that has one of these sizes and times (seconds)."""
    try:
        status = os.lstat(path)
    except OSError:
        return True
    return stat.S_ISLNK(status.st_mode) or (status.st_size, status.st_mtime_ns // _SECOND) in alike
