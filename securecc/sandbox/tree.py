"""Builds a job's tree on its own tmpfs, from entries and descriptors.

Nothing else can write to it meanwhile; still every step is taken from a directory's descriptor, and none follows a
symlink.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from securecc.words import limits
from securecc.words.errors import PathError, SandboxError, SecureccError
from securecc.words.manifest import Entry, Kind

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PAGE = 4096
_NO_NAMES = (b"", b".", b"..")
_NOT_NORMAL = "no normalised absolute path"


@dataclass(slots=True)
class Built:
    """A tree that stands. `folders` are the client's and their parents, with the mtime that each has; `finished_ns` is
    the tree's own clock when it was done.
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
) -> Built:
    """Build the entries in the empty directory `root`; `descriptors[i]` holds the content of entry i. Directories
    `folders`, and `links` (path, target) where nothing stands yet, are made as well. The caller closes `Built.root`.

    Raises PathError for entries that are no tree or contents of another size, SandboxError if the system refuses.
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
    except OSError as error:
        os.close(builder.root)
        raise SandboxError(f"the job's tree cannot be built: {error.strerror}") from error
    except SecureccError:
        os.close(builder.root)
        raise
    finally:
        builder.close()


class _Builder:
    """Keeps a descriptor of each directory that it has made."""

    def __init__(self, root: int) -> None:
        self.root = root
        self._open: dict[bytes, int] = {b"": root}
        self._times: dict[bytes, tuple[int, int]] = {}
        self._groups: dict[int, tuple[int, bytes]] = {}

    def add(self, entry: Entry, descriptor: int) -> None:
        if entry.kind is Kind.DIRECTORY:
            self.folder(entry.path)
            self._times[entry.path] = (entry.mode & 0o777 | 0o500, entry.mtime_ns)
            return
        if entry.kind is Kind.LAYER:
            self.folder(entry.path)
            return
        parent, slash, name = entry.path.rpartition(b"/")
        at = self.folder(parent)
        if not slash or name in _NO_NAMES:
            raise _wrong(entry.path, _NOT_NORMAL)
        try:
            if entry.kind is Kind.LINK:
                os.symlink(entry.blob, name, dir_fd=at)
            else:
                self._file(entry, descriptor, at, name)
        except FileExistsError:
            raise _wrong(entry.path, "twice in one tree") from None

    def link(self, path: bytes, target: bytes) -> None:
        """A symlink, unless something stands there."""
        parent, _, name = path.rpartition(b"/")
        with contextlib.suppress(FileExistsError):
            os.symlink(target, name, dir_fd=self.folder(parent))

    def folder(self, path: bytes) -> int:
        """The descriptor of a directory, made with its parents if it is not there."""
        known = self._open.get(path)
        if known is not None:
            return known
        parent, slash, name = path.rpartition(b"/")
        if not slash or name in _NO_NAMES:
            raise _wrong(path, _NOT_NORMAL)
        at = self.folder(parent)
        try:
            os.mkdir(name, 0o755, dir_fd=at)
            self._open[path] = os.open(name, _FOLDER, dir_fd=at)
        except FileExistsError:
            raise _wrong(path, "something else stands where a directory must be") from None
        return self._open[path]

    def finish(self) -> Built:
        """Set the directories' times and modes, the deepest first."""
        built = Built(self.root)
        for path in sorted(self._open, key=len, reverse=True):
            at = self._open[path]
            if path in self._times:
                mode, mtime = self._times[path]
                os.fchmod(at, mode)
                os.utime(at, ns=(0, mtime))
            status = os.fstat(at)
            built.folders[path] = status.st_mtime_ns
            built.finished_ns = max(built.finished_ns, status.st_ctime_ns)
        return built

    def close(self) -> None:
        """Close all but the root."""
        for path, at in self._open.items():
            if path:
                os.close(at)

    def _file(self, entry: Entry, descriptor: int, at: int, name: bytes) -> None:
        if entry.inode:
            first = self._groups.get(entry.inode)
            if first:
                os.link(first[1], name, src_dir_fd=first[0], dst_dir_fd=at, follow_symlinks=False)
                return
            self._groups[entry.inode] = (at, name)
        to = os.open(name, _NEW_FILE, entry.mode & 0o777 | 0o400, dir_fd=at)
        try:
            if 0 <= entry.size < limits.MIB and descriptor >= 0:
                content = os.pread(descriptor, entry.size + 1, 0)
                if len(content) != entry.size:
                    raise _wrong_size(entry)
                _write(entry, to, content)
            else:
                _copy(entry, descriptor, to)
            os.utime(to, ns=(0, entry.mtime_ns))
        finally:
            os.close(to)


def _copy(entry: Entry, source: int, to: int) -> None:
    """Copy exactly `entry.size` bytes; the source's offset is not touched, for others may share it."""
    if source < 0:
        raise _wrong(entry.path, "no content came with it")
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
        raise _wrong_size(entry)


def _write(entry: Entry, to: int, piece: bytes) -> None:
    """A tmpfs that is full takes what it has room for, and says so by the count alone."""
    if os.write(to, piece) != len(piece):
        raise SandboxError(f"no room for {_shown(entry.path)} in the job's tree")


def _wrong_size(entry: Entry) -> PathError:
    return _wrong(entry.path, f"its content is not {entry.size} bytes")


def _wrong(path: bytes, why: str) -> PathError:
    return PathError(f"{_shown(path)}: {why}")


def _shown(path: bytes) -> str:
    return ascii(path.decode("utf-8", "surrogateescape"))[1:-1]
