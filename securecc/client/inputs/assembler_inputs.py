"""What the assembler, or #embed, may read for a compile: files that few lists of the compiler's name.

A name is looked for in the working directory and in the directories of -I. Where it is put together, by macros or
from pieces of strings, each word of the texts that is a file's name may be meant: more is found than is read, and a
name that is found in one directory is looked for in all. What is found nowhere fails, there as here.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from securecc.client.inputs.file_cache import FileCache, FileFacts
from securecc.client.inputs.input_set import InputSet
from securecc.client.inputs.name_watch import Watching, nature, under
from securecc.compiler.source import assembler_directives
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Role

_ELSEWHERE = (b"/dev/", b"/proc/", b"/sys/", b"/etc/")
"""No file of a client's is shown there; what is guessed need not be looked for."""


@dataclass(frozen=True, slots=True)
class AssemblerInputs:
    """The `names` that were looked for; `hidden` says that there may be others."""

    names: frozenset[bytes]
    hidden: bool


class Assembling:
    """Adds to a scene, in which all else that is read is noted, what is read beside it. `directories` are searched."""

    def __init__(
        self, scene: InputSet, watching: Watching, fingerprints: FileCache, directories: Iterable[bytes]
    ) -> None:
        self._scene = scene
        self._watching = watching
        self._fingerprints = fingerprints
        self._directories = tuple(dict.fromkeys(directories))
        self._names: set[bytes] = set()

    def look(self, macros: Iterable[bytes], *, assembly_itself: bool) -> AssemblerInputs:
        """`macros` are texts of the command line; `assembly_itself` says that the source is no C. Raises StaysLocal
        where a name is put together that cannot be guessed.
        """
        texts = {seen.path: seen for seen, _ in self._scene.files.values()}
        hidden = unnamed = False
        todo = list(texts.values())
        while todo:
            seen = todo.pop()
            found = self._fingerprints.directives(seen)
            hidden = hidden or (found.joins if assembly_itself else found.assembles)
            unnamed = unnamed or found.unnamed
            for name in found.embedded:
                for path in self._places(name):
                    self._scene.embed(path)
            for name in found.assembled:
                for path in self._places(name):
                    seen = self._scene.read(path, Role.MAY_READ)
                    if seen.path not in texts:
                        texts[seen.path] = seen
                        todo.append(seen)
        if hidden and not self._guess([*map(_content, texts.values()), *macros]) and unnamed:
            raise StaysLocal("assembler", "may have the assembler read a file whose name is put together")
        return AssemblerInputs(frozenset(self._names), hidden)

    def _places(self, name: bytes) -> list[bytes]:
        """Where a file of this name is, in every directory."""
        if name in self._names:
            return []
        self._names.add(name)
        return [path for path in (under(directory, name) for directory in self._directories) if self._listed(path)]

    def _listed(self, path: bytes) -> bool:
        folder, _, name = path.rpartition(b"/")
        listing = self._watching.look(folder or b"/")
        return listing is not None and name in listing.names

    def _guess(self, texts: Iterable[bytes]) -> int:
        """Adds every file that a word of the texts names; how many of them there are."""
        words = set[bytes]().union(*map(assembler_directives.words, texts))
        if any(map(assembler_directives.leads_upwards, words)):
            raise StaysLocal("assembler", "the name of a file for the assembler may be put together from `..`")
        before = len(self._scene.files)
        for name in self._files_among(words - self._names):
            for path in self._places(name):
                if nature(path) == stat.S_IFREG:
                    self._scene.embed(path)
            if len(self._scene.files) > limits.REACHED_FILES:
                raise StaysLocal("assembler", "too many words name files that the assembler may read")
        return len(self._scene.files) - before

    def _files_among(self, words: Iterable[bytes]) -> set[bytes]:
        """The words that name something, in whatever directory."""
        by_head: dict[bytes, set[bytes]] = {}
        for word in words:
            head, slash, tail = word.rpartition(b"/")
            if tail and not word.startswith(_ELSEWHERE):
                by_head.setdefault(head + slash, set()).add(tail)
        found: set[bytes] = set()
        for head, tails in by_head.items():
            for directory in (head,) if head.startswith(b"/") else self._directories:
                listing = self._watching.look(under(directory, head).rstrip(b"/") or b"/")
                found.update(head + tail for tail in (listing.names & tails if listing else ()))
        return found


def _content(seen: FileFacts) -> bytes:
    """Whatever stands there now: it is the names that count."""
    try:
        with open(seen.path, "rb") as file:
            return file.read(limits.BLOB)
    except OSError as error:
        raise StaysLocal("changed", f"{os.fsdecode(seen.path)}: {error.strerror}") from error
