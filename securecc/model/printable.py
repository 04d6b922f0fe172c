r"""Text for terminals, logs and records, without characters from a stranger that a terminal would act on.

There is one rule: a character that is not printable, or a byte that is not UTF-8, is shown as its bytes, each as
``\xNN``, as in a Principal. `plain` leaves backslashes alone, so that text may pass through it again; `escape` doubles
them, so that `unescape` gets the bytes back.
"""

import logging
import re
from collections.abc import Callable
from typing import TextIO

QUOTED = 200
"""Bytes of a path or an argument that a message quotes: enough to recognise it by."""

_is_plain = re.compile(rb"[ -\[\]-~]*\Z").match
_NOT_PLAIN = re.compile(r"[^ -\[\]-~]")
_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def plain(text: str) -> str:
    """The text on one line, all of it printable."""
    return text if text.isprintable() else "".join(char if char.isprintable() else _hex(char) for char in text)


def plain_path(path: bytes) -> str:
    """A path of any bytes, as `plain`."""
    return plain(path.decode("utf-8", "surrogateescape"))


def quote(value: bytes, longest: int = QUOTED) -> str:
    """A path or an argument as messages quote it: in quotation marks, in ASCII, at most `longest` bytes of it."""
    return repr(value[:longest])[1:] + ("..." if len(value) > longest else "")


def escape(value: bytes) -> str:
    r"""Any bytes as printable text; a backslash as ``\\``."""
    if _is_plain(value):
        return value.decode("ascii")
    return _NOT_PLAIN.sub(_escaped, value.decode("utf-8", errors="surrogateescape"))


def unescape(shown: str) -> bytes:
    """The bytes that `escape` was given."""
    return _ESCAPE.sub(lambda match: b"\\" if match[1] is None else bytes.fromhex(match[1].decode()), shown.encode())


def to_bytes(text: str) -> bytes:
    """The bytes of any text, including those that os.fsdecode or JSON turned into surrogates."""
    try:
        return text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", errors="surrogatepass")


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char == "\\":
        return "\\\\"
    return char if char.isprintable() else _hex(char)


def _hex(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in to_bytes(char))


class PrintableFormatter(logging.Formatter):
    """One record of a log as one printable line; a traceback follows indented, so that no line of it can pass for a
    record. `redact` removes secrets that a message may quote.
    """

    def __init__(self, form: str, redact: Callable[[str], str] = str) -> None:
        super().__init__(form)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The line or lines."""
        more = [part for part in (self._trace(record), record.stack_info) if part]
        lines = [line for part in more for line in part.split("\n")]
        return "\n".join([self._head(record), *(f"  {plain(self._redact(line))}" for line in lines)])

    def _head(self, record: logging.LogRecord) -> str:
        record.message = plain(self._redact(record.getMessage()))
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        return self.formatMessage(record)

    def _trace(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else ""


class PrintableStream:
    """A text stream that passes what is printed on to another one, line by line, as printable text.

    `beneath` is the other one, for a program that draws a screen.
    """

    def __init__(self, beneath: TextIO) -> None:
        self.beneath = beneath

    def write(self, text: str) -> int:
        """Writes, leaving newlines unchanged; returns the number of characters given."""
        self.beneath.write(text if text.isprintable() else "\n".join(map(plain, text.split("\n"))))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.beneath, name)
