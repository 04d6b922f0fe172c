"""What one compile reads: turns a list of files into a manifest and the conditions under which it stays valid.

The list names the files that were found. Where the compiler looked before it found them is part of the answer as well
(see `securecc.client.inputs.name_watch`), and so is every other file that it could have found under the same names.
"""

import os
from collections.abc import Iterable
from dataclasses import replace

from securecc.client.inputs.assembler_inputs import AssemblerScanner
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.caches.file_cache import FileCache
from securecc.client.inputs.caches.interning import Interner
from securecc.client.inputs.compile_inputs import Inputs
from securecc.client.inputs.foreseen_paths import ForeseenPaths
from securecc.client.inputs.include_scanner import PREINCLUDED, IncludeScanner, Where
from securecc.client.inputs.include_search import IncludeSearch
from securecc.client.inputs.input_set import InputSet
from securecc.client.inputs.manifest_entries import manifest_entries
from securecc.client.inputs.name_watch import NameWatch, NameWatchBuilder
from securecc.client.inputs.special_files import DEV_NULL, is_per_process
from securecc.client.inputs.spelled_paths import absolute, under, without_dots
from securecc.client.inputs.wanted_names import wanted_names
from securecc.compiler.source.directives import STAMP, Directives
from securecc.model import manifest
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Manifest, Role
from securecc.model.printable import plain_path

_STDIN = b"<stdin>"  # the name that gcc and clang give it
_SECOND = 1_000_000_000  # in nanoseconds


