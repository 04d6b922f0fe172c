"""`securecctl audit follow`: records as they are written, across rotations of the log."""

import argparse
import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from securecc.audit.chain import first_seq
from securecc.cli.audit.log_parts import CONFIG, in_order, rotated_beside
from securecc.cli.audit.rows import Rows
from securecc.cli.audit.selection import Selection, add_filters
from securecc.cli.printing import plain
from securecc.daemon.settings import read_settings
from securecc.model import limits
from securecc.model.errors import AuditError

_LOOK_S = 0.25
_RECENT = 4 * limits.AUDIT_RECORD  # bytes at the end of which the last records are shown first


def add_arguments(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `follow`."""
    parser = actions.add_parser("follow", help="print records as they are written, across rotations")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a log (default: this server's own)")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the server's configuration (default: %(default)s)")
    parser.add_argument(
        "-n", "--lines", type=int, default=10, metavar="N", help="number of earlier records to show first (default: 10)"
    )
    add_filters(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the records that pass all filters, until it is interrupted."""
    path = options.file or read_settings(options.config).audit.file
    with contextlib.closing(Tail(path)) as tail:
        selection, rows = Selection(in_order([path]), options), Rows(as_text=options.format == "text")
        _follow(tail, path, options.lines, selection, rows)
    return 0


def _follow(tail: "Tail", path: Path, first: int, selection: Selection, rows: Rows) -> None:
    recent = [fields for line in tail.recent() if (fields := selection.take(line, plain(str(path)))) is not None]
    for fields in recent[max(0, len(recent) - first) :]:
        rows.put(fields)
    rows.end()
    while True:
        for line in tail.lines():
            fields = selection.take(line, plain(str(path)))
            if fields is not None:
                rows.put(fields)
        rows.end()
        sys.stdout.flush()
        time.sleep(_LOOK_S)


class Tail:
    """The end of a growing log.

    Raises:
        AuditError: there is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = 0  # the number of the record last returned, as far as it is known
        self._rest = b""
        opened = self._open()
        if opened is None:
            raise AuditError(f"{plain(str(path))}: no such file", "name a server's audit log (its `audit` setting)")
        self._file = opened

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def recent(self) -> list[bytes]:
        """The last lines that exist already."""
        size = os.fstat(self._file.fileno()).st_size
        self._file.seek(max(0, size - _RECENT))
        if size > _RECENT:
            self._file.readline()
        return list(self._read())

    def lines(self) -> Iterator[bytes]:
        """The lines added since the last call, in order, across all files.

        Raises:
            AuditError: the log cannot be read.
        """
        yield from self._read()
        new = self._changed()
        if new is None:
            return
        yield from self._read()  # what was written between the last read and the renaming
        self._file.close()
        yield from self._between(new)
        self._file, self._rest = new, b""
        yield from self._read()

    def _read(self) -> Iterator[bytes]:
        while chunk := self._file.readline(limits.AUDIT_RECORD + 1 - len(self._rest)):
            self._rest += chunk
            if not chunk.endswith(b"\n") and len(self._rest) <= limits.AUDIT_RECORD:
                return  # still being written
            line, self._rest = self._rest, b""
            self._last = first_seq(line) or self._last
            yield line

    def _changed(self) -> BinaryIO | None:
        """The file that now has the name, if it is a different one, or if this one was truncated."""
        new = self._open()
        if new is None:
            return None
        mine, its = os.fstat(self._file.fileno()), os.fstat(new.fileno())
        if os.path.samestat(mine, its) and mine.st_size >= self._file.tell():
            new.close()
            return None
        return new

    def _between(self, new: BinaryIO) -> Iterator[bytes]:
        """The lines of files that were made and renamed since the last call."""
        first = first_seq(new.readline(limits.AUDIT_RECORD))
        new.seek(0)
        if not self._last or first is None or first == self._last + 1:
            return
        parts = deque(part for part in in_order(rotated_beside(self._path)) if self._last < (part.first or 0) < first)
        for part in parts:
            for line in part.lines():
                self._last = first_seq(line) or self._last
                yield line
        if first != self._last + 1:
            missed = f"records {self._last + 1} to {first - 1}" if first > self._last else "another log follows"
            print(f"securecctl: {plain(str(self._path))}: missed: {missed}", file=sys.stderr)

    def _open(self) -> BinaryIO | None:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AuditError(f"{plain(str(self._path))}: {error.strerror}") from error
