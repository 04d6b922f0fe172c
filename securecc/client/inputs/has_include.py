"""Which files a compile asks for by macros that stand for __has_include."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from securecc.client.inputs.file_cache import FileCache, FileFacts
from securecc.compiler.source.directives import Name
from securecc.compiler.source.has_include_macros import PREDEFINED, hidden, replacements, spellings, uses, words
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Digest

_T = TypeVar("_T")
_HIDDEN = StaysLocal("computed-question", "asks by a macro whether a file is there")
_KEPT = 16384
"""Answers about one file; beyond that it begins anew."""


class HasIncludeQueries:
    """The questions of one agent's compiles. Files are read for it once, and only where there is such a macro."""

    def __init__(self, fingerprints: FileCache) -> None:
        self._fingerprints = fingerprints
        self._known: dict[tuple[Digest, str, frozenset[bytes]], object] = {}

    def asked(self, files: Sequence[FileFacts], given: Iterable[bytes]) -> frozenset[bytes]:
        """The names, as spelled, that these files ask for by macros that one of them makes. `given` are the texts of -D
        and -U, with their letter.

        Raises StaysLocal where such a macro may ask for more than what is spelled.
        """
        macros = frozenset(macro for seen in files for macro in self._fingerprints.directives(seen).asking)
        if not macros:
            return frozenset()
        command_line = b"\n".join(given)
        found = [self._once(seen, macros, uses) for seen in files]
        names = frozenset(name for one in found for name in one.asked)
        if hidden((*found, uses(command_line, macros)), macros):
            raise _HIDDEN
        return frozenset(name.spelled for name in self._spellings(names, files, command_line))

    def _spellings(self, names: frozenset[Name], files: Sequence[FileFacts], command_line: bytes) -> frozenset[Name]:
        """With what the words in <> may stand for; what stands for one may be a macro itself."""
        replaced: dict[bytes, frozenset[bytes]] = {}
        while new := frozenset(words(names) - replaced.keys()):
            if new & PREDEFINED or any(word in command_line for word in new):
                raise _HIDDEN
            replaced.update(dict.fromkeys(new, frozenset()))
            for seen in files:
                for word, other in self._once(seen, new, replacements):
                    replaced[word] |= {other}
            more = spellings(names, replaced)
            if more is None:
                raise _HIDDEN
            names = more
        return names

    def _once(self, seen: FileFacts, some: frozenset[bytes], ask: Callable[[bytes, frozenset[bytes]], _T]) -> _T:
        key = (seen.digest, ask.__name__, some)
        if key not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[key] = ask(self._fingerprints.content(seen), some)
        answer: _T = self._known[key]  # type: ignore[assignment]  # the key says what was asked
        return answer
