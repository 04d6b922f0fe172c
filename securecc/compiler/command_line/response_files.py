"""Response files: `@FILE` on a command line stands for the arguments in it (gcc(1), "Overall Options", @file).

gcc (libiberty, argv.c) and clang (LLVM, TokenizeGNUCommandLine) read them alike: blanks separate arguments, single and
double quotation marks enclose them, a backslash escapes the next character, even inside quotation marks. Where they
differ, the compile stays local.
"""

import re
from collections.abc import Callable, Iterable

from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.printable import quote

_PIECE = re.compile(
    rb"""(?P<blank>[ \t\r\n]+)|\\(?P<escaped>.)|'(?P<single>(?:[^'\\]|\\.)*)'|"(?P<double>(?:[^"\\]|\\.)*)"|"""
    rb"""(?P<plain>[^ \t\r\n\\'"]+)""",
    re.DOTALL,
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_DIFFERENT = re.compile(rb"[\v\f\0]|\A(?:\xff\xfe|\xfe\xff|\xef\xbb\xbf)")


def expand(arguments: tuple[bytes, ...], read: Callable[[bytes], bytes]) -> tuple[bytes, ...]:
    """The arguments with each response file replaced by its content, including nested ones. `read` returns the content
    of a file by its name.

    Raises:
        StaysLocal: `read` does; files name each other endlessly; or compilers would read them differently.
    """
    if not any(argument[:1] == b"@" for argument in arguments[1:]):
        return arguments
    found = [arguments[0]]
    todo = list(reversed(arguments[1:]))
    files = size = 0
    while todo:
        argument = todo.pop()
        if argument[:1] != b"@":
            found.append(argument)
            continue
        content = read(argument[1:])
        files, size = files + 1, size + len(content)
        if files > limits.RESPONSE_FILES or size > limits.RESPONSE_BYTES:
            raise StaysLocal(
                "response-file",
                f"{files} response files of {size} bytes; at most {limits.RESPONSE_FILES} of {limits.RESPONSE_BYTES}",
            )
        todo += reversed(list(split(content)))
    return tuple(found)


def split(content: bytes) -> Iterable[bytes]:
    """The arguments in a response file.

    Raises:
        StaysLocal: compilers read it differently, or a quotation mark is not closed.
    """
    if _DIFFERENT.search(content):
        raise StaysLocal("response-file", "a response file has an unusual blank, or an unusual character set")
    at = 0
    word: bytes | None = None
    while at < len(content):
        piece = _PIECE.match(content, at)
        if piece is None:
            raise StaysLocal(
                "response-file", f"a response file has an unclosed quotation mark at {quote(content[at:], 40)}"
            )
        at = piece.end()
        if piece["blank"] is not None:
            if word is not None:
                yield word
            word = None
            continue
        quoted = piece["single"] if piece["single"] is not None else piece["double"]
        word = (word or b"") + (
            _ESCAPED.sub(rb"\1", quoted) if quoted is not None else piece["escaped"] or piece["plain"]
        )
    if word is not None:
        yield word
