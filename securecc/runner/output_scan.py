"""Scans a job's tree after the run: what was read, what was made.

By now the job has had control of the tree: it may have replaced directories with symlinks. Paths are resolved with
openat2(RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS), and only regular files are opened.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from securecc.model import limits
from securecc.model.errors import SandboxError
from securecc.model.manifest import Entry, Kind, Role
from securecc.runner_protocol.messages import Made

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_OPENAT2 = 437  # the same on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH, _RESOLVE_IN_ROOT = 2, 4, 8, 16
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class InitialTree(Protocol):
    """A tree as it was before the run: its root's descriptor, each directory's mtime, the file system's own clock
    (`BuiltTree`).
    """

    root: int
    folders: dict[bytes, int]
    finished_ns: int


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a run left. `descriptors` are those of `made`, in order, and the caller closes them; `more` counts files
    that were made but not opened, `ignored` anything made that is not a regular file. `strays` and `read` are as in
    `messages.Result`.
    """

    made: tuple[Made, ...]
    descriptors: tuple[int, ...]
    strays: tuple[int, ...]
    more: int
    ignored: int
    read: bytes


def scan_outputs(
    tree: InitialTree, entries: Sequence[Entry], skip: frozenset[bytes], output: int, within: Sequence[bytes] = ()
) -> ScanResult:
    """What was made, which files were read unexpectedly, and which expected files were not read.

    The directories `skip` are not searched, except for those of `within` and directories below them that are not in
    `skip` themselves; made files are opened up to `output` bytes in all.

    Raises:
        SandboxError: the tree cannot be read.
    """
    scanner = _Scanner(tree, output)
    try:
        strays, read = scanner.compare(entries)
        wanted, unwanted = _below(within), _below(skip)
        for path, mtime in tree.folders.items():
            if path not in skip and (path in within or path.startswith(wanted) or not path.startswith(unwanted)):
                scanner.list_again(path, mtime, skip)
    except OSError as error:
        for descriptor in scanner.descriptors:
            os.close(descriptor)
        raise SandboxError(f"the job's tree cannot be read again: {error.strerror}") from error
    finally:
        scanner.close()
    return ScanResult(
        tuple(scanner.made), tuple(scanner.descriptors), tuple(strays), scanner.more, scanner.ignored, read
    )


def _below(folders: Iterable[bytes]) -> tuple[bytes, ...]:
    """The prefixes of all paths below one of these directories."""
    return tuple(folder + b"/" for folder in folders)


