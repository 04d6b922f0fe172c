"""Records as rows of aligned columns, or as JSON lines."""

from typing import Any

from securecc.cli.audit.selection import Fields
from securecc.cli.printing import as_json, columns, plain, widths_of


class Rows:
    """Prints records as JSON lines or in blocks of aligned rows, in constant memory."""

    BLOCK = 200
    HEAD = ("TIME", "SEQ", "KIND", "DECISION", "PRINCIPAL", "PEER", "RULE", "JOB", "WHAT")

    def __init__(self, *, as_text: bool) -> None:
        self._as_text = as_text
        self._widths: list[int] = []  # never narrower than in the block above
        self._rows: list[tuple[str, ...]] = [self.HEAD] if as_text else []

    def put(self, fields: Fields) -> None:
        """Takes one more record."""
        if not self._as_text:
            print(as_json(fields))
            return
        self._rows.append(row_of(fields))
        if len(self._rows) >= self.BLOCK:
            self.end()

    def end(self) -> None:
        """Prints the records that have been taken but not printed yet."""
        if self._rows:
            self._widths = widths_of(self._rows, self._widths)
            print(columns(self._rows, self._widths))
        self._rows = []


def row_of(fields: Fields) -> tuple[str, ...]:
    """A record in nine columns. Fields of an unexpected type are shown as JSON."""

    def of(key: str) -> str:
        value = fields.get(key, "")
        return plain(value if isinstance(value, str) else as_json(value)) or "-"

    outcome = of("decision") if "decision" in fields else of("outcome") if "outcome" in fields else "-"
    return (
        of("time"),
        of("seq"),
        of("kind"),
        outcome,
        of("principal"),
        of("peer"),
        of("rule"),
        of("job"),
        _what(fields),
    )


def _what(fields: Fields) -> str:
    parts: list[str] = []
    for key, name in _SHOWN.get(fields["kind"], ()):
        value = fields.get(key)
        if value in (None, "", [], 0) and key != "exit":
            continue
        if value is None:
            continue
        parts.append(f"{name}{_said(key, value)}")
    return " ".join(parts) or "-"


_SHOWN: dict[str, tuple[tuple[str, str], ...]] = {
    "connection": (("reference", "ref="), ("reason", "")),
    "job-refused": (("reference", "ref="), ("code", ""), ("reason", ""), ("arguments", "")),
    "job-start": (("toolchain", ""), ("arguments", "")),
    "job-end": (
        ("exit", "exit="), ("signal", "signal="), ("limit", "limit="), ("reason", ""), ("usage", ""), ("outputs", ""),
        ("arguments", ""),
    ),
    "daemon": (("event", ""), ("version", ""), ("policy", "policy="), ("sandbox", "sandbox="), ("detail", "")),
    "checkpoint": (("signed_seq", "record="), ("signed_hash", ""), ("host", "host="), ("key", "")),
    "strangers": (("source", "from="), ("minute", "minute="), ("counts", "")),
    "repair": (("problem", ""), ("detail", "")),
}  # fmt: skip


def _said(key: str, value: Any) -> str:
    if key in ("arguments", "sandbox") and isinstance(value, list):
        return plain((" " if key == "arguments" else ",").join(str(item) for item in value))
    if key == "outputs" and isinstance(value, list):
        return plain(
            " ".join(f"{item.get('path')}={str(item.get('sha256'))[:12]}" for item in value if isinstance(item, dict))
        )
    if key == "usage" and isinstance(value, dict) and isinstance(value.get("wall_s"), float | int):
        return f"wall={value['wall_s']:.3f}s"
    if key == "counts" and isinstance(value, dict):
        return plain(" ".join(f"{name}={count}" for name, count in value.items()))
    return plain(value if isinstance(value, str) else as_json(value))
