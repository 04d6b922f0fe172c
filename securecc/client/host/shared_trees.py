"""Directory trees that this machine and a server both have, for as long as this machine's do not change.

A server names what it has. Whether ours is the same is found out once, by a child process, for it takes most of a
second for a large /usr/include; from then on inotify tells of every change. Shared trees spare time, nothing else:
whatever goes wrong here, the files travel instead.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable

from securecc.client.host.inotify import Inotify, is_local
from securecc.client.host.mount_table import MountTable, overlap
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.messages import SharedTree

WORTH_IT = 8
"""Compiles that could have used a shared tree before it is read: a child's second is not spent on a single file."""
AGAIN_S = 60.0
"""How long a tree that changed, or that a server took for another, is left alone."""


class SharedTrees:
    """The shared trees of one agent's life. Needs a running loop. `inotify` makes what watches, once it is needed."""

    def __init__(self, inotify: Callable[[], Inotify] = Inotify) -> None:
        self._make = inotify
        self._inotify: Inotify | None = None
        self._mounts: MountTable | None = None
        self._ours: dict[bytes, bytes] = {}
        self._until: dict[bytes, float] = {}
        self._asked: dict[bytes, int] = {}
        self._looking: dict[bytes, asyncio.Task[None]] = {}

    def standing(self, offered: Iterable[SharedTree]) -> tuple[SharedTree, ...]:
        """Those of the offered shared trees that this machine has exactly so at this moment; others may be later."""
        for path in self._changed():
            self.doubt(path)
        found = []
        for tree in offered:
            ours = self._ours.get(tree.path)
            if ours == tree.digest:
                found.append(tree)
            elif ours is None:
                self._consider(tree.path)
        return tuple(found)

    def doubt(self, path: bytes) -> None:
        """Not to be used for a while: it has changed, or a server says that it has another."""
        self._ours.pop(path, None)
        self._until[path] = asyncio.get_running_loop().time() + AGAIN_S
        if path in self._looking:
            self._looking.pop(path).cancel()
        if self._inotify is not None:
            self._inotify.forget(path)

    def _changed(self) -> set[bytes]:
        if self._inotify is None or self._mounts is None:
            return set()
        changed = self._inotify.changed()
        for point in self._mounts.changed():
            changed.update(path for path in (*self._ours, *self._looking) if overlap(path, point))
        return changed

    def _consider(self, path: bytes) -> None:
        self._asked[path] = self._asked.get(path, 0) + 1
        late = self._until.get(path, 0.0) <= asyncio.get_running_loop().time()
        if self._asked[path] > WORTH_IT and late and path not in self._looking:
            self._looking[path] = asyncio.create_task(self._look(path))

    async def _look(self, path: bytes) -> None:
        """Watch first, then digest: what changes meanwhile shows."""
        try:
            if self._inotify is None:
                self._mounts = MountTable()
                self._inotify = self._make()
            self._inotify.watch(_folders(path), path)
            digest = await _digest(path)
        except (StaysLocal, OSError):
            digest = b""
        self._looking.pop(path, None)
        if digest:
            self._ours[path] = digest
        else:
            self.doubt(path)


def _folders(root: bytes) -> list[bytes]:
    """All directories of a tree. Raises StaysLocal where its changes would not show."""
    if os.path.realpath(root) != root or not is_local(root):
        raise StaysLocal("layer", f"{os.fsdecode(root)} is a link or on a file system of others")
    found = []
    device = os.lstat(root).st_dev
    todo = [root]
    while todo:
        folder = todo.pop()
        if os.lstat(folder).st_dev != device:
            raise StaysLocal("layer", f"{os.fsdecode(folder)} is another file system")
        found.append(folder)
        with os.scandir(folder) as listed:
            todo += [entry.path for entry in listed if entry.is_dir(follow_symlinks=False)]
    return found


async def _digest(path: bytes) -> bytes:
    """The digest of a tree, by a child; empty where it is none."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "securecc.compiler.tree.shared_tree", os.fsdecode(path)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(limits.SHARED_TREE_LOOK_S):
            said, _ = await child.communicate()
    except BaseException:
        if child.returncode is None:
            child.kill()
            await child.wait()
        raise
    return bytes.fromhex(said.decode("ascii", "replace")) if child.returncode == 0 else b""
