"""Output of the tools: columns for people, JSON for programs, and never a control character from elsewhere."""

import datetime as dt
import json
import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Final

from securecc.model.errors import ConfigError
from securecc.model.printable import plain

__all__ = ["ago", "as_json", "columns", "moment", "plain", "size", "widths_of"]

_HIGH: Final = 0x7F
_SPAN = re.compile(r"(\d{1,9})(s|min|h|d)", re.ASCII)
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON in ASCII without control characters."""
    text = json.dumps(value, indent=indent, ensure_ascii=True)
    return text.replace(chr(_HIGH), "\\u007f")


def widths_of(rows: Sequence[Sequence[str]], least: Sequence[int] = ()) -> list[int]:
    """The width of each column but the last, at least the given one."""
    count = max((len(row) for row in rows), default=1) - 1
    found = [max((len(row[at]) for row in rows), default=0) for at in range(count)]
    return [max(pair) for pair in zip_longest(found, least, fillvalue=0)]


def columns(rows: Sequence[Sequence[str]], widths: Sequence[int] | None = None) -> str:
    """Rows with their columns aligned; the last column is not padded."""
    widths = widths_of(rows) if widths is None else widths
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def ago(seconds: float) -> str:
    """How long ago something was, roughly."""
    for name, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {name} ago"
    return f"{max(0, int(seconds))} s ago"


def size(count: float) -> str:
    """A number of bytes in a unit that leaves few digits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004 - the step from unit to unit
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """The moment, in UTC, of a time as people write it: ``10min`` (ago), ``2026-11-21`` or RFC 3339. UTC by default.

    Raises:
        ConfigError: the text is not a time.
    """
    span = _SPAN.fullmatch(text)
    try:
        if span:
            return now - dt.timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
        found = dt.datetime.fromisoformat(text)
        return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError) as error:
        advice = "write 10min, 2h, 1d, 2026-11-21 or 2026-11-21T08:00:00Z"
        raise ConfigError(f"{plain(text)[:80]!r} is not a time", advice) from error
