"""Filters of records on the command line, and the records that pass them."""

import argparse
import datetime as dt
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from securecc.cli.audit.log_parts import Part
from securecc.cli.printing import moment, plain
from securecc.model.errors import AuthenticationError, ConfigError
from securecc.model.principal import Principal

KINDS = ("connection", "job-refused", "job-start", "job-end", "daemon", "strangers", "checkpoint", "repair")

Fields = dict[str, Any]
"""A record from a log that anybody may have written: all that is certain is that `kind` is text."""


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Adds the filters to a command."""
    parser.add_argument("--principal", metavar="P", help="only this principal's: the whole name with its realm")
    parser.add_argument(
        "--since", metavar="T", help="only from this time on: 10min (ago), 2h, 2026-11-21, 2026-11-21T08:00:00Z"
    )
    parser.add_argument("--until", metavar="T", help="only before this time")
    parser.add_argument("--decision", choices=("allowed", "denied"), help="only records with this decision")
    parser.add_argument("--kind", choices=KINDS, help="only records of this kind")
    parser.add_argument("--job", type=int, metavar="N", help="only this job's")
    parser.add_argument("--reference", metavar="R", help="only the connection with this reference number")


class Selection:
    """The records of a log's parts that pass all filters of the options; `bad` counts the lines that are no records.

    Raises:
        ConfigError: a filter is not valid, such as a principal without a realm.
    """

    def __init__(self, parts: Iterable[Part], options: argparse.Namespace | None = None) -> None:
        self._parts = list(parts)
        self._wanted = [] if options is None else _filters(options, self._parts)
        self.bad = 0

    def __iter__(self) -> Iterator[Fields]:
        for part in self._parts:
            for number, line in enumerate(() if part.empty else part.lines(), 1):
                fields = self.take(line, f"{plain(str(part.path))}:{number}")
                if fields is not None:
                    yield fields

    def take(self, line: bytes, place: str) -> Fields | None:
        """The record in a line, if it passes; a line that is no record is reported."""
        fields = decode(line)
        if fields is None:
            self.bad += 1
            print(f"securecctl: {place}: not a record (run `securecctl audit verify`)", file=sys.stderr)
            return None
        return fields if all(accepts(fields) for accepts in self._wanted) else None


def decode(line: bytes) -> Fields | None:
    """The record in a line; None if there is none."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("kind"), str) else None


def said_at(fields: Fields) -> str:
    """The record's time as text that can be compared; empty if it has none."""
    time = fields.get("time")
    return time if isinstance(time, str) else ""


def stamp(when: dt.datetime) -> str:
    """A time as records have it: comparing such texts compares the times."""
    return when.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _filters(options: argparse.Namespace, parts: Iterable[Part]) -> list[Callable[[Fields], bool]]:
    now = dt.datetime.now(dt.UTC)
    wanted: list[Callable[[Fields], bool]] = [
        _equals(key, getattr(options, key))
        for key in ("decision", "kind", "job", "reference")
        if getattr(options, key) is not None
    ]
    if options.principal is not None:
        wanted.append(_equals("principal", _principal(options.principal, parts)))
    if options.since is not None:
        since = stamp(moment(options.since, now))
        wanted.append(lambda fields: said_at(fields) >= since)
    if options.until is not None:
        until = stamp(moment(options.until, now))
        wanted.append(lambda fields: said_at(fields) < until)
    return wanted


def _principal(name: str, parts: Iterable[Part]) -> str:
    """A principal as records show it, from what was typed or copied from a log.

    Raises:
        ConfigError: not a principal; if the realm is missing, with a principal of that name in the log.
    """
    try:
        return str(Principal.parse(name))
    except AuthenticationError as error:
        if "@" not in name and "\\x40" in name:  # a name that is no principal, as `Principal.display` shows it
            return name
        if "@" in name:
            raise ConfigError(f"--principal: {error.message}", error.advice) from error
        advice = _in_log(name + "@", parts) or "write the whole name, as the log shows it"
        raise ConfigError(f"--principal: no realm in {plain(name)[:80]!r}", advice) from error


def _in_log(start: str, parts: Iterable[Part]) -> str:
    """A question with the first principal that begins like this; empty if there is none."""
    for part in parts:
        for line in () if part.empty else part.lines():
            found = (decode(line) or {}).get("principal")
            if isinstance(found, str) and found.startswith(start):
                return f"did you mean {plain(found)}?"
    return ""


def _equals(key: str, value: object) -> Callable[[Fields], bool]:
    return lambda fields: fields.get(key) == value
