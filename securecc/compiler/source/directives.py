"""What a source or header says about other files, read without a preprocessor.

Conditionals are ignored, and comments and strings are not told from code: the scan may find more than a compile asks
for, never less. The spellings are those of C11 5.1.1.2 (splices, trigraphs) and 6.4.6 (digraphs) with GCC's extensions:
a splice may have blanks before the newline, a NUL is a blank, `__has_include`, `#include_next`, `#import`, linemarkers.
"""

import re
from dataclasses import dataclass, fields, replace
from typing import Any

from securecc.compiler.source import assembler_directives
from securecc.model.errors import StaysLocal
from securecc.model.printable import quote


@dataclass(frozen=True, slots=True)
class Name:
    """A file as a directive spells it. `angled` is the form in <>; `following` is #include_next and its like."""

    spelled: bytes
    angled: bool = False
    following: bool = False


@dataclass(frozen=True, slots=True)
class Directives:
    """What one file says about others.

    `includes` are those of #include, #include_next and #import, `queried` those of __has_include, __has_embed and
    `#pragma GCC dependency`, which compares times, `line_names` those of #line and linemarkers (diagnostics quote from
    them). `computed_*` say that a macro names at least one more. `times` are the time macros seen. `assembled` are the
    files that the assembler includes, `embedded` those whose bytes are included as they are, by .incbin or #embed.
    `assembles` says that a string may make the assembler read others, `joins` that it may if the file itself is
    assembly, `unnamed` that it will. `compares` says that a pragma built from pieces may compare times, `precompiled`
    that a pragma loads a precompiled header.
    """

    includes: tuple[Name, ...] = ()
    queried: tuple[Name, ...] = ()
    line_names: tuple[bytes, ...] = ()
    times: frozenset[bytes] = frozenset()
    computed_include: bool = False
    computed_query: bool = False
    computed_line: bool = False
    imports: bool = False
    assembled: tuple[bytes, ...] = ()
    embedded: tuple[bytes, ...] = ()
    assembles: bool = False
    joins: bool = False
    unnamed: bool = False
    compares: bool = False
    precompiled: bool = False

    @property
    def plain(self) -> bool:
        """Whether nothing in it may keep a compile local, as in nearly every file."""
        return not (self.times or self.compares or self.precompiled or self.computed_line)


_B = rb"[ \t\v\f\0]*"  # blanks inside a line
_SPLICE = re.compile(rb"\\[ \t\v\f\0\r]+\n")
_COMMENT = re.compile(
    rb"""/\*.*?(?:\*/|\Z)|//[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""", re.DOTALL
)  # strings are matched so that a comment does not begin inside one
_RAW = re.compile(rb'(?<![A-Za-z0-9_])(?:u8|[uUL])?R"[^()\\\s]{0,16}\(')  # the beginning of one (C++17 5.13.5)
_FILE = rb'(?:"(?P<quoted>[^"\n]*)"|<(?P<angled>[^>\n]*)>|(?P<comment>/\*))?'
_DIRECTIVE = re.compile(
    rb"(?<!#)#" + _B + rb"(?:(?P<word>include_next|include|import|embed)" + _B + _FILE + rb"|(?P<split>/\*)"
    rb"|(?P<line>line)\b" + _B + rb"(?P<number>[0-9]+)?" + _B + rb'(?:"(?P<line_name>[^"\n]*)"|(?P<more>[^\s\0]))?'
    rb"|[0-9]+" + _B + rb'"(?P<marker_name>[^"\n]*)")'
)  # fmt: skip
_QUERY = re.compile(
    rb"__has_(?:include(?P<next>_next)?(?:__)?|embed)" + _B + rb"(?P<split>/\*)?(?:(?P<open>\()" + _B + _FILE + rb")?"
)
_MARKER = re.compile(rb"#" + _B + rb"[0-9]+" + _B + rb"[A-Za-z_/]")
_AT_START = re.compile(rb"(?:\A|\n|\*/)" + _B + rb"\Z")
_DEFINED = re.compile(rb"define" + _B + rb"\Z")
_TESTED = re.compile(rb"(?:defined?|undef|ifn?def|elifn?def)" + _B + rb"\(?" + _B + rb"\Z")
_REDEFINED = re.compile(rb"[DU](__(?:DATE|TIME|TIMESTAMP)__)(?:=|\Z)")
STAMP = b"__TIMESTAMP__"
"""Expands to the time when the file that it is in, or is expanded in, was last changed."""

