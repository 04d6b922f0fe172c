"""Shared trees as the sandbox shows them: copies of whole directory trees on the runner's tmpfs, mounted read-only.

`compiler.tree.shared_tree` defines a shared tree and computes its digest. The digest is that of the copy, which nothing
can change later.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence

from securecc.compiler.toolchain.closure import ToolchainClosure
from securecc.compiler.tree import shared_tree
from securecc.compiler.tree.path_rules import check_path
from securecc.model import limits
from securecc.model.errors import PathError, ToolchainError
from securecc.model.manifest import Digest, Entry, Kind
from securecc.model.messages import SharedTree
from securecc.sandbox import mount_plan, namespaces

_PAGE = 4096
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def directories_to_share(
    wanted: Iterable[bytes] | None, toolchains: Sequence[ToolchainClosure], log: Callable[[str], None]
) -> tuple[bytes, ...]:
    """The real paths of these directories (None: where the toolchains look for headers). Those that would hide part of
    a toolchain are left out, with a line in the log.
    """
    if wanted is None:
        wanted = _topmost(path for closure in toolchains for path in closure.include_directories)
    toolchain_trees = [mount_plan.toolchain_tree(closure) for closure in toolchains]
    found = []
    for path in dict.fromkeys(map(os.path.realpath, wanted)):
        try:
            check_path(path)
            for tree in toolchain_trees:
                mount_plan.mountpoints([Entry(path, Kind.SHARED_TREE)], tree)
            found.append(path)
        except PathError as error:
            log(f"{os.fsdecode(path)} is not offered as a shared tree: {error}")
    return tuple(found)


def _topmost(directories: Iterable[bytes]) -> list[bytes]:
    """Those that exist, except any that lie below another."""
    found: list[bytes] = []
    for path in sorted({os.path.realpath(path) for path in directories if os.path.isdir(path)}):
        if not path.startswith(tuple(other + b"/" for other in found)):
            found.append(path)
    return found


def copy_trees(roots: Iterable[bytes], store: bytes, room: int, log: Callable[[str], None]) -> dict[SharedTree, bytes]:
    """Copies the trees below these directories into the directory `store`, at most `room` bytes in all. Returns the
    path of each copy. Trees that cannot be shared or do not fit are left out, with a line in the log.
    """
    found: dict[SharedTree, bytes] = {}
    for number, root in enumerate(roots):
        os.makedirs(store, exist_ok=True)
        to = store + b"/%d" % number
        if len(found) == limits.SHARED_TREES:
            log(f"{os.fsdecode(root)} is not offered as a shared tree: there are {limits.SHARED_TREES} already")
            continue
        copying = _Copying(root, to, room)
        try:
            found[SharedTree(root, copying.run())] = to
        except ToolchainError as error:
            shutil.rmtree(to, ignore_errors=True)
            log(f"{os.fsdecode(root)} is not offered as a shared tree: {error}")
            continue
        room -= copying.taken
        namespaces.bind_read_only(to, to, programs=False)
    return found


class _Copying:
    """One copy in progress. `taken` counts its bytes in whole pages."""

    def __init__(self, root: bytes, to: bytes, room: int) -> None:
        self.taken = 0
        self._root, self._to, self._room = root, to, room
        self._count = 0
        self._folders: list[tuple[bytes, int]] = []

    def run(self) -> Digest:
        """The copy's digest.

        Raises:
            ToolchainError: the tree cannot be copied or is too large.
        """
        todo = [b""]
        try:
            os.mkdir(self._to, 0o755)
            while todo:
                todo += self._folder(todo.pop())
            for path, mode in reversed(self._folders):
                os.chmod(self._to + path, mode & 0o777 | 0o500)
        except OSError as error:
            place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
            raise ToolchainError(f"it cannot be copied: {place}{error.strerror}") from error
        return shared_tree.digest_of(shared_tree.entries(self._to))

    def _folder(self, inside: bytes) -> list[bytes]:
        """Copies the files and links in a directory; returns its subdirectories.

        Raises:
            ToolchainError: there is a special file in it.
        """
        below = []
        with os.scandir(self._root + inside) as found:
            for item in found:
                path = inside + b"/" + item.name
                if item.is_symlink():
                    self._take(_PAGE)
                    os.symlink(os.readlink(self._root + path), self._to + path)
                elif item.is_dir(follow_symlinks=False):
                    self._take(_PAGE)
                    os.mkdir(self._to + path, 0o700)
                    self._folders.append((path, item.stat(follow_symlinks=False).st_mode))
                    below.append(path)
                elif item.is_file(follow_symlinks=False):
                    self._file(path)
                else:
                    raise ToolchainError(f"{os.fsdecode(self._root + path)} is not a file, directory or link")
        return below

    def _take(self, size: int) -> None:
        self._count += 1
        self.taken += size
        if self._count > limits.SHARED_TREE_ENTRIES or self.taken > limits.SHARED_TREE:
            raise ToolchainError("it is too large for a shared tree")
        if self.taken > self._room:
            raise ToolchainError("the runner's store has no room for it")

    def _file(self, path: bytes) -> None:
        source = os.open(self._root + path, _SOURCE)
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode) or status.st_size > limits.BLOB:
                raise ToolchainError(f"{os.fsdecode(self._root + path)} is too large, or changed while it was copied")
            self._take(-(-status.st_size // _PAGE) * _PAGE or _PAGE)
            self._copy(source, path, status)
        finally:
            os.close(source)

    def _copy(self, source: int, path: bytes, status: os.stat_result) -> None:
        to = os.open(self._to + path, _NEW_FILE, 0o600)
        try:
            done = 0
            while done < status.st_size:
                some = os.sendfile(to, source, done, status.st_size - done)
                if not some:
                    raise ToolchainError(f"{os.fsdecode(self._root + path)} changed while it was copied")
                done += some
            os.fchmod(to, status.st_mode & 0o666 | 0o400)
            os.utime(to, ns=(0, status.st_mtime_ns))
        finally:
            os.close(to)
