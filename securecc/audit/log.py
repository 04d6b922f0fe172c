"""The audit log on disk: one write(2) a record, so that it is there whole or not at all."""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from securecc.audit.chain import Link, head_line, parse_head, recover, seal, stamp
from securecc.audit.events import Repair
from securecc.audit.record import Record
from securecc.audit.text import text
from securecc.words import limits
from securecc.words.errors import AuditError

_TAIL = 2 * limits.AUDIT_RECORD  # holds the last whole line, whatever stands after it
_FLAGS = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEAD_SIZE = len(head_line(Link()))


class AuditLog:
    """An open audit log. For one thread and one process: the file is locked.

    Beside it stand ``PATH.head``, which says what was written last, and after a crash ``PATH.torn``, what was cut off
    the end. Opening continues the chain of an existing log, reading its end only. Raises AuditError when the file
    cannot be had, is a link, somebody else's, or no audit log.
    """

    def __init__(self, path: Path, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._clock = clock
        self._last = Link()
        self._owed: list[Record] = []
        self._unwritten = 0
        self._half = 0  # bytes at the file's end that a failed write left
        self._fd = -1
        self._head = -1
        self._open()

    @property
    def last(self) -> Link:
        """The record that was written last."""
        return self._last

    def append(self, record: Record) -> int:
        """Writes one record and returns its number. Raises AuditError, and leaves the log whole, if it cannot: what
        the record is about must not happen then. The next record that can be written says how many could not.
        """
        try:
            self._settle()
            self._write(record)
        except OSError as error:
            self._unwritten += 1
            advice = "free space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see the file system"
            raise AuditError(f"audit log {self._path} cannot be written: {error.strerror}", advice) from error
        return self._last.seq

    def sync(self) -> None:
        """Waits until all records are on the disk: for the daemon's start and stop, not for each job."""
        with _translated(self._path):
            os.fdatasync(self._fd)

    def reopen(self) -> None:
        """After the file was renamed (rotated): goes on in a new one, which continues the chain."""
        with _translated(self._path):
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(self._path), os.fstat(self._fd)):
                    return
            fd = _open_own(self._path, os.O_RDWR | os.O_APPEND, 0o640)
            if os.fstat(fd).st_size:
                os.close(fd)
                raise AuditError(f"{self._path} is another log", "rotate by renaming; the daemon makes the new file")
            os.close(self._fd)
            self._fd = fd
            self._half = 0

    def close(self) -> None:
        """Ends the use of the log. May be called again."""
        for fd in (self._fd, self._head):
            if fd >= 0:
                os.close(fd)
        self._fd = self._head = -1

    def _open(self) -> None:
        try:
            with _translated(self._path):
                self._fd = _open_own(self._path, os.O_RDWR | os.O_APPEND, 0o640)
                self._head = _open_own(self._path.with_name(self._path.name + ".head"), os.O_RDWR, 0o640)
                head = parse_head(os.pread(self._head, _HEAD_SIZE + 1, 0))
                self._continue(head or Link())
        except BaseException:
            self.close()
            raise

    def _continue(self, head: Link) -> None:
        size = os.fstat(self._fd).st_size
        tail = os.pread(self._fd, _TAIL, max(0, size - _TAIL))
        torn, last = recover(tail, whole=size <= _TAIL)
        if torn:
            self._owed.append(self._cut(tail[-torn:], size - torn))
        if last is not None and head.seq > last.seq:
            detail = f"records {last.seq + 1} to {head.seq} had been written and were gone at start"
            self._owed.append(Repair("missing", head.seq - last.seq, head.digest, detail))
        self._last = last or head  # no record at all: the log was rotated while nobody had it open

    def _cut(self, torn: bytes, size: int) -> Repair:
        path = self._path.with_name(self._path.name + ".torn")
        fd = _open_own(path, os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            if os.fstat(fd).st_size + len(torn) <= limits.AUDIT_TORN:
                os.write(fd, torn)
        finally:
            os.close(fd)
        os.ftruncate(self._fd, size)
        detail = f"{len(torn)} bytes of an unfinished record were cut off the end into {text(path.name)}"
        return Repair("torn", len(torn), hashlib.sha256(torn).hexdigest(), detail)

    def _settle(self) -> None:
        """What has to be put right before the next record."""
        if self._half:
            os.ftruncate(self._fd, max(0, os.fstat(self._fd).st_size - self._half))
            self._half = 0
        while self._owed:
            self._write(self._owed[0])
            del self._owed[0]
        if self._unwritten:
            self._write(Repair("unwritten", self._unwritten, "", f"{self._unwritten} records could not be written"))
            self._unwritten = 0

    def _write(self, record: Record) -> None:
        line, link = seal(record, self._last, stamp(self._clock()))
        written = os.write(self._fd, line)
        if written != len(line):
            self._half = written
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            self._half = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._last = link
        with contextlib.suppress(OSError):  # an old head is a true one
            os.pwrite(self._head, head_line(link), 0)


def _open_own(path: Path, flags: int, mode: int) -> int:
    """A regular file of our own that nobody else may write, locked."""
    fd = os.open(path, flags | _FLAGS, mode)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise AuditError(f"{path} is no regular file with one name", "name another")
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise AuditError(f"{path} belongs to somebody else, or others may write it", "chown and chmod 0640 it")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except BlockingIOError as error:
        raise AuditError(f"audit log {path} is in use by another daemon", "give each its own `audit`") from error
    except OSError as error:
        raise AuditError(f"audit log {error.filename or path}: {error.strerror}") from error