_TIMES = re.compile(rb"__(?:DATE|TIME|TIMESTAMP)__")


def _pieces(name: bytes, shortest: int) -> set[bytes]:
    """The beginnings and ends of a name that ## could join."""
    return {name[:end] for end in range(shortest, len(name))} | {name[-end:] for end in range(4, len(name))}


_TIME_PIECES = _pieces(b"__TIME__", 4) | _pieces(b"__DATE__", 4) | _pieces(b"__TIMESTAMP__", 4)
# `__has_` alone begins many names in libstdc++, and `include` ends too many.
_QUESTION_PIECES = {piece for piece in _pieces(b"__has_include", 7) if b"has_i" in piece} | {
    piece for piece in _pieces(b"__has_embed", 7) if b"has_e" in piece
}
_MARKS = (b"__TI", b"__DA", b"ME__", b"TE__", b"MP__", b"has_i", b"has_e")  # each piece has one
_BEGINNING = re.compile(rb"\w{0,9}\Z")
_WORD = re.compile(rb"\w+")
_COMPARES = re.compile(rb"GCC(?:[\s\0]|/\*.*?\*/)*dependency", re.DOTALL)
_COMPARED = re.compile(rb"#" + _B + rb"pragma" + _B + rb"GCC" + _B + rb"dependency" + _B + _FILE)


def scan(content: bytes) -> Directives:
    """Everything that a file says about others. Takes some 1 ms for 100 kB."""
    text = spliced(content)
    found = _scan(text)
    if b"%:" in text:
        found = _both(found, _scan(text.replace(b"%:", b"#")))
    return found


def redefined(macro: bytes) -> tuple[bytes, bytes]:
    """The time macro that a -D or -U of the command line (as in `CompilePlan.macros`) redefines, if it does, and its
    new text.
    """
    match = _REDEFINED.match(macro)
    return (match[1], macro[match.end() :]) if match else (b"", macro)


def needs_local(
    directives: Directives,
    *,
    knows_time: bool = False,
    knows_timestamps: bool = False,
    knows_line_names: bool = False,
    given: frozenset[bytes] = frozenset(),
) -> StaysLocal | None:
    """Why a compile that reads a file with these directives must stay local; None if it need not.

    `knows_time` says that SOURCE_DATE_EPOCH is set, so that date and time are the same everywhere, `knows_timestamps`
    that file times are the same, `knows_line_names` that all names in #line are known by other means; `given` are time
    macros that the command line has redefined.
    """
    if directives.plain:
        return None
    clocked = directives.times - given - ({b"__DATE__", b"__TIME__"} if knows_time else set())
    clocked -= {STAMP} if knows_timestamps else set()
    reasons = (
        ("dependency-pragma", directives.compares, "#pragma GCC dependency compares the time of a file"),
        ("precompiled-header", directives.precompiled, "a pragma loads a precompiled header"),
        ("computed-line", directives.computed_line and not knows_line_names, "#line gets its file name from a macro"),
        ("time", bool(clocked), f"uses {', '.join(quote(name) for name in sorted(clocked))}"),
    )
    return next((StaysLocal(reason, message) for reason, applies, message in reasons if applies), None)


