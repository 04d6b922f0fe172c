"""The audit log: a chain of records in a file, continued after crashes, full disks and rotation."""

import contextlib
import errno
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from securecc.audit.append_file import AppendFile, open_own, translated
from securecc.audit.chain import Link, first_seq, head_line, parse_head, recover, seal, stamp
from securecc.audit.records.daemon_events import Checkpoint, Repair
from securecc.audit.records.escaped_text import text
from securecc.audit.records.record import Record
from securecc.model import limits
from securecc.model.errors import AuditError

_TAIL = 2 * limits.AUDIT_RECORD  # holds the last whole line, whatever comes after it
_HEAD_SIZE = len(head_line(Link()))
_FRAME = 512  # the most bytes of a line besides its record

Sign = Callable[[Link, str], Checkpoint]
"""Makes the checkpoint of a link, with the given time."""


class AuditLog:
    """An open audit log, for one thread of one process: the file is locked.

    Beside it are ``PATH.head``, which names the last record, and after a crash ``PATH.torn``, with what was cut off
    the end. Opening continues the chain of an existing log and reads only its end. `sign` makes a checkpoint before the
    first record of every file, and whenever `every` records are not covered by one; `told` is called with each
    checkpoint. `known` is a record that is known to have been written. `clock` gives nanoseconds since the epoch.

    Raises:
        AuditError: the file cannot be opened, is a symbolic link or another user's, or is not an audit log.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], int] = time.time_ns,
        sign: Sign | None = None,
        every: int = limits.AUDIT_CHECKPOINT_RECORDS,
        told: Callable[[Checkpoint], None] = lambda _: None,
        known: Link | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._sign = sign
        self._every = every
        self._told = told
        self._last = Link()
        self._signed = 0
        self._owed: deque[tuple[str, Record]] = deque()
        self._owed_bytes = 0
        self._unwritten = 0
        self._head = -1
        self._ready = False
        self._file = AppendFile(path)
        try:
            with translated(path):
                self._head = open_own(path.with_name(path.name + ".head"), os.O_RDWR)
                head = parse_head(os.pread(self._head, _HEAD_SIZE + 1, 0)) or Link()
                self._continue(max(head, known or head, key=lambda link: link.seq))
                self._first = first_seq(os.pread(self._file.fd, _FRAME, 0)) or self._last.seq + 1
            self._ready = True
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> Link:
        """The last record that was written."""
        return self._last

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self._file.size

    @property
    def unsigned(self) -> int:
        """The number of records that no checkpoint covers yet."""
        return self._last.seq - self._signed

    @property
    def renamed(self) -> bool:
        """Whether the file was renamed or removed; `reopen` then continues in a new one."""
        return self._file.renamed()

    def append(self, record: Record) -> int:
        """Writes one record and returns its number.

        A record of something that has already happened is kept in memory if it cannot be written, and written once
        there is room; if too many are kept, a later record says how many were lost.

        Raises:
            AuditError: the record cannot be written; what it permits must not happen. The log stays complete.
        """
        now = stamp(self._clock())
        try:
            self._file.settle()
            with contextlib.suppress(OSError) if record.pressing else contextlib.nullcontext():
                self._settle()
            self._write(record, now)
        except OSError as error:
            self._keep(record, now)
            raise self._failed(error) from error
        return self._last.seq

    def checkpoint(self) -> None:
        """Signs the records that no checkpoint covers.

        Raises:
            AuditError: the checkpoint cannot be written.
        """
        if self._sign is None or not self.unsigned:
            return
        try:
            self._write_checkpoint(stamp(self._clock()))
        except OSError as error:
            raise self._failed(error) from error

    def descriptor(self) -> int:
        """A new descriptor of the file, for fdatasync(2) in another thread; the caller closes it.

        Raises:
            AuditError: there are no descriptors left.
        """
        with translated(self._path):
            return os.dup(self._file.fd)

    def rotate(self) -> Path:
        """Renames the file to ``PATH.FIRST-LAST``, after the records in it, and continues in a new one.

        Raises:
            AuditError: a file of that name exists, or the file cannot be renamed or the new one made.
        """
        self.checkpoint()
        target = self._path.with_name(f"{self._path.name}.{self._first}-{self._last.seq}")
        if os.path.lexists(target):
            raise AuditError(f"{target} exists already", "move it away: the log cannot be rotated to this name")
        with translated(self._path):
            os.rename(self._path, target)
        self.reopen()
        return target

    def reopen(self) -> None:
        """After the file was renamed: continues the chain in a new file.

        Raises:
            AuditError: the new file cannot be made, or is not empty.
        """
        if not self.renamed:
            return
        storage = AppendFile(self._path)
        if storage.size:
            storage.close()
            raise AuditError(f"{self._path} is another log", "rotate by renaming only: the daemon makes the new file")
        with contextlib.suppress(AuditError):  # the new file begins with one in any case
            self.checkpoint()
        with contextlib.suppress(OSError):
            self._file.settle()
        self._file.close()
        self._file = storage
        self._first = self._last.seq + 1
        self._signed = self._last.seq - self._every
        self.checkpoint()

    def close(self) -> list[Record]:
        """Closes the log; the records that were kept and could not be written. May be called again."""
        if self._ready:
            with contextlib.suppress(OSError, AuditError):
                self._settle()
                self.checkpoint()
        self._ready = False
        self._file.close()
        if self._head >= 0:
            os.close(self._head)
        self._head = -1
        kept = [record for _, record in self._owed]
        self._owed.clear()
        return kept

    def _continue(self, head: Link) -> None:
        """`head` is the last record that is known to have been written."""
        size = self._file.size
        tail = self._file.tail(_TAIL)
        torn, last = recover(tail, whole=size <= _TAIL)
        repairs = [self._cut(tail[-torn:])] if torn else []
        if last is not None and head.seq > last.seq:
            detail = f"records {last.seq + 1} to {head.seq} were written, but were missing at start"
            repairs.append(Repair("missing", head.seq - last.seq, head.digest, detail))
        if repairs:
            now = stamp(self._clock())
            self._owed.extend((now, repair) for repair in repairs)
        self._last = last or head  # no record at all: the log was rotated while no daemon had it open
        self._signed = self._last.seq - self._every

    def _cut(self, torn: bytes) -> Repair:
        path = self._path.with_name(self._path.name + ".torn")
        fd = open_own(path, os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            if os.fstat(fd).st_size + len(torn) <= limits.AUDIT_TORN:
                os.write(fd, torn)
        finally:
            os.close(fd)
        self._file.cut(len(torn))
        detail = f"{len(torn)} bytes of an incomplete record were cut off the end and moved to {text(path.name)}"
        return Repair("torn", len(torn), hashlib.sha256(torn).hexdigest(), detail)

    def _settle(self) -> None:
        """Writes what has to be written before the next record."""
        while self._owed:
            self._write(self._owed[0][1], self._owed[0][0])
            self._owed.popleft()
        self._owed_bytes = 0
        if self._unwritten:
            detail = f"{self._unwritten} records could not be written"
            self._write(Repair("unwritten", self._unwritten, "", detail), stamp(self._clock()))
            self._unwritten = 0

    def _keep(self, record: Record, now: str) -> None:
        """Keeps a record that could not be written, with the time of its event."""
        size = len(msgspec.json.encode(record)) + _FRAME
        if record.permits or size > limits.AUDIT_RECORD or self._owed_bytes + size > limits.AUDIT_OWED:
            self._unwritten += 1
            return
        self._owed.append((now, record))
        self._owed_bytes += size

    def _write(self, record: Record, now: str) -> None:
        if self._sign is not None and self.unsigned >= self._every:
            self._write_checkpoint(stamp(self._clock()))
        self._put(record, now)

    def _write_checkpoint(self, now: str) -> None:
        assert self._sign is not None
        record = self._sign(self._last, now)
        self._put(record, now)
        self._signed = self._last.seq
        self._told(record)

    def _put(self, record: Record, now: str) -> None:
        line, link = seal(record, self._last, now)
        self._file.append(line, leaving=0 if record.pressing else limits.AUDIT_RESERVE)
        self._last = link
        with contextlib.suppress(OSError):  # an outdated head is still correct
            os.pwrite(self._head, head_line(link), 0)

    def _failed(self, error: OSError) -> AuditError:
        advice = "free space on that disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the file system"
        return AuditError(f"audit log {self._path} cannot be written: {error.strerror}", advice)
