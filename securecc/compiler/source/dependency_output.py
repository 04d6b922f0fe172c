r"""What compilers print about what they read: with `-M` a make rule, quoted for make; with `-v` their directories.

What GCC writes (libcpp/mkdeps.cc): a blank or tab in a name gets a backslash, and the backslashes right before it are
doubled; `$` becomes `$$`, `#` becomes `\#`; other backslashes stand for themselves. A newline is not quoted at all.
"""

import re

from securecc.model.errors import StaysLocal

_MARKER = re.compile(rb'^# [0-9]+ "((?:[^"\\\n]|\\.)*)"', re.MULTILINE)
_SEARCHED = re.compile(rb"^ (/.+)$", re.MULTILINE)
_IGNORED = re.compile(rb'^ignoring \w+ directory "(/.+)"$', re.MULTILINE)
_SELECTED = re.compile(rb"^Selected (?:GCC installation: (/.+)|multilib: ([^;]*);.*)$", re.MULTILINE)
_ESCAPED = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_CONTINUATION = b" \\\n "
_BLANK = re.compile(rb"(\\+)([ \t])")


def parse(output: bytes) -> tuple[bytes, ...]:
    """The files that the rule's target depends on, each once, in order, as the compiler spells them.

    Raises:
        StaysLocal: it is not exactly one rule, or has names that the quoting cannot tell apart.
    """
    _, colon, body = output.replace(_CONTINUATION, b" ").partition(b": ")
    if not colon or not body.endswith(b"\n"):
        raise StaysLocal("dependencies", "the compiler's list of dependencies is not a rule")
    body = body[:-1]
    if b"\n" in body:
        raise StaysLocal(
            "dependencies", "the list of dependencies has a file name with a newline, or more than one rule"
        )
    names = body.split(b" ") if b"\\" not in body else _unquoted(body)
    if b"$" in body:
        names = [name.replace(b"$$", b"$") for name in names]
    return tuple(dict.fromkeys(name for name in names if name))


def line_names(preprocessed: bytes) -> tuple[bytes, ...]:
    """The names in the linemarkers of preprocessed text, each once (cpp, "Preprocessor Output"), including those of
    #line.
    """
    names = dict.fromkeys(_MARKER.findall(preprocessed))
    return tuple(_ESCAPED.sub(_literal, name) if b"\\" in name else name for name in names)


def searched(said: bytes) -> tuple[bytes, ...]:
    """The directories, absolute as spelled, in which a compiler says (`-v`, in English) that it looks for headers, or
    would if they existed.

    Raises:
        StaysLocal: it does not say so.
    """
    before, starts, listing = said.partition(b"#include <...> search starts here:\n")
    listing, ends, _ = listing.partition(b"End of search list.\n")
    if not (starts and ends):
        raise StaysLocal("dependencies", "the compiler does not say where it looks for headers")
    return tuple(dict.fromkeys((*_IGNORED.findall(before), *_SEARCHED.findall(listing))))


def selected(said: bytes) -> tuple[bytes, ...]:
    """The directories of the gcc whose headers a clang uses, as it says (`-v`); it found crtbegin.o there."""
    installation = multilib = b""
    for gcc, lib in _SELECTED.findall(said):
        installation, multilib = gcc or installation, lib or multilib
    return tuple(dict.fromkeys((installation, installation + b"/" + multilib))) if installation else ()


def _literal(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 8) & 0xFF,)) if len(match[1]) > 1 else match[1]


def _unquoted(body: bytes) -> list[bytes]:
    names = []
    held = b""
    for piece in body.split(b" "):
        held += piece
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            held += b" "
            continue
        names.append(_BLANK.sub(_halved, held).replace(b"\\#", b"#"))
        held = b""
    if held:
        raise StaysLocal("dependencies", "the list of dependencies has a file name that ends in a backslash")
    return names


def _halved(match: re.Match[bytes]) -> bytes:
    return match[1][: len(match[1]) // 2] + match[2]
