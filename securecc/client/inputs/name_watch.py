"""Names that directories must not gain or lose: where a compiler looked for a file before it found one, or found none.

A name may be there and yet be no file to the compiler: a directory, a symlink that leads nowhere. What such a name is
has to be watched as well, for no directory's listing tells.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from securecc.client.inputs.directory_cache import DirectoryCache, Listing
from securecc.client.inputs.interning import Interner
from securecc.model.errors import StaysLocal


@dataclass(frozen=True, slots=True)
class NameWatch:
    """`present` of `names` are in the directory of `listing`, the others are not. Where it is watched `whole`, it must
    hold the very names that it holds.

    An agent remembers thousands of these: `names` is a tuple, which takes a fraction of a set's memory.
    """

    listing: Listing
    names: tuple[bytes, ...]
    present: frozenset[bytes]
    whole: bool = False

    def holds_for(self, listing: Listing) -> bool:
        """Whether the directory as it is now has gained or lost none of the names, nor a precompiled form of one."""
        now = listing.names
        if self.whole:
            return now == self.listing.names
        if self.present != {name for name in self.names if name in now}:
            return False
        return not listing.precompiled or listing.precompiled.isdisjoint(self.names)


def nature(path: bytes) -> int:
    """What a compiler would find there: the file type bits of stat(2), which follows symlinks; 0 for nothing."""
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except OSError:
        return 0


class Watching:
    """The names of one compile, directory by directory."""

    def __init__(self, listings: DirectoryCache, shared: Interner) -> None:
        self._listings = listings
        self._shared = shared
        self._known: dict[bytes, Listing | None] = {}
        self._names: dict[bytes, list[tuple[bytes, ...]]] = {}
        self._blocking: set[bytes] = set()
        self._whole: set[bytes] = set()

    def look_for(self, names: Iterable[bytes], directories: Iterable[bytes]) -> None:
        """Watches every name in every directory, and the precompiled header that would be used instead of it. A name
        may have directories of its own. A directory that is not there is watched for, too. Raises StaysLocal where a
        directory cannot be listed.
        """
        by_prefix: dict[bytes, set[bytes]] = {b"": set()}
        for name in names:
            head, _, tail = name.rpartition(b"/")
            by_prefix.setdefault(head, set()).add(tail)
        groups = [(prefix, self._shared.one(tuple(sorted(tails)))) for prefix, tails in by_prefix.items()]
        for directory in directories:
            for prefix, tails in groups:
                self._add(under(directory, prefix), tails)

    def look_at(self, path: bytes) -> None:
        """Watches one path."""
        head, _, tail = path.rpartition(b"/")
        self._add(head or b"/", (tail,))

    def look_around(self, directories: Iterable[bytes]) -> None:
        """Watches all names in directories, where these are there."""
        self._whole.update(path for path in directories if self.look(path) is not None)

    def watches(self) -> tuple[NameWatch, ...]:
        """All that is watched. Raises StaysLocal where a precompiled header would be used."""
        found = []
        for path, groups in self._names.items():
            listing = self._known[path]
            assert listing is not None
            names = groups[0] if len(groups) == 1 else self._shared.one(tuple(sorted(set().union(*groups))))
            for name in listing.precompiled.intersection(names):
                used = os.fsdecode(under(path, name))
                raise StaysLocal("precompiled-header", f"a precompiled form of {used} would be used")
            found.append(NameWatch(listing, names, self._shared.one(listing.names.intersection(names))))
        for path in sorted(self._whole):
            listing = self._known[path]
            assert listing is not None
            found.append(NameWatch(listing, (), frozenset(), whole=True))
        return tuple(found)

    def blocking(self) -> frozenset[bytes]:
        """Paths that are there and no directories, though a name's way leads through them."""
        return frozenset(self._blocking)

    def _add(self, path: bytes, names: tuple[bytes, ...]) -> None:
        """Watches `names` in the directory, or, where there is none, the first name that is missing on the way."""
        listing = self.look(path)
        way = path
        while listing is None:
            way = path
            path, _, missing = path.rpartition(b"/")
            path, names = path or b"/", (missing,)
            listing = self.look(path)
            if listing is not None and missing in listing.names:
                self._blocking.add(way)
        groups = self._names.setdefault(path, [])
        if names not in groups:
            groups.append(names)

    def look(self, path: bytes) -> Listing | None:
        """A directory's listing, the same for the whole compile; None where there is none. Raises StaysLocal."""
        if path not in self._known:
            self._known[path] = self._listings.look(path)
        return self._known[path]


def under(directory: bytes, name: bytes) -> bytes:
    """`name` as it is found from a directory: nothing is normalised, for `a/../b` is `b` only where `a` exists."""
    if not name:
        return directory
    if name.startswith(b"/"):
        return name
    return b"/" + name if directory == b"/" else directory + b"/" + name
