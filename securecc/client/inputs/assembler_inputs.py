"""Files that the assembler, or #embed, may read for a compile, which few compilers list.

A name is looked for in the working directory and in the directories of -I. If it is built by macros or from pieces of
strings, any word in the texts that names a file may be meant: the scan finds more than is read, and a name found in one
directory is looked for in all. A name found nowhere fails on the server as it does here.
"""

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from securecc.client.inputs.caches.file_cache import FileCache, FileFacts
from securecc.client.inputs.input_set import InputSet
from securecc.client.inputs.name_watch import NameWatchBuilder
from securecc.client.inputs.spelled_paths import under
from securecc.compiler.source import assembler_directives
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Role
from securecc.system.file_type import file_type

_NO_CLIENT_FILES = (b"/dev/", b"/proc/", b"/sys/", b"/etc/")
"""A sandbox shows no client file there, so words that name one need not be looked for."""


@dataclass(frozen=True, slots=True)
class AssemblerInputs:
    """The `names` that were looked for; `incomplete`: there may be others."""

    names: frozenset[bytes]
    incomplete: bool


class AssemblerScanner:
    """Adds what the assembler reads to the inputs of one compile, which already hold everything else."""

    def __init__(
        self,
        inputs: InputSet,
        watches: NameWatchBuilder,
        files: FileCache,
        directories: Iterable[bytes],
        foreseen: Callable[[bytes], bool] = lambda _path: True,
    ) -> None:
        """`directories` are searched; `foreseen` says whether a file may be sent because a text names it."""
        self._foreseen = foreseen
        self._inputs = inputs
        self._watches = watches
        self._files = files
        self._directories = tuple(dict.fromkeys(directories))
        self._names: set[bytes] = set()

    def scan(self, macros: Iterable[bytes], *, is_assembly: bool) -> AssemblerInputs:
        """Scans all texts of the compile. `macros` are texts of -D and -U; `is_assembly`: the source is not C.

        Raises:
            StaysLocal: a name is built in a way that cannot be guessed, or too many files may be meant.
        """
        texts = {file.path: file for file, _ in self._inputs.files.values()}
        incomplete = unnamed = False
        todo = list(texts.values())
        while todo:
            file = todo.pop()
            directives = self._files.directives(file)
            incomplete = incomplete or (directives.joins if is_assembly else directives.assembles)
            unnamed = unnamed or directives.unnamed
            for name in directives.embedded:
                for path in self._new_matches(name):
                    self._inputs.add_embedded(path)
            for name in directives.assembled:
                for path in self._new_matches(name):
                    file = self._inputs.add_read(path, Role.MAY_READ)
                    if file.path not in texts:
                        texts[file.path] = file
                        todo.append(file)
        if incomplete and not self._guess([*map(_content, texts.values()), *macros]) and unnamed:
            raise StaysLocal("assembler", "the assembler may read a file whose name is put together")
        return AssemblerInputs(frozenset(self._names), incomplete)

    def _new_matches(self, name: bytes) -> list[bytes]:
        """Where files of this name are, in every directory; none if it was looked for before."""
        if name in self._names:
            return []
        self._names.add(name)
        return [
            path
            for path in (under(directory, name) for directory in self._directories)
            if self._exists(path) and self._foreseen(path)
        ]

    def _exists(self, path: bytes) -> bool:
        directory, _, name = path.rpartition(b"/")
        listing = self._watches.listing(directory or b"/")
        return listing is not None and name in listing.names

    def _guess(self, texts: Iterable[bytes]) -> int:
        """Adds every file that a word of the texts names; returns how many there are.

        Raises:
            StaysLocal: words may lead upwards, or name too many files.
        """
        words = set[bytes]().union(*map(assembler_directives.words, texts))
        if any(map(assembler_directives.leads_upwards, words)):
            raise StaysLocal("assembler", "the name of a file for the assembler may be put together from `..`")
        before = len(self._inputs.files)
        for name in self._existing(words - self._names):
            for path in self._new_matches(name):
                if file_type(path) == stat.S_IFREG:
                    self._inputs.add_embedded(path)
            if len(self._inputs.files) > limits.REACHED_FILES:
                raise StaysLocal("assembler", f"the assembler may read more than {limits.REACHED_FILES} files")
        return len(self._inputs.files) - before

    def _existing(self, words: Iterable[bytes]) -> set[bytes]:
        """The words that name something, in any directory."""
        by_head: dict[bytes, set[bytes]] = {}
        for word in words:
            head, slash, tail = word.rpartition(b"/")
            if tail and not word.startswith(_NO_CLIENT_FILES):
                by_head.setdefault(head + slash, set()).add(tail)
        found: set[bytes] = set()
        for head, tails in by_head.items():
            for directory in (head,) if head.startswith(b"/") else self._directories:
                listing = self._watches.listing(under(directory, head).rstrip(b"/") or b"/")
                found.update(head + tail for tail in (listing.names & tails if listing else ()))
        return found


def _content(file: FileFacts) -> bytes:
    """The current content: only the names in it matter.

    Raises:
        StaysLocal: it cannot be read any more.
    """
    try:
        with open(file.path, "rb") as stream:
            return stream.read(limits.BLOB)
    except OSError as error:
        raise StaysLocal("changed", f"{os.fsdecode(file.path)}: {error.strerror}") from error
