"""`securecctl audit export`: records for other programs, as a CSV table or one JSON document."""

import argparse
import csv
import re
import shlex
import sys
from collections.abc import Iterable
from typing import Any

from securecc.cli.audit.log_parts import add_files, parts_of
from securecc.cli.audit.selection import Fields, Selection, add_filters
from securecc.cli.printing import as_json, plain

COLUMNS = (
    "time", "seq", "kind", "decision", "outcome", "principal", "peer", "rule", "reference", "job", "attempt", "code",
    "reason", "toolchain", "toolchain_sha256", "arguments", "arguments_count", "arguments_sha256", "cwd",
    "input_sha256", "layers_sha256", "sandbox", "exit", "signal", "limit", "outputs", "outputs_count",
    "outputs_sha256", "wall_s", "user_s", "system_s", "memory", "event", "version", "policy", "detail", "source",
    "sources", "minute", "counts", "signed_seq", "signed_hash", "signed_time", "every", "host", "key", "signature",
    "problem", "count", "sha256", "prev", "hash",
)  # fmt: skip

_USED = ("wall_s", "user_s", "system_s", "memory")
_FORMULA = re.compile(r"(^|;)([\s\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


def add_arguments(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `export`."""
    parser = actions.add_parser("export", help="print records as CSV, or as one JSON document")
    add_files(parser, rotated=True)
    add_filters(parser)
    parser.add_argument("--format", choices=("csv", "json"), required=True)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the records that pass all filters. Exit status 1 if a line is not a record."""
    selection = Selection(parts_of(options, rotated=options.rotated), options)
    if options.format == "csv":
        _table(selection)
    else:
        _document(selection)
    return 1 if selection.bad else 0


def _table(records: Iterable[Fields]) -> None:
    """RFC 4180, each cell quoted; lines end with a newline alone."""
    writer = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    for fields in records:
        writer.writerow([cell(_value(fields, column)) for column in COLUMNS])


def _document(records: Iterable[Fields]) -> None:
    before = "["
    for fields in records:
        print(f"{before}\n{as_json(fields)}", end="")
        before = ","
    print("[]" if before == "[" else "\n]")


def cell(text: str) -> str:
    """Text without control characters that no spreadsheet reads as a formula, even if it splits cells at semicolons: an
    apostrophe is put before what would begin one (OWASP, "CSV Injection").
    """
    return _FORMULA.sub(r"\1\2'", plain(text))


def _value(fields: Fields, column: str) -> str:
    usage = fields.get("usage")
    value = usage.get(column) if column in _USED and isinstance(usage, dict) else fields.get(column)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _joined(column, value)
    return as_json(value)


def _joined(column: str, values: list[Any]) -> str:
    if column == "arguments":
        return shlex.join(str(value) for value in values)
    if column == "outputs":
        return " ".join(
            f"{shlex.quote(str(made.get('path')))}={made.get('sha256')}" for made in values if isinstance(made, dict)
        )
    return " ".join(value if isinstance(value, str) else as_json(value) for value in values)