class _Scanner:
    """Opens each directory once, from the root, without following symlinks."""

    def __init__(self, tree: InitialTree, output: int) -> None:
        self.made: list[Made] = []
        self.descriptors: list[int] = []
        self.more = self.ignored = 0
        self._built = tree
        self._room = output
        self._seen: set[bytes] = set()
        self._open: dict[bytes, int] = {}
        self._names = 0

    def compare(self, entries: Sequence[Entry]) -> tuple[list[int], bytes]:
        """Records changed files as made; returns the indices of strays, and a bit for each file that was read."""
        read: dict[int, bool] = {}
        wanted: set[int] = set()
        plain: list[tuple[int, Entry, int]] = []
        for index, entry in enumerate(entries):
            if entry.kind is not Kind.FILE:
                continue
            status = self._status(entry.path)
            self._seen.add(entry.path)
            if status is None or not stat.S_ISREG(status.st_mode):
                self.ignored += 1
                continue
            if self._changed(status, entry):
                self._make(entry.path)
                continue
            key = entry.inode or -1 - index
            read[key] = read.get(key, False) or status.st_atime_ns > 0
            plain.append((index, entry, key))
            if entry.role is not Role.PRESENT:
                wanted.add(key)
        bits = bytearray(-(-len(entries) // 8))
        for index, _, key in plain:
            bits[index >> 3] |= read[key] << (index & 7)
        return [index for index, entry, key in plain if _is_stray(entry, read[key], key in wanted)], bytes(bits)

    def list_again(self, path: bytes, mtime: int, skip: frozenset[bytes]) -> None:
        """Records what is new in a directory, if it was modified."""
        at = self._folder(path)
        if at is None:
            return
        status = os.fstat(at)
        if status.st_mtime_ns == mtime and status.st_ctime_ns <= self._built.finished_ns:
            return
        for name in os.listdir(at):
            self._names += 1
            found = path + b"/" + os.fsencode(name)
            if found in self._seen or found in self._built.folders or found in skip:
                continue
            if self._names > limits.WORK_MADE_LISTED:
                self.more += 1
                continue
            self._new(found, skip)

    def close(self) -> None:
        """Closes the directories."""
        for at in self._open.values():
            if at != self._built.root:
                os.close(at)

    def _new(self, path: bytes, skip: frozenset[bytes]) -> None:
        status = self._status(path)
        if status is None:
            return
        if stat.S_ISREG(status.st_mode):
            self._make(path)
        elif stat.S_ISDIR(status.st_mode) and path.count(b"/") <= limits.PATH_DEPTH:
            self.list_again(path, -1, skip)
        else:
            self.ignored += 1

    def _make(self, path: bytes) -> None:
        """Opens a made file if it is regular, without following symlinks or blocking."""
        parent, _, name = path.rpartition(b"/")
        at = self._folder(parent)
        if at is None:
            return
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        except OSError:
            self.ignored += 1
            return
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            self.ignored += 1
        elif len(self.made) >= limits.WORK_MADE or status.st_size > self._room:
            self.more += 1
        else:
            self._room -= status.st_size
            self.made.append(Made(path, status.st_size, stat.S_IMODE(status.st_mode) & 0o777))
            self.descriptors.append(file)
            return
        os.close(file)

    def _changed(self, status: os.stat_result, entry: Entry) -> bool:
        return (
            status.st_mtime_ns != entry.mtime_ns
            or status.st_size != entry.size
            or status.st_ctime_ns > self._built.finished_ns
        )

    def _status(self, path: bytes) -> os.stat_result | None:
        parent, _, name = path.rpartition(b"/")
        at = self._folder(parent)
        if at is None:
            return None
        try:
            return os.stat(name, dir_fd=at, follow_symlinks=False)
        except OSError:
            return None

    def _folder(self, path: bytes) -> int | None:
        at = self._open.get(path)
        if at is None:
            try:
                at = self._built.root if not path else open_beneath(self._built.root, path[1:], _FOLDER)
            except OSError:
                return None
            self._open[path] = at
        return at


def same_folder(root: int, one: bytes, other: bytes) -> bool:
    """Whether two absolute paths name the same directory of the tree, following its own symlinks within it."""
    try:
        found = []
        for path in (one, other):
            at = open_beneath(root, path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, follow=True)
            try:
                status = os.fstat(at)
            finally:
                os.close(at)
            found.append((status.st_dev, status.st_ino))
    except OSError:
        return False
    return found[0] == found[1]


def open_beneath(root: int, path: bytes, flags: int, *, follow: bool = False) -> int:
    """openat2(2) below `root`, without following symlinks; with `follow`, as if `root` were the root directory.

    Raises:
        OSError: the system refuses.
    """
    resolve = _RESOLVE_IN_ROOT if follow else _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS
    how = struct.pack("=QQQ", flags, 0, resolve | _RESOLVE_NO_MAGICLINKS)
    found = _libc.syscall(
        ctypes.c_long(_OPENAT2), ctypes.c_int(root), ctypes.c_char_p(path), how, ctypes.c_size_t(len(how))
    )
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(found)


def _is_stray(entry: Entry, was_read: bool, wanted: bool) -> bool:
    """An empty file need not be read to be known; reading an inode by one name counts for all its names."""
    if entry.role is Role.READ:
        return not was_read and entry.size > 0
    return entry.role is Role.PRESENT and was_read and not wanted
