"""Collects the files of a closure, with every symbolic link on the way to them."""

import os
import stat
import time
from collections.abc import MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from securecc.compiler.toolchain.closure import ClosureFile
from securecc.compiler.tree.symlinks import TooManyLinksError, resolve
from securecc.model import limits
from securecc.model.digest import sha256_of_file
from securecc.model.errors import ToolchainError
from securecc.model.manifest import Digest, Kind
from securecc.system.stat_key import StatKey, stat_key

Digests = MutableMapping[StatKey, Digest]

_THREADS = 2  # few, so that other work gets processors too


class ClosureBuilder:
    """A closure that grows file by file. `digests` remembers what files contain, from one closure to the next.

    Threads digest files while compilers are asked for more; they end with the `with` block.
    """

    def __init__(self, digests: Digests) -> None:
        self._digests = digests
        self._found: dict[bytes, ClosureFile] = {}
        self._digesting: dict[bytes, Future[ClosureFile]] = {}
        self._threads = ThreadPoolExecutor(_THREADS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def __contains__(self, path: bytes) -> bool:
        return path in self._found or path in self._digesting

    def listed(self) -> tuple[ClosureFile, ...]:
        """All files and links, by path.

        Raises:
            ToolchainError: a file cannot be read, or is not regular.
        """
        files = [future.result() for future in self._digesting.values()]
        return tuple(sorted((*self._found.values(), *files), key=lambda file: file.path))

    def add_file(self, path: bytes) -> bytes:
        """Adds one file with the links that lead to it; returns its real path.

        Raises:
            ToolchainError: the path leads nowhere.
        """
        real = walk(path, self._found)
        if real not in self._digesting:
            self._digesting[real] = self._threads.submit(self._regular, real)
        return real

    def add_folder(self, path: bytes) -> None:
        """Adds all files below a directory, if there is one.

        Raises:
            ToolchainError: a link in it leads nowhere.
        """
        for folder, _folders, names in os.walk(path):
            for name in names:
                self.add_file(os.path.join(folder, name))

    def _regular(self, path: bytes) -> ClosureFile:
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ToolchainError(f"{os.fsdecode(path)} is not a regular file")
                key = stat_key(status)
                digest = self._digests.get(key)
                if digest is None:
                    digest = sha256_of_file(file)
                    if time.time() - status.st_ctime > limits.RACY_STAT_S:  # later changes show in the key
                        self._digests[key] = digest
        except OSError as error:
            raise ToolchainError(f"cannot read {os.fsdecode(path)}: {error.strerror}") from error
        return ClosureFile(path, Kind.FILE, digest, stat.S_IMODE(status.st_mode), status.st_size)


def walk(path: bytes, links: dict[bytes, ClosureFile]) -> bytes:
    """The real path; each symlink on the way is put into `links`.

    Raises:
        ToolchainError: the path is not absolute, or leads nowhere.
    """
    if not path.startswith(b"/"):
        raise ToolchainError(f"{os.fsdecode(path)!r} is not an absolute path")

    def link_target(step: bytes) -> bytes | None:
        target = _link_target(step, path)
        if target is not None:
            links[step] = ClosureFile(step, Kind.LINK, target)
        return target

    try:
        return resolve(path, link_target)[0]
    except TooManyLinksError as error:
        raise ToolchainError(f"too many symbolic links at {os.fsdecode(path)}") from error


def _link_target(step: bytes, path: bytes) -> bytes | None:
    try:
        return os.readlink(step) if stat.S_ISLNK(os.lstat(step).st_mode) else None
    except (OSError, ValueError) as error:  # ValueError: a NUL, which no path has
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ToolchainError(
            f"cannot reach {os.fsdecode(path)}: {os.fsdecode(step)}: {reason}", "is the compiler installed?"
        ) from error
