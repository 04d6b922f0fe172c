"""What one compile reads: from the compiler's own list to a manifest, and what must stay true for it to hold.

The list names the files that were found. Where the compiler looked before it found them is part of the answer as well:
`Watch` keeps the names that a directory must not gain or lose.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import zstandard

from securecc.client.crossing import Crossings
from securecc.client.fingerprint import Fingerprint, Fingerprints
from securecc.client.listing import Listing, Listings
from securecc.compiler.directives import needs_local, scan
from securecc.words import limits, manifest
from securecc.words.errors import StaysLocal
from securecc.words.manifest import Entry, Kind, Manifest, Role


@dataclass(frozen=True, slots=True)
class Search:
    """Where this compile looks for headers, absolute as spelled: every -I and its kin that exists or not, the
    compiler's own directories, those of CPATH. `forced` are the names that -include and -imacros ask for.
    """

    cwd: bytes
    directories: tuple[bytes, ...]
    forced: tuple[bytes, ...] = ()
    crossed: tuple[bytes, ...] = ()
    macros: tuple[bytes, ...] = ()
    dated: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """`present` of `names` are in the directory of `listing`, the others are not."""

    listing: Listing
    names: frozenset[bytes]
    present: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Inputs:
    """A manifest ready to be sent, and what it rests on.

    `paths[i]` is the physical file whose content entry i names (None for directories and links). `lasting` is false
    where a later compile cannot rely on this one: a name that a macro makes was looked for.
    """

    digest: bytes
    compressed: bytes
    entries: tuple[Entry, ...]
    size: int
    files: tuple[Fingerprint, ...]
    directories: tuple[tuple[bytes, tuple[int, int]], ...]
    links: tuple[tuple[bytes, bytes], ...]
    watches: tuple[Watch, ...]
    lasting: bool


class Gatherer:
    """Makes Inputs. One for an agent's life, for the sake of what it remembers of files and directories."""

    def __init__(self, fingerprints: Fingerprints, listings: Listings) -> None:
        self._fingerprints = fingerprints
        self._listings = listings
        self._compressor = zstandard.ZstdCompressor(level=1)

    def gather(self, listed: Iterable[bytes], search: Search) -> Inputs:
        """`listed` are the paths that `gcc -M` names, relative ones from the working directory.

        Raises StaysLocal when something that is read cannot be shown to a remote compiler exactly.
        """
        crossings = Crossings()
        files: dict[bytes, tuple[Fingerprint, Role]] = {}
        around: dict[bytes, None] = {}
        for spelled in listed:
            path = absolute(spelled, search.cwd)
            place = crossings.file(path)
            if place not in files:
                files[place] = (self._fingerprints.look(place), Role.READ)
            around[path.rpartition(b"/")[0] or b"/"] = None
        wanted = self._wanted(files.values(), search)
        directories = dict.fromkeys((*search.directories, search.cwd))
        for directory in (*directories, *search.crossed):
            crossings.directory(directory)
        directories.update(around)
        watches = self._watch(directories, wanted.names)
        self._add_asked(crossings, files, directories, wanted)
        return self._inputs(crossings, files, watches, lasting=wanted.lasting)

    def _wanted(self, files: Iterable[tuple[Fingerprint, Role]], search: Search) -> "_Wanted":
        names: set[bytes] = set(search.forced)
        asked: set[bytes] = set()
        shown: set[bytes] = set()
        lasting = True
        read = [self._fingerprints.directives(fingerprint) for fingerprint, _ in files]
        for found in (*read, scan(b"\n".join(search.macros))):
            refusal = needs_local(found, dated=search.dated)
            if refusal is not None:
                raise refusal
            names.update(include.spelled for include in found.includes)
            asked.update(question.spelled for question in found.asked)
            shown.update(found.shown)
            lasting = lasting and not found.computed_include
        names |= asked
        return _Wanted(frozenset(names), frozenset(asked), frozenset(shown), lasting)

    def _watch(self, directories: Iterable[bytes], names: frozenset[bytes]) -> tuple[Watch, ...]:
        by_prefix: dict[bytes, set[bytes]] = {}
        for name in names:
            head, _, tail = name.rpartition(b"/")
            by_prefix.setdefault(head, set()).update((tail, tail + b".gch"))
        asked: dict[bytes, set[bytes]] = {}
        listings: dict[bytes, Listing] = {}
        for directory in directories:
            for prefix, tails in by_prefix.items():
                self._watch_one(_under(directory, prefix), tails, asked, listings)
        watches = []
        for path, tails in asked.items():
            listing = listings[path]
            present = listing.names & tails
            for name in present:
                if name.endswith(b".gch"):
                    raise StaysLocal("precompiled-header", f"{os.fsdecode(path)}/{os.fsdecode(name)} would be used")
            watches.append(Watch(listing, frozenset(tails), frozenset(present)))
        return tuple(watches)

    def _watch_one(
        self, path: bytes, tails: set[bytes], asked: dict[bytes, set[bytes]], listings: dict[bytes, Listing]
    ) -> None:
        """Watches `tails` in the directory, or, where there is none, the first name that is missing on the way."""
        listing = listings.get(path) or self._listings.look(path)
        while listing is None:
            path, _, missing = path.rpartition(b"/")
            path, tails = path or b"/", {missing}
            listing = listings.get(path) or self._listings.look(path)
        listings[path] = listing
        asked.setdefault(path, set()).update(tails)

    def _add_asked(
        self,
        crossings: Crossings,
        files: dict[bytes, tuple[Fingerprint, Role]],
        directories: Iterable[bytes],
        wanted: "_Wanted",
    ) -> None:
        """Files that the compile may see without including them."""
        for name in wanted.asked:
            for directory in directories:
                path = _under(directory, name)
                if os.path.isfile(path):
                    place = crossings.file(path)
                    files.setdefault(place, (self._fingerprints.look(place), Role.PRESENT))
        for name in wanted.shown:
            path = absolute(name, next(iter(directories)))
            if os.path.isfile(path):
                raise StaysLocal("line", f"#line names {os.fsdecode(path)}, which a message could quote")

    def _inputs(
        self,
        crossings: Crossings,
        files: dict[bytes, tuple[Fingerprint, Role]],
        watches: tuple[Watch, ...],
        *,
        lasting: bool,
    ) -> Inputs:
        entries = [
            Entry(path, Kind.DIRECTORY, mode=0o755, role=Role.PRESENT) for path in crossings.directories if path != b"/"
        ]
        entries += [Entry(p, Kind.LINK, target, mode=0o777, role=Role.PRESENT) for p, target in crossings.links.items()]
        inodes: dict[tuple[int, int], int] = {}
        for place, (seen, role) in files.items():
            shared = inodes.setdefault(seen.stamp[:2], len(inodes) + 1) if seen.links > 1 else 0
            entries.append(_file_entry(place, seen, role, shared))
        entries.sort(key=lambda entry: entry.path)
        if len(entries) > limits.MANIFEST_ENTRIES:
            raise StaysLocal("input", f"the compile reads more than {limits.MANIFEST_ENTRIES} files")
        encoded = manifest.encode(Manifest(tuple(entries)))
        return Inputs(
            digest=manifest.digest(encoded),
            compressed=self._compressor.compress(encoded),
            entries=tuple(entries),
            size=sum(entry.size for entry in entries),
            files=tuple(seen for seen, _ in files.values()),
            directories=tuple(crossings.directories.items()),
            links=tuple(crossings.links.items()),
            watches=watches,
            lasting=lasting,
        )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """All names that the files ask for: `asked` without including, `shown` by #line."""

    names: frozenset[bytes]
    asked: frozenset[bytes]
    shown: frozenset[bytes]
    lasting: bool


def absolute(path: bytes, cwd: bytes) -> bytes:
    """`path` from `cwd`, as spelled: nothing is normalised, for `a/../b` is `b` only where `a` exists."""
    return path if path.startswith(b"/") else _under(cwd, path)


def _under(directory: bytes, name: bytes) -> bytes:
    if not name:
        return directory
    if name.startswith(b"/"):
        return name
    return b"/" + name if directory == b"/" else directory + b"/" + name


def _file_entry(place: bytes, seen: Fingerprint, role: Role, shared: int) -> Entry:
    return Entry(place, Kind.FILE, seen.digest, seen.stamp[2], seen.mode & 0o666, seen.stamp[3], shared, role)
