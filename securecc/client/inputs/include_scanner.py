"""Every file that the includes of a source can reach, found without a preprocessor.

Conditions are not evaluated: the scan may find more than a compile reads, never less. A name is looked for like the
compiler does (cpp, "Search Path"), and the first file found is used; for ``#include_next``, which continues from where
the asking file was found, every one.
"""

from collections.abc import Callable, Iterable, Iterator

from securecc.client.inputs.caches.directory_cache import Listing
from securecc.client.inputs.include_search import SearchPath
from securecc.client.inputs.special_files import DEV_NULL
from securecc.client.inputs.spelled_paths import under
from securecc.compiler.source.directives import Directives, Name
from securecc.model import limits
from securecc.model.errors import StaysLocal

PREINCLUDED = b"stdc-predef.h"
"""What gcc reads before any source of the C family, if it exists (gcc's TARGET_C_PREINCLUDE), as if named in <>."""

Where = tuple[bytes, bytes | None]
"""A file's physical path, and that of the directory in which it was found (different if the file is a symlink)."""

Read = Callable[[bytes], tuple[Directives, Where]]
"""Records that a spelled path is reached; returns its directives and place. Raises StaysLocal if it is not a file."""


class IncludeScanner:
    """The walk from one source: it calls `list_directory` and `read`, and touches no file itself. All listings must be
    from the same moment.
    """

    def __init__(
        self,
        search_path: SearchPath,
        list_directory: Callable[[bytes], Listing | None],
        read: Read,
        foreseen: Callable[[bytes], bool] = lambda _path: True,
    ) -> None:
        """`foreseen` says whether a file may be read because a text names it; others are left out."""
        self._search_path = search_path
        self._foreseen = foreseen
        self._list_directory = list_directory
        self._read = read
        self._found: dict[tuple[bytes, bytes, bool], tuple[bytes, ...]] = {}
        self._names: dict[tuple[bytes, bytes], frozenset[bytes]] = {}

    def scan(self, source: bytes, forced: Iterable[bytes], cwd: bytes) -> None:
        """Reads the source (absolute), every file of ``-include`` and similar options, and all that they can reach.

        Raises:
            StaysLocal: a macro names a file, or too much can be reached: then only the compiler knows.
        """
        todo = [source, *self._files(cwd, Name(PREINCLUDED, angled=True))]
        for spelled in forced:
            todo += self._files(cwd, Name(spelled))
        named = frozenset(todo)  # by the command, not by a text
        seen: set[bytes] = {DEV_NULL}
        followed: set[Where] = set()  # headers that include each other by `../d/x.h` have endless spellings
        while todo:
            path = todo.pop()
            if path in seen or not (path in named or self._foreseen(path)):
                continue
            seen.add(path)
            if len(seen) > limits.REACHED_FILES:
                raise StaysLocal("reach", f"its includes can reach more than {limits.REACHED_FILES} files")
            directives, where = self._read(path)
            if where in followed:
                continue
            followed.add(where)
            if directives.computed_include:
                raise StaysLocal("reach", "a macro names an included file")
            directory = path.rpartition(b"/")[0] or b"/"
            for name in directives.includes:
                todo += self._files(directory, name)

    def _files(self, directory: bytes, name: Name) -> tuple[bytes, ...]:
        """The files that a name can mean in a file of this directory."""
        key = (b"" if name.angled and not name.following else directory, name.spelled, name.following)
        files = self._found.get(key)
        if files is None:
            near = () if name.angled and not name.following else (directory, *self._search_path.quoted)
            matches = self._matches(name.spelled, (*near, *self._search_path.bracketed))
            files = tuple(matches) if name.following else tuple(first for first in (next(matches, b""),) if first)
            self._found[key] = files
        return files

    def _matches(self, name: bytes, directories: Iterable[bytes]) -> Iterator[bytes]:
        if b"\0" in name:
            raise StaysLocal("reach", "the name of an included file contains a NUL byte")
        head, slash, tail = name.rpartition(b"/")
        if name.startswith(b"/"):
            head, directories = head or b"/", (b"",)
        for directory in directories:
            if tail in self._names_in(directory, head):
                yield under(directory, head) + slash + tail if slash else under(directory, tail)

    def _names_in(self, directory: bytes, head: bytes) -> frozenset[bytes]:
        key = (directory, head)
        names = self._names.get(key)
        if names is None:
            listing = self._list_directory(under(directory, head))
            names = self._names[key] = listing.names if listing else frozenset()
        return names