def spliced(content: bytes) -> bytes:
    """The text of a file with its lines spliced (C11 5.1.1.2, phases 1 and 2)."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n")
    if b"??" in content:
        content = content.replace(b"??=", b"#").replace(b"??/", b"\\")
    return _SPLICE.sub(b"", content.replace(b"\\\n", b""))


def _scan(text: bytes) -> Directives:
    directives = list(_DIRECTIVE.finditer(text))
    queries = list(_QUERY.finditer(text)) if b"__has_include" in text or b"__has_embed" in text else []
    found = _collect(text, directives, queries)
    split = any(match["comment"] or match["split"] for match in (*directives, *queries))
    hides = found.computed_include or found.computed_query or found.assembles
    if not split and not hides and needs_local(found) is None:
        return found
    bare = _COMMENT.sub(_blank, text)
    bared = _collect(bare, list(_DIRECTIVE.finditer(bare)), list(_QUERY.finditer(bare)))
    if _RAW.search(text):  # a raw string may hold what looks like the beginning of a comment
        return _both(found, bared)
    names = _both(found, bared)
    return replace(bared, includes=names.includes, queried=names.queried, line_names=names.line_names)


def _collect(text: bytes, directives: list[re.Match[bytes]], queries: list[re.Match[bytes]]) -> Directives:
    included = [match for match in directives if match["word"]]
    lines = [match for match in directives if match["line"]]
    line_names = [match["line_name"] or match["marker_name"] or b"" for match in directives]
    questions = [
        match for match in queries if not (_DEFINED if match["open"] else _TESTED).search(_before(text, match))
    ]
    named = _named(questions)
    pieces = _pieces_in(text)
    compared = list(_COMPARED.finditer(text)) if b"dependency" in text else []
    embeds = [match for match in _named(included) if match["word"] == b"embed"]
    includes = [match for match in _named(included) if match["word"] != b"embed"]
    return Directives(
        includes=tuple(dict.fromkeys(_name(match, match["word"] == b"include_next") for match in includes)),
        queried=tuple(
            dict.fromkeys(
                [*(_name(match, bool(match["next"])) for match in named)]
                + [_name(match, following=False) for match in _named(compared)]
            )
        ),
        line_names=tuple(dict.fromkeys(name for name in line_names if name)),
        times=frozenset(_TIMES.findall(text)) | (pieces & _TIME_PIECES),
        computed_include=len(_named(included)) < len(included),
        computed_query=len(named) < len(questions) or not pieces.isdisjoint(_QUESTION_PIECES),
        computed_line=any(not match["number"] or match["more"] for match in lines)
        or any(b"\\" in name for name in line_names)
        or any(_AT_START.search(_before(text, match)) for match in _MARKER.finditer(text)),
        imports=any(match["word"] == b"import" for match in included),
        assembled=assembler_directives.named(text),
        embedded=(*assembler_directives.embedded(text), *(_name(match, following=False).spelled for match in embeds)),
        assembles=(assembles := assembler_directives.hidden_in_strings(text)),
        joins=assembler_directives.hidden(text),
        unnamed=assembles and assembler_directives.unnamed(text),
        compares=b"dependency" in text and len(_COMPARES.findall(text)) > len(_named(compared)),
        precompiled=b"pch_preprocess" in text,
    )


def _before(text: bytes, match: re.Match[bytes]) -> bytes:
    return text[max(match.start() - 32, 0) : match.start()]


def _pieces_in(text: bytes) -> frozenset[bytes]:
    """Identifiers that could be pieces of a time macro or of __has_include, for ## to join."""
    found = set()
    for mark in _MARKS:
        at = text.find(mark)
        while at >= 0:
            before = _BEGINNING.search(text[max(at - 9, 0) : at])
            word = _WORD.match(text, at - len(before[0] if before else b""), at + 16)
            if word:
                found.add(word[0])
            at = text.find(mark, at + 1)
    return frozenset(found)


def _named(matches: list[re.Match[bytes]]) -> list[re.Match[bytes]]:
    return [match for match in matches if match["quoted"] is not None or match["angled"] is not None]


def _name(match: re.Match[bytes], following: bool) -> Name:
    quoted, angled = match["quoted"], match["angled"]
    return Name(quoted, following=following) if quoted is not None else Name(angled, angled=True, following=following)


def _blank(match: re.Match[bytes]) -> bytes:
    return b" " if match[0][:1] == b"/" else match[0]


def _both(one: Directives, other: Directives) -> Directives:
    """What both say together: names in order, each once."""
    found: dict[str, Any] = {}
    for field in fields(Directives):
        this, that = getattr(one, field.name), getattr(other, field.name)
        found[field.name] = tuple(dict.fromkeys(this + that)) if isinstance(this, tuple) else this | that
    return Directives(**found)
