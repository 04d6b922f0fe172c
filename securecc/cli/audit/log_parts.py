"""The files of a log: the one that the daemon writes, and the rotated ones, compressed or not."""

import argparse
import gzip
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from securecc.audit.chain import Link, first_seq, parse_head
from securecc.cli.printing import plain
from securecc.daemon.settings import read_settings
from securecc.model import limits
from securecc.model.errors import AuditError

CONFIG: Final = Path("/etc/securecc/config.yaml")

_SETTLE_S = 0.2  # by then, a line that was being written is complete
_GZIP = b"\x1f\x8b"
_BESIDE = (".head", ".torn", ".new")


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a log. `first` is the number of its first record, None if it does not begin with a record; an `empty`
    file has not been written to yet.
    """

    path: Path
    first: int | None
    empty: bool = False

    def lines(self) -> Iterator[bytes]:
        """Lines with their newline, at most one byte longer than a record may be.

        Raises:
            AuditError: the file cannot be read.
        """
        with _opened(self.path) as file:
            while line := file.readline(limits.AUDIT_RECORD + 1):
                if not line.endswith(b"\n") and len(line) <= limits.AUDIT_RECORD:
                    time.sleep(_SETTLE_S)
                    line += file.readline(limits.AUDIT_RECORD + 1 - len(line))
                yield line


def add_files(parser: argparse.ArgumentParser, *, rotated: bool = False) -> None:
    """Adds the arguments that name logs; `rotated` adds the option for older parts."""
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="a log (default: this server's own)")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the server's configuration (default: %(default)s)")
    if rotated:
        parser.add_argument("--rotated", action="store_true", help="include the rotated parts beside the log")


def parts_of(options: argparse.Namespace, *, rotated: bool) -> list[Part]:
    """The parts that the options name, oldest first, with the rotated ones beside them if `rotated`. What a daemon
    keeps beside its log is left out: ``audit.jsonl*`` matches it too.

    Raises:
        AuditError: a file cannot be read.
        ConfigError: no file is named, and the server's configuration cannot be read.
    """
    paths = options.files or [read_settings(options.config).audit.file]
    paths = [path for path in paths if path.suffix not in _BESIDE or path.with_suffix("") not in paths]
    return in_order(path for name in paths for path in ([name, *rotated_beside(name)] if rotated else [name]))


def rotated_beside(path: Path) -> list[Path]:
    """The rotated parts of a log: files with its name, a dot or dash, and more.

    Raises:
        AuditError: the folder cannot be read.
    """
    try:
        names = sorted(path.parent.iterdir())
    except OSError as error:
        raise AuditError(f"{path.parent}: {error.strerror}") from error
    starts = (path.name + ".", path.name + "-")
    return [name for name in names if name.name.startswith(starts) and name.suffix not in _BESIDE and name.is_file()]


def in_order(paths: Iterable[Path]) -> list[Part]:
    """Each file once, sorted by first record; files that do not begin with a record come first, so that they are
    reported.

    Raises:
        AuditError: a file cannot be read.
    """
    parts: dict[tuple[int, int], Part] = {}
    for path in paths:
        with _opened(path) as file:
            start = file.readline(limits.AUDIT_RECORD)
            status = _status(path)
        parts.setdefault(status, Part(path, first_seq(start), empty=not start))
    return sorted(parts.values(), key=lambda part: part.first or 0)


def head_beside(parts: Iterable[Part]) -> Link | None:
    """The last record according to the ``.head`` file beside one of these; None without such a file."""
    heads = []
    for part in parts:
        try:
            heads.append(parse_head(part.path.with_name(part.path.name + ".head").read_bytes()))
        except OSError:
            continue
    return max((head for head in heads if head is not None), key=lambda head: head.seq, default=None)


def _status(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise AuditError(f"{plain(str(path))}: {error.strerror}") from error
    return status.st_dev, status.st_ino


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Opens a file, compressed or not.

    Raises:
        AuditError: it cannot be opened, or read later.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            yield gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[misc]
    except (EOFError, zlib.error) as error:
        raise AuditError(f"{plain(str(path))}: not a complete gzip file") from error
    except OSError as error:
        advice = "name a server's audit log (its `audit` setting)"
        raise AuditError(f"{plain(str(path))}: {error.strerror or error}", advice) from error
