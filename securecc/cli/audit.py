"""`securecctl audit show` and `securecctl audit verify`."""

import argparse
import datetime as dt
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from securecc.audit.chain import Chain, Link, Verdict, parse_head
from securecc.cli.printing import as_json, columns, moment, plain
from securecc.words import limits
from securecc.words.errors import AuditError

KINDS = ("connection", "job-refused", "job-start", "job-end", "daemon", "strangers", "repair")
Fields = dict[str, Any]

_SETTLE_S = 0.2  # a line that is being written is whole after that
_DIGEST = re.compile(r"[0-9]{1,18}:[0-9a-f]{64}", re.ASCII)


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `audit` to the tool."""
    parser = subparsers.add_parser("audit", help="show or verify a server's audit log")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print records, filtered")
    show.add_argument("file", type=Path, metavar="FILE")
    show.add_argument("--principal", metavar="P", help="only this principal's, whole with its realm")
    show.add_argument("--since", metavar="T", help="only from then on: 10min, 2h, 2026-11-21, 2026-11-21T08:00:00Z")
    show.add_argument("--until", metavar="T", help="only before then")
    show.add_argument("--decision", choices=("allowed", "denied"), help="only what was decided so")
    show.add_argument("--kind", choices=KINDS, help="only records of this kind")
    show.add_argument("--job", type=int, metavar="N", help="only this job's")
    show.add_argument("--reference", metavar="R", help="only the connection with this reference number")
    show.add_argument("--format", choices=("text", "json"), default="text")
    show.set_defaults(run=run_show)
    verify = actions.add_parser("verify", help="check that no record was changed, moved or removed")
    verify.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a log; a rotated one in parts, oldest first"
    )
    verify.add_argument(
        "--after", metavar="SEQ:HASH", help="the record that the first one follows, if older parts are elsewhere"
    )
    verify.set_defaults(run=run_verify)


def run_show(options: argparse.Namespace) -> int:
    """Prints the records that pass all filters. Exit status 1 if a line was none."""
    wanted = _filters(options)
    bad = 0
    rows = _Rows(as_text=options.format == "text")
    with _opened(options.file) as file:
        for number, line in enumerate(_lines(file), 1):
            fields = _decode(line)
            if fields is None:
                bad += 1
                print(
                    f"securecctl: {options.file}:{number}: no record (run `securecctl audit verify`)", file=sys.stderr
                )
            elif all(accepts(fields) for accepts in wanted):
                rows.put(fields)
    rows.end()
    return 1 if bad else 0


def run_verify(options: argparse.Namespace) -> int:
    """Exit status 0 if the chain is whole, 1 if not; names the first bad line."""
    with ExitStack() as stack:
        head = _head(options.files[-1])
        files = [stack.enter_context(_opened(path)) for path in options.files]
        path, verdict = check(list(zip(options.files, files, strict=True)), head, _after(options.after))
    for note in verdict.notes:
        print(f"note: {plain(note)}")
    if verdict.problem:
        print(f"{path}:{verdict.line}: {verdict.problem}")
        print(f"not verified; {_count(verdict)} before it in order")
        if verdict.records == 0 and verdict.seq == 1 and options.after is None:
            print("if this log was rotated, name the older parts first, or give --after SEQ:HASH")
        return 1
    print(f"verified: {_count(verdict)}, the last is {verdict.last.seq}:{verdict.last.digest}")
    return 0


def check(files: list[tuple[Path, BinaryIO]], head: Link | None, after: Link | None) -> tuple[Path, Verdict]:
    """Follows the chain through the files; returns the last file looked at and the verdict."""
    chain = Chain(head, after)
    path = files[0][0]
    for path, file in files:
        chain.new_file()
        for line in _lines(file):
            if not chain.feed(line):
                return path, chain.verdict()
    return path, chain.verdict()


def _count(verdict: Verdict) -> str:
    return "1 record" if verdict.records == 1 else f"{verdict.records} records"


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}", "name a server's audit log (its `audit` setting)") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their newline, at most one byte longer than a record may be."""
    try:
        while line := file.readline(limits.AUDIT_RECORD + 1):
            if not line.endswith(b"\n") and len(line) <= limits.AUDIT_RECORD:
                time.sleep(_SETTLE_S)
                line += file.readline(limits.AUDIT_RECORD + 1 - len(line))
            yield line
    except OSError as error:
        raise AuditError(f"{file.name}: {error.strerror}", "name a regular file") from error


def _head(path: Path) -> Link | None:
    try:
        return parse_head(path.with_name(path.name + ".head").read_bytes())
    except OSError:
        return None


def _after(text: str | None) -> Link | None:
    if text is None:
        return None
    if not _DIGEST.fullmatch(text):
        raise AuditError(f"--after {plain(text)}: not SEQ:HASH", "`audit verify` of the older part prints it")
    seq, _, digest = text.partition(":")
    return Link(int(seq), digest)


def _decode(line: bytes) -> Fields | None:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("kind"), str) else None


def _filters(options: argparse.Namespace) -> list[Callable[[Fields], bool]]:
    now = dt.datetime.now(dt.UTC)
    wanted: list[Callable[[Fields], bool]] = [
        _equals(key, getattr(options, key))
        for key in ("principal", "decision", "kind", "job", "reference")
        if getattr(options, key) is not None
    ]
    if options.since is not None:
        since = _stamp(moment(options.since, now))
        wanted.append(lambda fields: str(fields.get("time", "")) >= since)
    if options.until is not None:
        until = _stamp(moment(options.until, now))
        wanted.append(lambda fields: str(fields.get("time", "")) < until)
    return wanted


def _equals(key: str, value: object) -> Callable[[Fields], bool]:
    return lambda fields: fields.get(key) == value


def _stamp(when: dt.datetime) -> str:
    """As records have it, so that comparing text compares times."""
    return when.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class _Rows:
    """Prints records as JSON lines, or in blocks of aligned rows; in constant memory either way."""

    BLOCK = 200
    HEAD = ("TIME", "SEQ", "KIND", "DECISION", "PRINCIPAL", "PEER", "RULE", "JOB", "WHAT")

    def __init__(self, *, as_text: bool) -> None:
        self._as_text = as_text
        self._rows: list[tuple[str, ...]] = [self.HEAD] if as_text else []

    def put(self, fields: Fields) -> None:
        if not self._as_text:
            print(as_json(fields))
            return
        self._rows.append(row_of(fields))
        if len(self._rows) >= self.BLOCK:
            self.end()

    def end(self) -> None:
        if self._rows:
            print(columns(self._rows))
        self._rows = []


def row_of(fields: Fields) -> tuple[str, ...]:
    """A record in nine columns. Fields of other types than they should be are shown as they are."""

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
