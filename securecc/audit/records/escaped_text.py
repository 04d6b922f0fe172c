"""A stranger's text as it stands in a record: all of it UTF-8, nothing in it that a terminal acts upon."""

import re

from securecc.model import limits

_plain = re.compile(rb"[ -\[\]-~]*\Z").match
_ODD = re.compile(r"[^ -\[\]-~]")
_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def text(value: str | bytes, limit: int = limits.AUDIT_TEXT) -> str:
    r"""Any bytes as printable text: a backslash becomes ``\\``; bytes that are not UTF-8 or make a character that is
    not printable become ``\xNN``. What is longer than `limit` bytes is cut there and ends with ``\+N``, N bytes more.
    """
    if isinstance(value, str) and len(value) <= limit and value.isascii() and value.isprintable() and "\\" not in value:
        return value
    data = value if isinstance(value, bytes) else _bytes(value)
    more = len(data) - limit
    if more > 0:
        data = data[:limit]
    shown = data.decode("ascii") if _plain(data) else _ODD.sub(_escaped, data.decode("utf-8", errors="surrogateescape"))
    return shown if more <= 0 else f"{shown}\\+{more}"


def rendered(value: str, limit: int = limits.AUDIT_TEXT) -> str:
    """A text that is escaped already, as `str` of a Principal is: it stands in the record as it stands in logs."""
    return value if len(value) <= limit and value.isprintable() else text(value, limit)


def raw(shown: str) -> bytes:
    """The bytes that `text` was given, if it did not cut them."""
    return _ESCAPE.sub(lambda match: b"\\" if match[1] is None else bytes.fromhex(match[1].decode()), shown.encode())


def _bytes(value: str) -> bytes:
    try:
        return value.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", errors="surrogatepass")


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", errors="surrogateescape"))
