"""What single words of a document mean: names, texts, paths, numbers, durations, sizes and rates.

The type of a section's field is a Python type annotated with one of these, as in ``Annotated[float, duration(1, 60)]``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Final

from msgspec import Meta

from securecc.config_file import quantities
from securecc.model import limits
from securecc.model.errors import ConfigError

WORD: Final = "word"
"""The key in `msgspec.Meta.extra` of the Word that reads a field's value."""

_BOOLEANS = frozenset(["yes", "no", "on", "off", "true", "false"])  # as YAML 1.1 has it
_NUMBER = re.compile(r"[-+]?(\d[\d_]*(\.\d*)?([eE][-+]?\d+)?|\.\d+|0x[0-9a-fA-F]+|0o?[0-7]+)", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,9}", re.ASCII)
_REAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", re.ASCII)
_NAME = r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?"


@dataclass(frozen=True, slots=True)
class Word:
    """How a word becomes a value. `parse` may raise any SecureccError; `show` writes a value as it is in a document;
    `bounds` are the least and the greatest value. A word that is not `bare` needs quotes where YAML takes it for a
    number or yes-or-no.
    """

    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str
    bounds: tuple[Any, Any] | None = None
    bare: bool = True


def word(
    parse: Callable[[str], Any],
    pattern: str = "",
    description: str = "",
    *,
    show: Callable[[Any], str] = str,
    bounds: tuple[Any, Any] | None = None,
    bare: bool = True,
) -> Meta:
    """The annotation that makes a type's words be read like this; `pattern` and `description` are for the schema."""
    more: dict[str, Any] = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    extra = {WORD: Word(parse, show, bounds, bare)}
    return Meta(description=description or None, extra=extra, extra_json_schema=more)


def is_boolean(text: str) -> bool:
    """Whether YAML 1.1 takes an unquoted word for yes or no."""
    return text.lower() in _BOOLEANS


def is_number(text: str) -> bool:
    """Whether YAML takes an unquoted word for a number."""
    return _NUMBER.fullmatch(text) is not None


def text() -> Word:
    """Any text."""
    return Word(str, bare=False)


def integer(low: float, high: float) -> Word:
    """A whole number between two bounds, both included."""
    return Word(_number(_INTEGER, int, low, high, "a whole number"))


def real(low: float, high: float) -> Word:
    """A number between two bounds, both included."""
    return Word(_number(_REAL, float, low, high, "a number"))


def duration(low: float, high: float) -> Meta:
    """Seconds, written as ``10min``."""
    return word(
        quantities.duration,
        r"^[0-9]+(\.[0-9]{1,3})? ?(ms|s|min|h)$",
        "A number and its unit: 30s, 10min, 1h",
        show=quantities.duration_text,
        bounds=(low, high),
    )


def size(low: int, high: int) -> Meta:
    """Bytes, written as ``4GiB``."""
    return word(
        quantities.size,
        r"^[0-9]+(\.[0-9]{1,3})? ?(B|KiB|MiB|GiB|TiB)$",
        "A number and its unit: 512MiB, 4GiB",
        show=quantities.size_text,
        bounds=(low, high),
    )


def rate(low: float, high: float) -> Meta:
    """Times per second, written as ``600/min``."""
    return word(
        quantities.rate,
        r"^[0-9]{1,9}(\.[0-9]{1,3})? ?/ ?(s|min|h)$",
        "A number and a period: 50/s, 600/min, 5000/h",
        show=quantities.rate_text,
        bounds=(low, high),
    )


def absolute(example: str) -> Meta:
    """A path from the root of the file system."""

    def parse(text: str) -> str:
        if not _path(text).startswith("/"):
            raise ConfigError(f"{text[:80]!a} is not an absolute path", f"write the whole path, as {example}")
        return text

    return word(parse, "^/", f"An absolute path, as {example}", bare=False)


def _number(
    form: re.Pattern[str], make: Callable[[str], float], low: float, high: float, what: str
) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not form.fullmatch(text) or not low <= make(text) <= high:
            raise ConfigError(f"{text[:80]!a} is not {what} from {low:g} to {high:g}")
        return make(text)

    return parse


def _name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        advice = "use letters, digits and _ . - (at most 64, none of . - at the ends)"
        raise ConfigError(f"{text[:80]!a} is not a name", advice)
    return text


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ConfigError(f"{text!a} is not a path", "write the path of a file or directory")
    if text.startswith("~"):
        raise ConfigError(f"{text[:80]!a} begins with ~", "a daemon has no home directory: write the path out")
    return text


def _member(text: str) -> str:
    if "\0" in text or len(text) > limits.PATH or PurePosixPath(text).name in ("", ".."):
        raise ConfigError(f"{text[:80]!a} is not a file name", "name a file, relative to the folder of this document")
    return text


Name = Annotated[str, word(_name, f"^{_NAME}$", bare=False)]
"""A name of a rule, a group or a service: letters, digits, and ``_ . -`` inside."""

Text = Annotated[str, word(str, ".", bare=False)]
"""Any text that YAML itself does not take for something else."""

FilePath = Annotated[str, word(_path, "^[^~]", bare=False)]
"""A path; a relative one begins at the document's folder."""

FileName = Annotated[str, word(_member, ".", bare=False)]
"""The path of a file that belongs to the document, relative to its folder."""
