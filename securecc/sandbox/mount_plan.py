"""Where a job's tree and a toolchain's tree meet.

The toolchain's top directories (`/usr`) are mounted whole over the job's root; the client's directories below them are
mounted on top again, at mountpoints that the toolchain's tree must offer. What may be where is checked here a second
time, independently of the front: this check must be sufficient by itself.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure
from securecc.model import limits
from securecc.model.errors import PathError
from securecc.model.manifest import INPUT, Entry, Kind
from securecc.model.printable import plain_path

OWN_DIRECTORY = b"/.securecc"  # the job's temporary files; no client path may begin like this
TEMPORARY = OWN_DIRECTORY + b"/tmp"
WITNESS_LOG = OWN_DIRECTORY + b"/witness"  # where the library looks for it (securecc/sandbox/witness/log.c)
_INPUT = (INPUT, Kind.FILE)  # a descriptor by the time anything runs
_NEVER = frozenset({b"dev", b"proc", b"sys", b"etc", b".securecc"})
_WAYMARK = {
    Kind.LINK: re.compile(rb".*/include", re.DOTALL),
    Kind.FILE: re.compile(rb"/usr/lib[^/]{0,3}/gcc(-cross)?/[^/]+/[0-9][^/]*(/[nx]?(32|64))?/crtbegin\.o"),
}  # leads to headers, or shows that another gcc is there: clang looks for both
_INCLUDE = re.compile(rb"include(-fixed|[.+0-9-]*)?|c\+\+")


@dataclass(frozen=True)
class ToolchainTree:
    """The paths that a toolchain occupies. `tops` are mounted whole; `links` lie outside them and are made in each
    job's tree; `guarded` are directories below which no client file may be except in include directories; `catalogues`
    may, by path and digest.
    """

    tops: frozenset[bytes]
    files: tuple[ClosureFile, ...]
    links: tuple[ClosureFile, ...]
    guarded: frozenset[bytes]
    includes: tuple[bytes, ...]
    catalogues: frozenset[tuple[bytes, bytes]] = frozenset()

    @cached_property
    def witness(self) -> bytes:
        """Where its programs find the witness, in the first of its top directories."""
        return b"/" + min(self.tops) + b"/.securecc-witness.so" if self.tops else b""

    @cached_property
    def folders(self) -> frozenset[bytes]:
        """All directories of the tree."""
        return frozenset(folder for file in self.files for folder in ancestors(file.path))

    @cached_property
    def claimed(self) -> frozenset[bytes]:
        """All paths that a shared tree may neither replace nor contain."""
        own = frozenset((*self.taken, *self.guarded, *(b"/" + top for top in self.tops)))
        return own.union(*(ancestors(path) for path in own), [b"/"])

    @cached_property
    def taken(self) -> dict[bytes, ClosureFile]:
        """All files and links, by path; the witness among them."""
        own = (ClosureFile(self.witness, Kind.FILE, b""),) if self.witness else ()
        return {file.path: file for file in (*self.files, *self.links, *own)}


def toolchain_tree(closure: ToolchainClosure) -> ToolchainTree:
    """The paths that this toolchain occupies.

    Raises:
        PathError: it has a file in the root directory.
    """
    everything = (*closure.files, *closure.calls)
    tops = frozenset(_top(file.path) for file in everything if file.kind is Kind.FILE)
    if any(file.path[1:] in tops for file in everything):
        raise PathError("a toolchain with a file in the root directory", "move it to a directory")
    inside = tuple(file for file in everything if _top(file.path) in tops)
    outside = tuple(file for file in everything if _top(file.path) not in tops)
    catalogues = frozenset((file.path, file.blob) for file in closure.catalogues)
    return ToolchainTree(tops, inside, outside, frozenset(closure.directories), closure.include_directories, catalogues)


def ancestors(path: bytes) -> list[bytes]:
    """All directories above a path, the topmost first, without the root."""
    parts = path.split(b"/")
    return [b"/".join(parts[:end]) for end in range(2, len(parts))]


def mountpoints(entries: Iterable[Entry], taken: ToolchainTree) -> tuple[bytes, ...]:
    """The client's topmost directories below the toolchain's top directories, sorted.

    Raises:
        PathError: a client file would be where the toolchain looks for its own, or at or below a shared tree.
    """
    entries = tuple(entry for entry in entries if (entry.path, entry.kind) != _INPUT)
    _judge_shared_trees(entries, taken)
    survey = _Survey(taken)
    found = set(map(survey.place, entries)) - {b""}
    if len(found) > limits.TREE_MOUNTPOINTS:
        raise PathError(f"{len(found)} client directories inside the toolchain's; at most {limits.TREE_MOUNTPOINTS}")
    return tuple(sorted(found))


def uncovered(entries: Sequence[Entry], taken: ToolchainTree, places: Sequence[bytes]) -> list[int]:
    """The indices of the entries to build: all but directories that one of the toolchain's top directories will be
    mounted over, unless they are at or below one of the client's own `places` there.
    """
    below = tuple(place + b"/" for place in places)
    return [
        index
        for index, entry in enumerate(entries)
        if entry.kind not in {Kind.DIRECTORY, Kind.SHARED_TREE}
        or _top(entry.path) not in taken.tops
        or (entry.path + b"/").startswith(below)
    ]


def _judge_shared_trees(entries: Iterable[Entry], taken: ToolchainTree) -> None:
    """Checks that no shared tree hides files of the toolchain or the client."""
    shared_trees = {entry.path for entry in entries if entry.kind is Kind.SHARED_TREE}
    for path in shared_trees & taken.claimed:
        _refuse(path, "a shared tree would hide the toolchain's files")
    inside = tuple(path + b"/" for path in shared_trees)
    seen: set[bytes] = set()
    for entry in entries if shared_trees else ():
        if entry.path.startswith(inside) or (entry.path in shared_trees and entry.path in seen):
            _refuse(entry.path, "a shared tree is there")
        seen.add(entry.path)


class _Survey:
    """Examines each directory on the way to one tree's entries once."""

    def __init__(self, taken: ToolchainTree) -> None:
        self._taken = taken
        self._met: dict[bytes, bytes] = {b"": b""}
        self._judged: dict[bytes, bytes] = {}
        self._clear = {b""}

    def place(self, entry: Entry) -> bytes:
        """Where this entry, or a directory above it, is mounted; empty if it is not inside the toolchain's top
        directories, or is a directory or link that the toolchain has as well.

        Raises:
            PathError: it may not be there.
        """
        path, kind, taken = entry.path, entry.kind, self._taken
        top = _top(path)
        if path.count(b"/") > limits.PATH_DEPTH:
            _refuse(path, f"more than {limits.PATH_DEPTH} components")
        if top in _NEVER and kind is not Kind.DIRECTORY:
            _refuse(path, "no client file may be there")
        if top not in taken.tops:
            self._outside(entry)
            return b""
        if kind is Kind.DIRECTORY:
            return self._meeting_place(path)
        if kind is Kind.SHARED_TREE:
            return self._judge(path, path)
        if _same_link(entry, taken):
            return b""
        parent = path[: path.rindex(b"/")]
        if _may_stand(entry, parent, taken):
            return self._own_place(path, parent)
        place = self._judged.get(parent)
        if place is None:
            place = self._judged[parent] = self._judge(path, parent)
        return place

    def _judge(self, path: bytes, parent: bytes) -> bytes:
        """Where the directory of a client's file, or a shared tree, is mounted.

        Raises:
            PathError: it may not be there.
        """
        taken = self._taken
        place = self._own_place(path, parent)
        if parent in taken.includes or any(parent.startswith(include + b"/") for include in taken.includes):
            return place
        above = [folder for folder in (*ancestors(parent), parent) if folder in taken.guarded]
        if above:
            below = parent[len(above[-1]) :].split(b"/")
            if not any(_INCLUDE.fullmatch(name) for name in below):
                _refuse(path, f"the toolchain looks for its own files below {plain_path(above[-1])}")
        return place

    def _own_place(self, path: bytes, parent: bytes) -> bytes:
        """Where a directory that is not wholly the toolchain's is mounted.

        Raises:
            PathError: it is the toolchain's.
        """
        place = self._meeting_place(parent)
        if not place:
            _refuse(path, "that directory is the toolchain's")
        return place

    def _meeting_place(self, folder: bytes) -> bytes:
        """The topmost directory on the way to `folder` that the toolchain's tree lacks; empty if it has them all."""
        place = self._met.get(folder)
        if place is None:
            place = self._meeting_place(folder.rpartition(b"/")[0])
            if not place:
                if folder in self._taken.taken:
                    _refuse(folder, "it is one of the toolchain's files")
                if folder not in self._taken.folders and folder[1:] not in self._taken.tops:
                    place = folder
            self._met[folder] = place
        return place

    def _outside(self, entry: Entry) -> None:
        self._below_no_link(entry.path.rpartition(b"/")[0])
        if entry.path in self._taken.taken and not _same_link(entry, self._taken):
            _refuse(entry.path, "it is one of the toolchain's links")

    def _below_no_link(self, folder: bytes) -> None:
        if folder not in self._clear:
            self._below_no_link(folder.rpartition(b"/")[0])
            if folder in self._taken.taken:
                _refuse(folder, "it is one of the toolchain's links")
            self._clear.add(folder)


def _may_stand(entry: Entry, parent: bytes, taken: ToolchainTree) -> bool:
    """Whether this is one of the files that may be among a toolchain's own."""
    if entry.kind is Kind.FILE and (entry.path, entry.blob) in taken.catalogues:
        return True
    mark = _WAYMARK.get(entry.kind)
    return mark is not None and parent not in taken.guarded and mark.fullmatch(entry.path) is not None


def _same_link(entry: Entry, taken: ToolchainTree) -> bool:
    there = taken.taken.get(entry.path)
    return there is not None and there.kind is Kind.LINK and entry.kind is Kind.LINK and there.blob == entry.blob


def _top(path: bytes) -> bytes:
    return path[1:].partition(b"/")[0]


def _refuse(path: bytes, why: str) -> NoReturn:
    raise PathError(f"{plain_path(path)} in the job's tree: {why}")
