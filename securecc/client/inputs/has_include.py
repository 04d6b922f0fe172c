"""Which files a compile asks for by macros that wrap __has_include."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from cachetools import LRUCache

from securecc.client.inputs.caches.file_cache import FileCache, FileFacts
from securecc.compiler.source.directives import Name
from securecc.compiler.source.has_include_macros import PREDEFINED, hidden, replacements, spellings, uses, words
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Digest

_T = TypeVar("_T")
_HIDDEN = "a macro stands for the name in a __has_include"


class HasIncludeQueries:
    """The queries in one agent's compiles. Files are read for them once, and only if there is such a macro."""

    def __init__(self, files: FileCache, most: int = limits.HAS_INCLUDE_ANSWERS) -> None:
        self._files = files
        self._known: LRUCache[tuple[Digest, str, frozenset[bytes]], object] = LRUCache(most)

    def names(self, files: Sequence[FileFacts], macros_given: Iterable[bytes]) -> frozenset[bytes]:
        """The names, as spelled, that these files ask for by macros that one of them defines. `macros_given` are the
        texts of -D and -U, with their letter.

        Raises:
            StaysLocal: such a macro may ask for more than is spelled out, or a file has changed meanwhile.
        """
        macros = frozenset(macro for file in files for macro in self._files.directives(file).query_macros)
        if not macros:
            return frozenset()
        command_line = b"\n".join(macros_given)
        found = [self._remembered(file, macros, uses) for file in files]
        names = frozenset(name for one in found for name in one.queried)
        if hidden((*found, uses(command_line, macros)), macros):
            raise StaysLocal("computed-question", _HIDDEN)
        return frozenset(name.spelled for name in self._spellings(names, files, command_line))

    def _spellings(self, names: frozenset[Name], files: Sequence[FileFacts], command_line: bytes) -> frozenset[Name]:
        """The names with all replacements of the words in <>; a replacement may be a macro itself.

        Raises:
            StaysLocal: one may stand for something that is not spelled out.
        """
        replaced: dict[bytes, frozenset[bytes]] = {}
        while new := frozenset(words(names) - replaced.keys()):
            if new & PREDEFINED or any(word in command_line for word in new):
                raise StaysLocal("computed-question", _HIDDEN)
            replaced.update(dict.fromkeys(new, frozenset()))
            for file in files:
                for word, other in self._remembered(file, new, replacements):
                    replaced[word] |= {other}
            more = spellings(names, replaced)
            if more is None:
                raise StaysLocal("computed-question", _HIDDEN)
            names = more
        return names

    def _remembered(
        self, file: FileFacts, some: frozenset[bytes], query: Callable[[bytes, frozenset[bytes]], _T]
    ) -> _T:
        key = (file.digest, query.__name__, some)
        if key not in self._known:
            self._known[key] = query(self._files.content(file), some)
        answer: _T = self._known[key]  # type: ignore[assignment]  # the key says what the query was
        return answer
