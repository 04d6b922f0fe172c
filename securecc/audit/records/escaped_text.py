"""Text of unknown origin as it appears in a record: printable UTF-8, with nothing that a terminal acts upon."""

from securecc.model import limits
from securecc.model.printable import escape, to_bytes


def text(value: str | bytes, limit: int = limits.AUDIT_TEXT) -> str:
    r"""Any bytes as printable text: a backslash becomes ``\\``; bytes that are not UTF-8 or make a character that is
    not printable become ``\xNN``. Text of more than `limit` bytes is truncated and ends with
    ``\+N``: N bytes are missing.
    """
    if isinstance(value, str) and len(value) <= limit and value.isascii() and value.isprintable() and "\\" not in value:
        return value
    data = value if isinstance(value, bytes) else to_bytes(value)
    more = len(data) - limit
    if more > 0:
        data = data[:limit]
    shown = escape(data)
    return shown if more <= 0 else f"{shown}\\+{more}"


def rendered(value: str, limit: int = limits.AUDIT_TEXT) -> str:
    """Text that is already escaped, as `str` of a Principal is: it appears in the record as it does in logs."""
    return value if len(value) <= limit and value.isprintable() else text(value, limit)
