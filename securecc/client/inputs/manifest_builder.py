"""What one compile reads: from the compiler's own list to a manifest, and what must stay true for it to hold.

The list names the files that were found. Where the compiler looked before it found them is part of the answer as well
(see `securecc.client.inputs.name_watch`), and so is every other file that it could have found under the same names.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import zstandard

from securecc.client.inputs.assembler_inputs import Assembling
from securecc.client.inputs.directory_cache import DirectoryCache
from securecc.client.inputs.file_cache import FileCache, FileFacts
from securecc.client.inputs.has_include import HasIncludeQueries
from securecc.client.inputs.include_scanner import PREINCLUDED, Chain, IncludeScanner, Where
from securecc.client.inputs.input_set import InputSet
from securecc.client.inputs.interning import Interner
from securecc.client.inputs.name_watch import NameWatch, Watching, under
from securecc.client.inputs.special_files import NOTHING
from securecc.compiler.source.directives import STAMP, Directives, needs_local, redefined, scan
from securecc.model import limits, manifest
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Entry, Kind, Manifest, Role
from securecc.model.messages import SharedTree

_STDIN = b"<stdin>"  # by which gcc and clang call it

Directories = tuple[tuple[bytes, tuple[int, int]], ...]
"""Physical directories with the device and inode of each."""


@dataclass(frozen=True, slots=True)
class Search:
    """Where this compile looks for headers, absolute as spelled: every -I and its kin that exists or not, the
    compiler's own directories, those of CPATH. `forced` are the names that -include and -imacros ask for. `chain` is
    the order in which the compiler looks. `shown` are files that are read if they are there, and listed nowhere. What
    lies in one of `shared_trees` does not travel, and does not change. `assembled` says that the source is assembly,
    `marked` that `shown` has every name that #line may give. Of the directories `around` every name may count.
    """

    cwd: bytes
    directories: tuple[bytes, ...]
    forced: tuple[bytes, ...] = ()
    crossed: tuple[bytes, ...] = ()
    macros: tuple[bytes, ...] = ()
    dated: bool = False
    chain: Chain = field(default_factory=Chain)
    shown: tuple[bytes, ...] = ()
    shared_trees: tuple[SharedTree, ...] = ()
    assembled: bool = False
    marked: bool = False
    around: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """A manifest ready to be sent, and what it rests on.

    `natures` are paths that are there and no files to the compiler, with what they are (see `watch.nature`). `asked`
    says that the compiler itself named the files. Where it was not asked, `reached` maps the files that a run may
    read, as spelled, to the places of the manifest, and `learned` are those that one has read. `clocked` says that a
    file may tell the time of day. `stamped` are the times of all texts (seconds), where one may say its own. `given`
    is what stands for standard input in the manifest.
    """

    digest: bytes
    entries: tuple[Entry, ...]
    size: int
    files: tuple[FileFacts, ...]
    directories: Directories
    links: tuple[tuple[bytes, bytes], ...]
    watches: tuple[NameWatch, ...]
    natures: tuple[tuple[bytes, int], ...] = ()
    asked: bool = True
    reached: tuple[tuple[bytes, bytes], ...] = ()
    learned: tuple[bytes, ...] = ()
    clocked: bool = False
    stamped: tuple[int, ...] = ()
    given: bytes = b""


def packed(inputs: Inputs) -> bytes:
    """The manifest as it is sent, compressed. Made when it is needed, for most servers know most manifests."""
    return _compressor.compress(manifest.encode(Manifest(inputs.entries)))


_compressor = zstandard.ZstdCompressor(level=1)


def learn(inputs: Inputs, read: bytes) -> Inputs:
    """Inputs within whose reach a run has read these (bits as in `messages.Result`): the next one must read the same.

    What is empty, or lies in a shared tree, counts as read, for nothing tells.
    """
    unread = {entry.path for index, entry in enumerate(inputs.entries) if entry.size and not _bit(read, index)}
    learned = tuple(spelled for spelled, place in inputs.reached if place not in unread)
    return replace(inputs, reached=(), learned=learned)


def _bit(bits: bytes, index: int) -> int:
    return bits[index >> 3] >> (index & 7) & 1 if index >> 3 < len(bits) else 0


class ManifestBuilder:
    """Makes Inputs. One for an agent's life, for the sake of what it remembers of files and directories."""

    def __init__(self, fingerprints: FileCache, listings: DirectoryCache) -> None:
        self._fingerprints = fingerprints
        self._listings = listings
        self._shared = Interner()
        self._questions = HasIncludeQueries(fingerprints)

    def gather(self, listed: Iterable[bytes], search: Search) -> Inputs:
        """`listed` are the paths that `gcc -M` names, relative ones from the working directory.

        Raises StaysLocal when something that is read cannot be shown to a remote compiler exactly.
        """
        scene = self._scene(search)
        for spelled in listed:
            if spelled != NOTHING:
                scene.read(absolute(spelled, search.cwd))
        return self._finished(scene, search, Watching(self._listings, self._shared))

    def reach(self, source: bytes, search: Search) -> Inputs:
        """All that the source (absolute, as spelled) may read, without asking the compiler.

        Raises StaysLocal when that cannot be told or would be too much; then the compiler must be asked.
        """
        scene = self._scene(search)
        watching = Watching(self._listings, self._shared)

        def take(path: bytes) -> tuple[Directives, Where]:
            seen = scene.read(path, Role.READ if path == source else Role.MAY_READ)
            folder = scene.crossings.directory(path.rpartition(b"/")[0] or b"/")
            return self._fingerprints.directives(seen), (seen.path, folder)

        IncludeScanner(search.chain, watching.look, take).walk(source, search.forced, search.cwd)
        inputs = self._finished(scene, search, watching)
        one = self._shared.one
        reached = tuple((one(spelled), one(place)) for spelled, place in scene.spelled.items())
        return replace(inputs, asked=False, reached=reached)

    def given(self, content: bytes, search: Search) -> Inputs:
        """All that standard input may read; it is never asked of the compiler, nor remembered.

        Raises StaysLocal where that cannot be told.
        """
        scene, watching = self._scene(search), Watching(self._listings, self._shared)
        source, seen = absolute(_STDIN, search.cwd), self._fingerprints.given(content)
        here = scene.crossings.directory(search.cwd)
        said = self._fingerprints.directives(seen)
        if said.assembles or said.joins or said.unnamed or said.imports or STAMP in said.times or b"once" in content:
            raise StaysLocal("standard-input", "standard input may have more read, or be compared with headers")

        def take(path: bytes) -> tuple[Directives, Where]:
            if path == source:
                return said, (source, here)
            found = scene.read(path, Role.MAY_READ)
            return self._fingerprints.directives(found), (found.path, scene.crossings.directory(os.path.dirname(path)))

        scene.give(seen)
        IncludeScanner(search.chain, watching.look, take).walk(source, search.forced, search.cwd)
        shown = (*search.shown, _STDIN)  # where gcc looks for the lines that it quotes
        return replace(self._finished(scene, replace(search, shown=shown), watching), given=content)

    def _scene(self, search: Search) -> InputSet:
        scene = InputSet(self._fingerprints, search.cwd)
        for directory in (*search.directories, search.cwd, *search.crossed):
            scene.cross(directory)
        return scene

    def _finished(self, scene: InputSet, search: Search, watching: Watching) -> Inputs:
        directories = (search.cwd, *scene.around, *search.directories)
        assembling = Assembling(scene, watching, self._fingerprints, directories)
        assembled = assembling.look(search.macros, assembly_itself=search.assembled)
        wanted = self._wanted(scene, search, computed=assembled.hidden)
        watching.look_for(
            wanted.names | assembled.names, dict.fromkeys((*search.directories, search.cwd, *scene.around))
        )
        for name in wanted.shown:
            watching.look_at(scene.show(absolute(name, search.cwd)))
        watching.look_around(search.around)
        watches = watching.watches()
        scene.add_candidates(watches, wanted.asked)
        for path in watching.blocking():
            scene.note_nature(path)
        return replace(
            self._inputs(scene, watches, search.shared_trees), clocked=wanted.clocked, stamped=wanted.stamped
        )

    def _wanted(self, scene: InputSet, search: Search, *, computed: bool) -> "_Wanted":
        names: set[bytes] = {PREINCLUDED, *search.forced}
        asked: set[bytes] = set()
        shown: set[bytes] = set(search.shown)
        clocked = False
        redefinitions, macros = zip(*map(redefined, search.macros), strict=True) if search.macros else ((), ())
        given = frozenset(filter(None, redefinitions))
        texts = [seen for place, (seen, _) in scene.files.items() if place not in scene.embedded]
        stamped = False
        for found in (*map(self._fingerprints.directives, texts), scan(b"\n".join(macros))):
            refusal = needs_local(found, dated=search.dated, stamped=True, marked=search.marked, given=given)
            if refusal is not None:
                raise refusal
            names.update(include.spelled for include in found.includes)
            asked.update(question.spelled for question in found.asked)
            shown.update(found.shown)
            computed = computed or found.computed_include
            clocked = clocked or bool(found.times - given - {STAMP})
            stamped = stamped or STAMP in found.times - given
        if computed:
            names |= _possible_names(
                (*scene.spelled, *scene.embedded), (*search.directories, search.cwd, *scene.around)
            )
        asked.update(self._questions.asked([seen for seen, _ in scene.files.values()], search.macros))
        names |= asked
        if any(b"\0" in name for name in (*names, *shown)):
            raise StaysLocal("input", "the name of an included file holds a NUL")
        names.discard(NOTHING)
        times = tuple(sorted({seen.stamp[3] // 10**9 for seen in texts})) if stamped else ()
        base_names = frozenset(name.rpartition(b"/")[2] for name in asked)
        return _Wanted(frozenset(names), base_names, frozenset(shown), clocked, times)

    def _inputs(self, scene: InputSet, watches: tuple[NameWatch, ...], shared_trees: tuple[SharedTree, ...]) -> Inputs:
        crossings = scene.crossings
        scene.leave_out(tuple(tree.path for tree in shared_trees))
        if len(set(crossings.directories.values())) < len(crossings.directories):
            raise StaysLocal("input", "one directory is mounted in two places, which the compiler takes for one")
        entries = [
            Entry(path, Kind.DIRECTORY, mode=0o755, role=Role.PRESENT) for path in crossings.directories if path != b"/"
        ]
        entries += [Entry(p, Kind.LINK, target, mode=0o777, role=Role.PRESENT) for p, target in crossings.links.items()]
        entries += [
            Entry(tree.path, Kind.SHARED_TREE, tree.digest, mode=0o755, role=Role.PRESENT) for tree in shared_trees
        ]
        inodes: dict[tuple[int, int], int] = {}
        for place, (seen, role) in scene.files.items():
            shared = inodes.setdefault(seen.stamp[:2], len(inodes) + 1) if seen.links > 1 else 0
            entries.append(_file_entry(place, seen, role, shared))
        entries.sort(key=lambda entry: entry.path)
        if len(entries) > limits.MANIFEST_ENTRIES:
            raise StaysLocal("input", f"the compile reads more than {limits.MANIFEST_ENTRIES} files")
        entries = [self._shared.one(entry) for entry in entries]
        one = self._shared.one
        return Inputs(
            digest=manifest.digest(manifest.encode(Manifest(tuple(entries)))),
            entries=tuple(entries),
            size=sum(entry.size for entry in entries),
            files=tuple(seen for seen, _ in scene.files.values()),
            directories=tuple(one(item) for item in crossings.directories.items()),
            links=tuple(one(item) for item in crossings.links.items()),
            watches=tuple(watch for watch in watches if not scene.left_out(watch.listing.path)),
            natures=tuple(one(item) for item in scene.natures.items()),
        )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """All names that the files ask for; `asked` are the base names of those asked for without including, `shown` the
    names in #line; `clocked` and `stamped` as in `Inputs`.
    """

    names: frozenset[bytes]
    asked: frozenset[bytes]
    shown: frozenset[bytes]
    clocked: bool
    stamped: tuple[int, ...]


def _possible_names(paths: Iterable[bytes], directories: Iterable[bytes]) -> set[bytes]:
    """Where a macro named a file: every name under which one of `paths` could have been found. The compiler spells a
    path as directory, slash, name; for a system directory it may take a shorter real path.
    """
    spelled = {_plain(path) for path in paths}
    names: set[bytes] = set()
    for directory in directories:
        for start in {_plain(directory), os.path.realpath(directory)}:
            below = start.rstrip(b"/") + b"/"
            names.update(path[len(below) :] for path in spelled if path.startswith(below))
    return names


def _plain(path: bytes) -> bytes:
    return b"/" + b"/".join(part for part in path.split(b"/") if part not in {b"", b"."})


def absolute(path: bytes, cwd: bytes) -> bytes:
    """`path` from `cwd`, as spelled: nothing is normalised, for `a/../b` is `b` only where `a` exists."""
    return path if path.startswith(b"/") else under(cwd, path)


def _file_entry(place: bytes, seen: FileFacts, role: Role, shared: int) -> Entry:
    return Entry(place, Kind.FILE, seen.digest, seen.stamp[2], seen.mode & 0o666, seen.stamp[3], shared, role)