class ManifestBuilder:
    """Makes Inputs. An agent keeps one for life, since it remembers files and directories."""

    def __init__(self, files: FileCache, directories: DirectoryCache) -> None:
        self._files = files
        self._directories = directories
        self._interner = Interner()

    def from_list(self, listed: Iterable[bytes], search: IncludeSearch) -> Inputs:
        """`listed` are the paths that `gcc -M` names, relative ones from the working directory.

        Raises:
            StaysLocal: something that is read cannot be reproduced exactly for a remote compiler.
        """
        inputs = self._begun(search)
        for spelled in listed:
            if spelled != DEV_NULL:
                inputs.add_read(absolute(spelled, search.cwd))
        return self._finished(inputs, search, NameWatchBuilder(self._directories, self._interner))

    def from_scan(self, source: bytes, search: IncludeSearch) -> Inputs:
        """All that the source (absolute, as spelled) may read, without asking the compiler.

        Raises:
            StaysLocal: that cannot be known or would be too much; then the compiler must be asked.
        """
        inputs = self._begun(search)
        watches = NameWatchBuilder(self._directories, self._interner)

        def read(path: bytes) -> tuple[Directives, Where]:
            return self._read(inputs, path, Role.READ if path == source else Role.MAY_READ)

        foreseen = _foreseen(search).covers
        scanner = IncludeScanner(search.search_path, watches.listing, read, foreseen)
        scanner.scan(source, search.forced_includes, search.cwd)
        found = self._finished(inputs, search, watches)
        one = self._interner.one
        reachable = tuple((one(spelled), one(physical)) for spelled, physical in inputs.spelled.items())
        return replace(found, from_compiler=False, reachable=reachable)

    def from_standard_input(self, content: bytes, search: IncludeSearch) -> Inputs:
        """All that this content of standard input may read; the compiler is never asked, and nothing is remembered.

        Raises:
            StaysLocal: that cannot be known.
        """
        inputs = self._begun(search)
        watches = NameWatchBuilder(self._directories, self._interner)
        source, file = absolute(_STDIN, search.cwd), self._files.standard_input(content)
        here = inputs.walk.directory(search.cwd)
        own = self._files.directives(file)
        if own.assembles or own.joins or own.unnamed or own.imports or STAMP in own.times or b"once" in content:
            raise StaysLocal("standard-input", "standard input may read more files, or be compared with headers")

        def read(path: bytes) -> tuple[Directives, Where]:
            return (own, (source, here)) if path == source else self._read(inputs, path, Role.MAY_READ)

        inputs.add_standard_input(file)
        foreseen = _foreseen(search).covers
        scanner = IncludeScanner(search.search_path, watches.listing, read, foreseen)
        scanner.scan(source, search.forced_includes, search.cwd)
        unlisted_files = (*search.unlisted_files, _STDIN)  # where gcc looks for the lines that it quotes
        return replace(
            self._finished(inputs, replace(search, unlisted_files=unlisted_files), watches), standard_input=content
        )

    def names(self, inputs: Inputs, search: IncludeSearch, path: bytes) -> bool:
        """Whether a text of the compile names the file at this absolute path."""
        real, tail = os.path.realpath(path), path.rpartition(b"/")[2]
        named: set[bytes] = set(search.forced_includes)
        for file in inputs.files:
            text = self._files.directives(file)
            named.update(name.spelled for name in (*text.includes, *text.queried))
            named.update((*text.line_names, *text.embedded, *text.assembled))
        folders = {file.path.rpartition(b"/")[0] or b"/" for file in inputs.files}
        places = (*search.directories, search.cwd, *folders)
        alike = [name for name in named if name.rpartition(b"/")[2] == tail]
        return any(os.path.realpath(under(place, name)) == real for name in alike for place in places)

    def _read(self, inputs: InputSet, path: bytes, role: Role) -> tuple[Directives, Where]:
        file = inputs.add_read(path, role)
        directory = inputs.walk.directory(path.rpartition(b"/")[0] or b"/")
        return self._files.directives(file), (file.path, directory)

    def _begun(self, search: IncludeSearch) -> InputSet:
        inputs = InputSet(self._files)
        for directory in (*search.directories, search.cwd, *search.other_directories):
            inputs.add_directory(directory)
        return inputs

    def _finished(self, inputs: InputSet, search: IncludeSearch, watches: NameWatchBuilder) -> Inputs:
        """Adds all files that could be found in place of those that are read.

        Raises:
            StaysLocal: some of it cannot be reproduced exactly for a remote compiler.
        """
        foreseen = _foreseen(search).covers
        directories = (search.cwd, *inputs.directories, *search.directories)
        scanner = AssemblerScanner(inputs, watches, self._files, directories, foreseen)
        assembler = scanner.scan(search.macros, is_assembly=search.is_assembly)
        texts = [file for physical, (file, _) in inputs.files.items() if physical not in inputs.embedded]
        wanted = wanted_names(map(self._files.directives, texts), search)
        searched = tuple(dict.fromkeys((*search.directories, search.cwd, *inputs.directories)))
        names = {PREINCLUDED} | wanted.included | wanted.queried
        if wanted.computed or assembler.incomplete:
            names |= _possible_names((*inputs.spelled, *inputs.embedded), searched)
        if any(b"\0" in name for name in (*names, *wanted.unlisted)):
            raise StaysLocal("input", "the name of an included file contains a NUL byte")
        watches.watch_names((names - {DEV_NULL}) | assembler.names, searched)
        for name in wanted.unlisted:
            path = absolute(name, search.cwd)
            if name in search.unlisted_files or foreseen(path):
                watches.watch_path(inputs.add_unlisted(path))
        watches.watch_whole(search.watched_directories)
        for directory in watches.directories():
            if foreseen(directory + b"/") and not is_per_process(directory):
                inputs.walk.directory(directory)
        watched = watches.watches()
        inputs.add_candidates(watched, frozenset(name.rpartition(b"/")[2] for name in wanted.queried), foreseen)
        for path in watches.obstacles():
            inputs.add_file_type(path)
        timestamps = {file.stat_key.mtime_ns // _SECOND for file in texts} if wanted.stamped else ()
        return replace(
            self._inputs(inputs, watched, search),
            uses_time=wanted.uses_time,
            timestamps=tuple(sorted(timestamps)),
            unforeseen=_unforeseen(inputs.withheld, asks_more=wanted.asks_more),
        )

    def _inputs(self, inputs: InputSet, watches: tuple[NameWatch, ...], search: IncludeSearch) -> Inputs:
        inputs.exclude(tuple(tree.path for tree in search.shared_trees))
        one = self._interner.one
        walk = inputs.walk
        entries = tuple(map(one, manifest_entries(walk.directories, walk.links, inputs.files, search.shared_trees)))
        return Inputs(
            digest=manifest.digest(manifest.encode(Manifest(entries))),
            entries=entries,
            size=sum(entry.size for entry in entries),
            files=tuple(file for file, _ in inputs.files.values()),
            directories=tuple(one(item) for item in walk.directories.items()),
            links=tuple(one(item) for item in walk.links.items()),
            watches=tuple(watch for watch in watches if not inputs.excludes(watch.listing.path)),
            file_types=tuple(one(item) for item in inputs.file_types.items()),
        )


def _unforeseen(withheld: bytes, *, asks_more: bool) -> str:
    if withheld:
        return f"a text names {plain_path(withheld)}, which was not sent"
    return "a macro names a file for __has_include" if asks_more else ""


def _foreseen(search: IncludeSearch) -> ForeseenPaths:
    """What a text may name."""
    return ForeseenPaths((*search.project, search.cwd, *search.directories))


def _possible_names(paths: Iterable[bytes], directories: Iterable[bytes]) -> set[bytes]:
    """For files named by a macro: every name under which one of `paths` could have been found. The compiler spells a
    path as directory, slash, name; for a system directory it may take a shorter real path.
    """
    spelled = {without_dots(path) for path in paths}
    names: set[bytes] = set()
    for directory in directories:
        for start in {without_dots(directory), os.path.realpath(directory)}:
            below = start.rstrip(b"/") + b"/"
            names.update(path[len(below) :] for path in spelled if path.startswith(below))
    return names
