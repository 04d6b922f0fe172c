"""Names that directories must not gain or lose: where a compiler looked for a file before it found one, or found none.

A name may exist and yet not be a file to the compiler: a directory, a dangling symlink. The type of such a name must be
watched as well, since a directory's listing does not show it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from securecc.client.inputs.caches.directory_cache import DirectoryCache, Listing
from securecc.client.inputs.caches.interning import Interner
from securecc.client.inputs.spelled_paths import under
from securecc.model.errors import StaysLocal


@dataclass(frozen=True, slots=True)
class NameWatch:
    """`present` of `names` are in the directory of `listing`, the others are not. If it is watched `whole`, it must not
    gain or lose any name.

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


class NameWatchBuilder:
    """Collects the names that one compile watches, directory by directory."""

    def __init__(self, directories: DirectoryCache, interner: Interner) -> None:
        self._directories = directories
        self._interner = interner
        self._listings: dict[bytes, Listing | None] = {}
        self._names: dict[bytes, list[tuple[bytes, ...]]] = {}
        self._obstacles: set[bytes] = set()
        self._whole: set[bytes] = set()

    def watch_names(self, names: Iterable[bytes], directories: Iterable[bytes]) -> None:
        """Watches every name in every directory, and the precompiled header that would be used instead of it. A name
        may include directories. A missing directory is watched for, too.

        Raises:
            StaysLocal: a directory cannot be listed.
        """
        by_prefix: dict[bytes, set[bytes]] = {b"": set()}
        for name in names:
            head, _, tail = name.rpartition(b"/")
            by_prefix.setdefault(head, set()).add(tail)
        groups = [(prefix, self._interner.one(tuple(sorted(tails)))) for prefix, tails in by_prefix.items()]
        for directory in directories:
            for prefix, tails in groups:
                self._add(under(directory, prefix), tails)

    def watch_path(self, path: bytes) -> None:
        """Watches one path.

        Raises:
            StaysLocal: a directory on the way cannot be listed.
        """
        head, _, tail = path.rpartition(b"/")
        self._add(head or b"/", (tail,))

    def watch_whole(self, directories: Iterable[bytes]) -> None:
        """Watches all names in those of the directories that exist.

        Raises:
            StaysLocal: one cannot be listed.
        """
        self._whole.update(path for path in directories if self.listing(path) is not None)

    def listing(self, path: bytes) -> Listing | None:
        """A directory's listing, the same for the whole compile; None if there is no such directory.

        Raises:
            StaysLocal: it cannot be listed.
        """
        if path not in self._listings:
            self._listings[path] = self._directories.listing(path)
        return self._listings[path]

    def directories(self) -> list[bytes]:
        """All directories, as spelled, in which a name was looked for and that exist."""
        return [path for path, listing in self._listings.items() if listing is not None]

    def watches(self) -> tuple[NameWatch, ...]:
        """All that is watched.

        Raises:
            StaysLocal: a precompiled header would be used.
        """
        found = []
        for path, groups in self._names.items():
            listing = self._listings[path]
            assert listing is not None
            names = groups[0] if len(groups) == 1 else self._interner.one(tuple(sorted(set().union(*groups))))
            for name in listing.precompiled.intersection(names):
                used = os.fsdecode(under(path, name))
                raise StaysLocal("precompiled-header", f"the compiler would use a precompiled form of {used}")
            found.append(NameWatch(listing, names, self._interner.one(listing.names.intersection(names))))
        for path in sorted(self._whole):
            listing = self._listings[path]
            assert listing is not None
            found.append(NameWatch(listing, (), frozenset(), whole=True))
        return tuple(found)

    def obstacles(self) -> frozenset[bytes]:
        """Existing paths that are not directories, although a name's way leads through them."""
        return frozenset(self._obstacles)

    def _add(self, path: bytes, names: tuple[bytes, ...]) -> None:
        """Watches `names` in the directory, or, if there is none, the first name that is missing on the way."""
        listing = self.listing(path)
        way = path
        while listing is None:
            way = path
            path, _, missing = path.rpartition(b"/")
            path, names = path or b"/", (missing,)
            listing = self.listing(path)
            if listing is not None and missing in listing.names:
                self._obstacles.add(way)
        groups = self._names.setdefault(path, [])
        if names not in groups:
            groups.append(names)
