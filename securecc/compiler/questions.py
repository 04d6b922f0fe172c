"""Macros that ask for a file in another's name: ``#define HAS(x) __has_include(x)``, and how files use them.

A use counts as a question where it is spelled ``HAS(<file>)`` or ``HAS("file")``. All else that is done with such a
macro could ask for any file. What stands in <> is expanded before it is asked, so none of its words may be a macro
(C11 6.10.3.1; gcc has some of its own, ``linux`` among them).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from securecc.compiler.directives import Name, bared, spliced

_B = rb"[ \t\v\f\0]*"
_ARGUMENT = _B + rb"\(" + _B + rb'(?:"(?P<quoted>[^"\n\\]*)"|<(?P<angled>[^>\n]*)>)' + _B + rb"\)"
_TESTED = rb"(?:define|undef|ifn?def|elifn?def|defined)" + _B + rb"\(?" + _B
_WORD = re.compile(rb"[A-Za-z_]\w*")
_DEFINES = rb"define" + _B + rb"(?:"
_PREDEFINED = frozenset((b"linux", b"unix", b"i386", b"sun", b"sparc", b"mips", b"arm"))


@dataclass(frozen=True, slots=True)
class Uses:
    """What one file does with macros that ask: `asked` by their own spelling, `hidden` says that there is more,
    `pieces` are words in it that ## could make such a macro of.
    """

    asked: tuple[Name, ...] = ()
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
    asked = dict.fromkeys(
        Name(match["quoted"]) if match["quoted"] is not None else Name(match["angled"], angled=True)
        for match in question.finditer(text)
    )
    rest = re.sub(_TESTED + names, b" ", question.sub(b" ", text))
    return Uses(tuple(asked), re.search(names, rest) is not None, pieces)


def hidden(found: Iterable[Uses], macros: frozenset[bytes]) -> bool:
    """Whether files that use these macros so may ask for more than they spell."""
    found = tuple(found)
    pieces = frozenset[bytes]().union(*(one.pieces for one in found))
    joined = any(macro[:at] in pieces and macro[at:] in pieces for macro in macros for at in range(1, len(macro)))
    return joined or any(one.hidden for one in found)


def words(names: Iterable[Name]) -> frozenset[bytes]:
    """The words in <> that would be expanded if they were macros."""
    return frozenset(word for name in names if name.angled for word in _WORD.findall(name.spelled))


def expands(content: bytes, some: frozenset[bytes]) -> bool:
    """Whether a file makes a macro of one of these words, or a compiler has it as one."""
    if not some.isdisjoint(_PREDEFINED):
        return True
    if not some:
        return False
    defines = _DEFINES + b"|".join(map(re.escape, sorted(some))) + rb")\b"
    return re.search(defines, content) is not None


def _pieces(macros: frozenset[bytes]) -> frozenset[bytes]:
    return frozenset(piece for macro in macros for at in range(1, len(macro)) for piece in (macro[:at], macro[at:]))


def _has_word(text: bytes, word: bytes) -> bool:
    return word in text and re.search(rb"\b" + re.escape(word) + rb"\b", text) is not None
