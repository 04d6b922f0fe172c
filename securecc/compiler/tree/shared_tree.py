"""A directory tree that client and server both have, named by the digest of the whole.

A shared tree stands for all its files, so a compile that reads from it names one digest. The digest covers all that a
compiler can observe: names, kinds, contents, link targets, modes and times.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator

from securecc.model import limits, manifest
from securecc.model.errors import ToolchainError
from securecc.model.manifest import Digest, Entry, Kind, Manifest

_LOWEST = 19

Folder = Callable[[bytes], None]
"""Called with the absolute path of each directory before it is listed."""


def entries(root: bytes, folder: Folder = lambda _path: None) -> Iterator[Entry]:
    """Everything below a directory (absolute, physical), by relative path, in the order of a walk sorted by name.

    `folder` may set a watch on each directory.

    Raises:
        ToolchainError: something in it is not a file, directory or link, or cannot be read; or it is over a limit.
    """
    count = total = 0
    todo = [b""]
    while todo:
        inside = todo.pop()
        folder(root + inside)
        below = []
        for name, status in _listed(root + inside):
            path = inside + b"/" + name
            entry = _entry(root, path, status)
            count, total = count + 1, total + entry.size
            if count > limits.SHARED_TREE_ENTRIES or total > limits.SHARED_TREE:
                raise ToolchainError(f"{os.fsdecode(root)} is no shared tree: it has too many files, or too large ones")
            if entry.kind is Kind.DIRECTORY:
                below.append(path)
            yield entry
        todo += reversed(below)


def digest_of(content: Iterator[Entry]) -> Digest:
    """The name of the shared tree with these entries."""
    return manifest.digest(manifest.encode(Manifest(tuple(sorted(content, key=lambda entry: entry.path)))))


def _listed(folder: bytes) -> list[tuple[bytes, os.stat_result]]:
    try:
        with os.scandir(folder) as found:
            return sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in found)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _entry(root: bytes, path: bytes, status: os.stat_result) -> Entry:
    place = root + path
    mode = stat.S_IMODE(status.st_mode) & 0o777
    try:
        if stat.S_ISDIR(status.st_mode):
            return Entry(path, Kind.DIRECTORY, mode=mode)
        if stat.S_ISLNK(status.st_mode):
            return Entry(path, Kind.LINK, os.readlink(place), mode=0o777)
        if stat.S_ISREG(status.st_mode):
            if status.st_nlink > 1:  # it may be changed through its other name, which is not watched
                raise ToolchainError(f"{os.fsdecode(place)} has other hard links")
            with open(place, "rb", buffering=0) as file:
                content = file.read(limits.BLOB + 1) or b""
            if len(content) != status.st_size:
                raise ToolchainError(
                    f"{os.fsdecode(place)} changed while it was read, or is too large for a shared tree"
                )
            return Entry(path, Kind.FILE, manifest.digest(content), len(content), mode & 0o666, status.st_mtime_ns)
    except OSError as error:
        raise _unreadable(place, error) from error
    raise ToolchainError(
        f"{os.fsdecode(root)} is no shared tree: {os.fsdecode(place)} is not a file, directory or link"
    )


def _unreadable(path: bytes, error: OSError) -> ToolchainError:
    return ToolchainError(f"cannot read {os.fsdecode(path)}: {error.strerror}")


def main() -> int:
    """``python -m securecc.compiler.tree.shared_tree DIRECTORY``: prints its digest in hex, at the lowest priority;
    exits with status 1 if there is none.
    """
    os.nice(_LOWEST)
    try:
        sys.stdout.write(digest_of(entries(os.fsencode(sys.argv[1]))).hex())
    except ToolchainError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
