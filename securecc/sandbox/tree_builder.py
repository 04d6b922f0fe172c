"""Builds a job's tree on its own tmpfs, from entries and descriptors.

Nothing else can write to it meanwhile, and no step follows a symlink: every component of a path but the last is a
directory made here.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from securecc.model import limits
from securecc.model.errors import PathError, SandboxError
from securecc.model.manifest import Entry, Kind
from securecc.model.printable import plain_path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PAGE = 4096
_MODE = 0o755  # of a directory that is not an entry itself
_NO_NAMES = (b"", b".", b"..")
_NOT_NORMAL = "not a normalised absolute path"


@dataclass(slots=True)
class BuiltTree:
    """A built tree. `root` is its root directory's descriptor. `folders` are the client's directories and their
    parents, each with its mtime; `finished_ns` is the file system's own clock when the tree was done (both in
    nanoseconds).
    """

    root: int
    folders: dict[bytes, int] = field(default_factory=dict)
    finished_ns: int = 0


def space_for(entries: Iterable[Entry]) -> int:
    """Bytes of tmpfs that these entries take, in whole pages."""
    return sum(-(-entry.size // _PAGE) * _PAGE + _PAGE for entry in entries)


def build(
    root: bytes,
    entries: Sequence[Entry],
    descriptors: Sequence[int],
    folders: Iterable[bytes] = (),
    links: Iterable[tuple[bytes, bytes]] = (),
) -> BuiltTree:
    """Builds the entries in the empty directory `root`; `descriptors[i]` holds the content of entry i. The directories
    `folders`, and `links` (path, target) where nothing exists yet, are made as well. The caller closes
    `BuiltTree.root`.

    Raises:
        PathError: the entries are not a tree, or a content has the wrong size.
        SandboxError: the system refuses.
    """
    builder = _Builder(os.open(root, _FOLDER))
    try:
        for path in folders:
            builder.folder(path)
        for entry, descriptor in zip(entries, descriptors, strict=True):
            builder.add(entry, descriptor)
        for path, target in links:
            builder.link(path, target)
        return builder.finish()
    except BaseException as error:
        os.close(builder.root)
        if isinstance(error, OSError):
            raise SandboxError(f"the job's tree cannot be built: {error.strerror}") from error
        raise


class _Builder:
    """Remembers the directories that it has made; everything is made by a path from the root's descriptor through only
    these.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self._made: dict[bytes, tuple[int, int] | None] = {b"": None}
        self._groups: dict[int, bytes] = {}

    def add(self, entry: Entry, descriptor: int) -> None:
        if entry.kind is Kind.DIRECTORY:
            self.folder(entry.path)
            self._made[entry.path] = (entry.mode & 0o777 | 0o500, entry.mtime_ns)
            return
        if entry.kind is Kind.SHARED_TREE:
            self.folder(entry.path)
            return
        where = self._place(entry.path)
        try:
            if entry.kind is Kind.LINK:
                os.symlink(entry.blob, where, dir_fd=self.root)
            else:
                self._file(entry, descriptor, where)
        except FileExistsError:
            raise PathError(_about(entry.path, "listed twice")) from None

    def link(self, path: bytes, target: bytes) -> None:
        """Makes a symlink, unless something is there."""
        with contextlib.suppress(FileExistsError):
            os.symlink(target, self._place(path), dir_fd=self.root)

    def folder(self, path: bytes) -> None:
        """Makes a directory and its parents, if it is not there.

        Raises:
            PathError: something else is there.
        """
        if path in self._made:
            return
        where = self._place(path)
        try:
            os.mkdir(where, _MODE, dir_fd=self.root)
        except FileExistsError:
            raise PathError(_about(path, "something else is where a directory must be")) from None
        self._made[path] = None

    def finish(self) -> BuiltTree:
        """Sets the directories' times and modes, the deepest first."""
        built = BuiltTree(self.root)
        for path in sorted(self._made, key=len, reverse=True):
            where, wanted = path[1:] or b".", self._made[path]
            if wanted is not None:
                mode, mtime = wanted
                if mode != _MODE:
                    os.chmod(where, mode, dir_fd=self.root)
                os.utime(where, ns=(0, mtime), dir_fd=self.root)
            status = os.stat(where, dir_fd=self.root, follow_symlinks=False)
            built.folders[path] = status.st_mtime_ns
            built.finished_ns = max(built.finished_ns, status.st_ctime_ns)
        return built

    def _place(self, path: bytes) -> bytes:
        """The path, from the root, for something to be made; makes the directories above it.

        Raises:
            PathError: it is not a normalised absolute path.
        """
        parent, slash, name = path.rpartition(b"/")
        if not slash or name in _NO_NAMES:
            raise PathError(_about(path, _NOT_NORMAL))
        self.folder(parent)
        return path[1:]

    def _file(self, entry: Entry, descriptor: int, where: bytes) -> None:
        if entry.inode:
            first = self._groups.setdefault(entry.inode, where)
            if first is not where:
                os.link(first, where, src_dir_fd=self.root, dst_dir_fd=self.root, follow_symlinks=False)
                return
        to = os.open(where, _NEW_FILE, entry.mode & 0o777 | 0o400, dir_fd=self.root)
        try:
            if 0 <= entry.size < limits.MIB and descriptor >= 0:
                content = os.pread(descriptor, entry.size + 1, 0)
                if len(content) != entry.size:
                    raise PathError(_about(entry.path, f"its content is not {entry.size} bytes"))
                _write(entry, to, content)
            else:
                _copy(entry, descriptor, to)
            os.utime(to, ns=(0, entry.mtime_ns))
        finally:
            os.close(to)


def _copy(entry: Entry, source: int, to: int) -> None:
    """Copies exactly `entry.size` bytes without using the source's offset, which others may share.

    Raises:
        PathError: the content has the wrong size.
    """
    if source < 0:
        raise PathError(_about(entry.path, "no content came with it"))
    done = 0
    while True:
        piece = os.pread(source, limits.MIB, done)
        if not piece:
            break
        done += len(piece)
        if done > entry.size:
            break
        _write(entry, to, piece)
    if done != entry.size:
        raise PathError(_about(entry.path, f"its content is not {entry.size} bytes"))


def _write(entry: Entry, to: int, piece: bytes) -> None:
    """Writes a piece, checking the count: a full tmpfs takes only what it has room for.

    Raises:
        SandboxError: it is full.
    """
    if os.write(to, piece) != len(piece):
        raise SandboxError(f"no room for {plain_path(entry.path)} in the job's tree")


def _about(path: bytes, why: str) -> str:
    return f"{plain_path(path)}: {why}"
