"""Every file that the includes of a source can reach, found without a preprocessor.

Conditions are not judged: more is found than a compile reads, never less. A name is looked for as the compiler does
(cpp, "Search Path"), and the first file found is the one meant; for ``#include_next``, which follows on from where the
file that asks was found, every one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from securecc.client.inputs.directory_cache import Listing
from securecc.client.inputs.name_watch import under
from securecc.client.inputs.special_files import NOTHING
from securecc.compiler.source.directives import Directives, Name
from securecc.model import limits
from securecc.model.errors import StaysLocal


@dataclass(frozen=True, slots=True)
class Chain:
    """Where includes are looked for, in order, absolute as spelled: `quoted` for those in quotes alone, after the
    directory of the file that asks; `bracketed` for all.
    """

    quoted: tuple[bytes, ...] = ()
    bracketed: tuple[bytes, ...] = ()


PREINCLUDED = b"stdc-predef.h"
"""What gcc reads before any source of C's family, if it is there (gcc's TARGET_C_PREINCLUDE), as if named in <>."""

Where = tuple[bytes, bytes | None]
"""A file's physical path, and that of the directory in which it was found (another, where the file is a symlink)."""

Take = Callable[[bytes], tuple[Directives, Where]]
"""Notes that a spelled path is reached, and says what is in it, and where. Raises StaysLocal where it is no file."""


class IncludeScanner:
    """The walk from one source. `look` gives a directory's listing; every answer must be of the same moment."""

    def __init__(self, chain: Chain, look: Callable[[bytes], Listing | None], take: Take) -> None:
        self._chain = chain
        self._look = look
        self._take = take
        self._places: dict[tuple[bytes, bytes, bool], tuple[bytes, ...]] = {}
        self._listed: dict[tuple[bytes, bytes], frozenset[bytes]] = {}

    def walk(self, source: bytes, forced: Iterable[bytes], cwd: bytes) -> None:
        """Take the source (absolute), every file of ``-include`` and its like, and all that they can reach.

        Raises StaysLocal where a macro names a file, or too much is within reach: only the compiler knows then.
        """
        todo = [source, *self._found(cwd, Name(PREINCLUDED, angled=True))]
        for spelled in forced:
            todo += self._found(cwd, Name(spelled))
        seen: set[bytes] = {NOTHING}
        followed: set[Where] = set()  # headers that include each other by `../d/x.h` have spellings without end
        while todo:
            path = todo.pop()
            if path in seen:
                continue
            seen.add(path)
            if len(seen) > limits.REACHED_FILES:
                raise StaysLocal("reach", f"more than {limits.REACHED_FILES} files are within reach")
            found, where = self._take(path)
            if where in followed:
                continue
            followed.add(where)
            if found.computed_include:
                raise StaysLocal("reach", "a macro names an included file")
            folder = path.rpartition(b"/")[0] or b"/"
            for name in found.includes:
                todo += self._found(folder, name)

    def _found(self, folder: bytes, name: Name) -> tuple[bytes, ...]:
        """The files that a name can mean in a file of this directory."""
        key = (b"" if name.angled and not name.following else folder, name.spelled, name.following)
        places = self._places.get(key)
        if places is None:
            near = () if name.angled and not name.following else (folder, *self._chain.quoted)
            found = self._matches(name.spelled, (*near, *self._chain.bracketed))
            places = tuple(found) if name.following else tuple(first for first in (next(found, b""),) if first)
            self._places[key] = places
        return places

    def _matches(self, name: bytes, directories: Iterable[bytes]) -> Iterator[bytes]:
        if b"\0" in name:
            raise StaysLocal("reach", "the name of an included file holds a NUL")
        head, slash, tail = name.rpartition(b"/")
        if name.startswith(b"/"):
            head, directories = head or b"/", (b"",)
        for directory in directories:
            if tail in self._names(directory, head):
                yield under(directory, head) + slash + tail if slash else under(directory, tail)

    def _names(self, directory: bytes, head: bytes) -> frozenset[bytes]:
        key = (directory, head)
        names = self._listed.get(key)
        if names is None:
            listing = self._look(under(directory, head))
            names = self._listed[key] = listing.names if listing else frozenset()
        return names
