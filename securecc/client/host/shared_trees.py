"""Directory trees that this machine and a server both have, for as long as this machine's do not change.

A server names what it has. A child process compares ours once, since that takes most of a second for a large
/usr/include; from then on inotify reports every change. Shared trees only save time: if anything goes wrong here, the
files are sent instead.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from cachetools import LRUCache

from securecc.client.host.inotify import Inotify, is_local
from securecc.client.host.mount_table import MountTable, overlap
from securecc.client.host.system_directories import is_roots
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.messages import SharedTree

WORTH_IT = 8
"""How many compiles could have used a shared tree before it is read: a second is not spent for a single file."""
RETRY_S = 60.0
"""How long a tree is left alone after it changed, or after a server had a different one."""


async def tree_digest(path: bytes) -> bytes:
    """The digest of a tree, computed by a child process; empty if the tree cannot be shared."""
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


def watchable_directories(root: bytes) -> list[bytes]:
    """All directories of a tree.

    Raises:
        StaysLocal: the tree could change without an inotify(7) event: through another hard link of a file, for example,
            which only root can make of root's.
        OSError: a directory cannot be listed.
    """
    if os.path.realpath(root) != root or not is_local(root):
        raise StaysLocal("layer", f"{os.fsdecode(root)} is a symlink or on a file system that others can change")
    found = []
    device = os.lstat(root).st_dev
    todo = [root]
    while todo:
        directory = todo.pop()
        if os.lstat(directory).st_dev != device:
            raise StaysLocal("layer", f"{os.fsdecode(directory)} is another file system")
        found.append(directory)
        with os.scandir(directory) as listed:
            for entry in listed:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                elif not is_roots(entry.stat(follow_symlinks=False)):
                    raise StaysLocal("layer", f"{os.fsdecode(entry.path)} may be changed by others than root")
        if not is_roots(os.lstat(directory)):
            raise StaysLocal("layer", f"{os.fsdecode(directory)} may be changed by others than root")
    return found


@dataclass(slots=True)
class _Tree:
    """What is known of one path: our digest (empty: not known to be sharable), the compiles that could have used it,
    and when it may be examined again (the loop's seconds).
    """

    digest: bytes = b""
    wanted: int = 0
    not_before: float = 0.0
    examining: asyncio.Task[None] | None = None


class _Trees(LRUCache[bytes, _Tree]):
    """Stops watching what is evicted."""

    def __init__(self, most: int, dropped: Callable[[bytes, _Tree], None]) -> None:
        super().__init__(most)
        self._dropped = dropped

    def popitem(self) -> tuple[bytes, _Tree]:
        path, tree = super().popitem()
        self._dropped(path, tree)
        return path, tree


class SharedTrees:
    """The shared trees that one agent knows, `most` of them. Needs a running loop."""

    def __init__(
        self,
        inotify: Callable[[], Inotify] = Inotify,
        digest: Callable[[bytes], Awaitable[bytes]] = tree_digest,
        *,
        most: int = limits.SHARED_TREES_REMEMBERED,
    ) -> None:
        """`inotify` makes the watcher when it is first needed; `digest` computes a tree's digest."""
        self._make_inotify = inotify
        self._digest = digest
        self._inotify: Inotify | None = None
        self._mounts: MountTable | None = None
        self._trees = _Trees(most, self._abandon)

    def __len__(self) -> int:
        return len(self._trees)

    def usable(self, offered: Iterable[SharedTree]) -> tuple[SharedTree, ...]:
        """Those of the offered trees that are identical on this machine at this moment; others may be later."""
        for path in self._changed():
            self.distrust(path)
        found = []
        for offer in offered:
            tree = self._tree(offer.path)
            if tree.digest == offer.digest:
                found.append(offer)
            elif not tree.digest:
                self._consider(offer.path, tree)
        return tuple(found)

    def distrust(self, path: bytes) -> None:
        """Leaves a tree alone for a while, since it has changed or a server has a different one."""
        tree = self._tree(path)
        self._abandon(path, tree)
        tree.digest = b""
        tree.not_before = asyncio.get_running_loop().time() + RETRY_S

    async def examined(self) -> None:
        """Waits until no tree is being examined."""
        await asyncio.gather(*self._examinations(), return_exceptions=True)

    def _tree(self, path: bytes) -> _Tree:
        tree = self._trees.get(path)
        if tree is None:
            tree = self._trees[path] = _Tree()
        return tree

    def _examinations(self) -> list[asyncio.Task[None]]:
        return [tree.examining for tree in self._trees.values() if tree.examining is not None]

    def _abandon(self, path: bytes, tree: _Tree) -> None:
        if tree.examining is not None:
            tree.examining.cancel()
            tree.examining = None
        if self._inotify is not None:
            self._inotify.forget(path)

    def _changed(self) -> set[bytes]:
        if self._inotify is None or self._mounts is None:
            return set()
        changed = self._inotify.changed()
        for point in self._mounts.changed():
            watched = [path for path, tree in self._trees.items() if tree.digest or tree.examining is not None]
            changed.update(path for path in watched if overlap(path, point))
        return changed

    def _consider(self, path: bytes, tree: _Tree) -> None:
        tree.wanted += 1
        due = tree.not_before <= asyncio.get_running_loop().time()
        if tree.wanted > WORTH_IT and due and tree.examining is None:
            tree.examining = asyncio.create_task(self._examine(path, tree))

    async def _examine(self, path: bytes, tree: _Tree) -> None:
        """Watches first, then digests, so that changes meanwhile are noticed."""
        try:
            if self._inotify is None:
                self._mounts = MountTable()
                self._inotify = self._make_inotify()
            self._inotify.watch(watchable_directories(path), path)
            digest = await self._digest(path)
        except (StaysLocal, OSError):
            digest = b""
        tree.examining = None
        if digest:
            tree.digest = digest
        else:
            self.distrust(path)
