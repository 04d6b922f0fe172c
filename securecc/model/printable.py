"""Text for terminals and logs: never a character of somebody's that a terminal acts upon."""

import logging
from collections.abc import Callable
from typing import TextIO


def plain(text: str) -> str:
    r"""The text on one line, what is not printable as ``\xNN``, ``\uNNNN``."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def plain_path(path: bytes) -> str:
    r"""A path of whatever bytes, in ASCII; what is no UTF-8 as ``\udcNN``."""
    return ascii(path.decode("utf-8", "surrogateescape"))[1:-1]


class PrintableFormatter(logging.Formatter):
    """One record of a log as one printable line; a traceback follows indented, so that no line of it can pass for a
    record. `redact` takes secrets out of what a message may quote.
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
    """A text stream in front of another one: what is printed arrives there line by line as printable text.

    `beneath` is the other one, for a program that draws a screen.
    """

    def __init__(self, beneath: TextIO) -> None:
        self.beneath = beneath

    def write(self, text: str) -> int:
        """Writes; newlines stay what they are. The number of characters given."""
        self.beneath.write(text if text.isprintable() else "\n".join(map(plain, text.split("\n"))))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.beneath, name)
