"""Macros that wrap __has_include, such as ``#define HAS(x) __has_include(x)``, and how files use them.

A use counts as a question if it is spelled ``HAS(<file>)`` or ``HAS("file")``. Any other use of such a macro could ask
for any file. The text in <> is macro-expanded first (C11 6.10.3.1), so a word of it that some file defines may stand
for another; gcc predefines some, such as ``linux``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from securecc.compiler.source.directives import Name, bared, spliced

_B = rb"[ \t\v\f\0]*"
_ARGUMENT = _B + rb"\(" + _B + rb'(?:"(?P<quoted>[^"\n\\]*)"|<(?P<angled>[^>\n]*)>)' + _B + rb"\)"
_TESTED = rb"(?:define|undef|ifn?def|elifn?def|defined)" + _B + rb"\(?" + _B
_WORD = re.compile(rb"[A-Za-z_]\w*")
_BLANK = rb"[ \t\v\f\0]+"
_SPELLINGS = 256
PREDEFINED = frozenset((b"linux", b"unix", b"i386", b"sun", b"sparc", b"mips", b"arm"))
"""Words that gcc predefines as macros in its own dialects."""


@dataclass(frozen=True, slots=True)
class Uses:
    """What one file does with such macros: `queried` are the files spelled out, `hidden` says that there may be more,
    `pieces` are words that ## could join into such a macro.
    """

    queried: tuple[Name, ...] = ()
    hidden: bool = False
    pieces: frozenset[bytes] = frozenset()


def uses(content: bytes, macros: frozenset[bytes]) -> Uses:
    """How a file uses these macros."""
    text = spliced(content)
    pieces = frozenset(piece for piece in _pieces(macros) if _has_word(text, piece))
    if not any(macro in text for macro in macros):
        return Uses(pieces=pieces)
    text = bared(text)
    names = rb"\b(?:" + b"|".join(map(re.escape, sorted(macros))) + rb")\b"
    question = re.compile(names + _ARGUMENT)
    queried = dict.fromkeys(
        Name(match["quoted"]) if match["quoted"] is not None else Name(match["angled"], angled=True)
        for match in question.finditer(text)
    )
    rest = re.sub(_TESTED + names, b" ", question.sub(b" ", text))
    return Uses(tuple(queried), re.search(names, rest) is not None, pieces)


def hidden(found: Iterable[Uses], macros: frozenset[bytes]) -> bool:
    """Whether files with these uses may ask for more than they spell out."""
    found = tuple(found)
    pieces = frozenset[bytes]().union(*(one.pieces for one in found))
    joined = any(macro[:at] in pieces and macro[at:] in pieces for macro in macros for at in range(1, len(macro)))
    return joined or any(one.hidden for one in found)


def words(names: Iterable[Name]) -> frozenset[bytes]:
    """The words in <> that would be expanded if they were macros."""
    return frozenset(word for name in names if name.angled for word in _WORD.findall(name.spelled))


def replacements(content: bytes, some: frozenset[bytes]) -> frozenset[tuple[bytes, bytes]]:
    """What a file defines these words as: each word with its replacement; nothing if that is not a word.

    Function-like macros do not count, since a file's name gives no arguments.
    """
    if not some or not any(word in content for word in some):
        return frozenset()
    defines = rb"define" + _BLANK + rb"(" + b"|".join(map(re.escape, sorted(some))) + rb")\b(?!\()"
    found = re.finditer(
        defines + rb"(?:" + _BLANK + rb"([A-Za-z_]\w*)" + _B + rb"(?=\n|\r|/\*|//|\Z))?", spliced(content)
    )
    return frozenset((match[1], match[2] or b"") for match in found)


def spellings(names: frozenset[Name], replaced: Mapping[bytes, frozenset[bytes]]) -> frozenset[Name] | None:
    """All that these names may be once the text in <> is expanded; None if that cannot be known."""
    known, todo = set(names), [name for name in names if name.angled]
    while todo:
        name = todo.pop()
        if b"(" in name.spelled or len(known) > _SPELLINGS:
            return None
        for match in _WORD.finditer(name.spelled):
            for word in replaced.get(match[0], ()):
                if not word:
                    return None
                new = Name(name.spelled[: match.start()] + word + name.spelled[match.end() :], angled=True)
                if new not in known:
                    known.add(new)
                    todo.append(new)
    return frozenset(known)


def _pieces(macros: frozenset[bytes]) -> frozenset[bytes]:
    return frozenset(piece for macro in macros for at in range(1, len(macro)) for piece in (macro[:at], macro[at:]))


def _has_word(text: bytes, word: bytes) -> bool:
    return word in text and re.search(rb"\b" + re.escape(word) + rb"\b", text) is not None
