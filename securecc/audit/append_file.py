"""A file of the daemon's own to which lines are appended: each is written whole or not at all."""

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from securecc.model import limits
from securecc.model.errors import AuditError

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE (linux/falloc.h)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)


class AppendFile:
    """An open, locked file. `path` is its name when it was opened. Methods raise OSError unless they say otherwise.

    Raises:
        AuditError: not a regular file of our own with a single link, or in use by another process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with translated(path):
            self.fd = open_own(path, os.O_RDWR | os.O_APPEND)
        self.size = os.fstat(self.fd).st_size
        self._half = 0  # bytes at the end that a failed write left
        self._allocated = self.size
        self._allocates = True

    def tail(self, most: int) -> bytes:
        """The last `most` bytes, or all of a shorter file."""
        return os.pread(self.fd, most, max(0, self.size - most))

    def append(self, line: bytes, *, leaving: int = 0) -> None:
        """Appends the line with one write(2), if the disk has room for it and for `leaving` more bytes.

        These are reserved (fallocate(2)), so that a later line with `leaving` 0 can be written although the disk is
        full. On a file system that cannot reserve, only the line itself is written.

        Raises:
            OSError: the disk is full, or another fault; nothing of the line stays in the file.
        """
        self.settle()
        if leaving:
            self._reserve(self.size + len(line) + leaving)
        written = os.write(self.fd, line)
        if written != len(line):
            self._half = written
            self.settle()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += written

    def settle(self) -> None:
        """Removes what a failed write left."""
        if self._half:
            self.cut(self._half)
            self._half = 0

    def cut(self, count: int) -> None:
        """Removes `count` bytes from the end, and releases what was reserved."""
        size = max(0, os.fstat(self.fd).st_size - count)
        os.ftruncate(self.fd, size)
        self.size = self._allocated = size

    def renamed(self) -> bool:
        """Whether the name now belongs to another file, or to none.

        Raises:
            AuditError: the file system cannot tell.
        """
        with translated(self.path), contextlib.suppress(FileNotFoundError):
            return not os.path.samestat(os.lstat(self.path), os.fstat(self.fd))
        return True

    def close(self) -> None:
        """Releases what was reserved, and the descriptor. May be called again."""
        if self.fd < 0:
            return
        with contextlib.suppress(OSError):
            if self._allocated > self.size:
                self.cut(0)
        os.close(self.fd)
        self.fd = -1

    def _reserve(self, end: int) -> None:
        if end <= self._allocated or not self._allocates:
            return
        try:
            self._fallocate(end + limits.AUDIT_AHEAD)
        except OSError as error:
            if error.errno not in _FULL:
                self._allocates = False
                return
            self._fallocate(end)

    def _fallocate(self, end: int) -> None:
        while _libc.fallocate(self.fd, _KEEP_SIZE, self.size, end - self.size):
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code))
        self._allocated = end


def open_own(path: Path, flags: int, mode: int = 0o640) -> int:
    """Opens, creates if needed, and locks a regular file of our own that nobody else may write.

    Raises:
        OSError: the file cannot be opened or locked.
        AuditError: not a regular file, or others own it or may write it.
    """
    try:
        fd = os.open(path, flags | _FLAGS | os.O_CREAT | os.O_EXCL, mode)
        os.fchmod(fd, mode)  # regardless of the umask: the site may let a group read it
    except FileExistsError:
        fd = os.open(path, flags | _FLAGS)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise AuditError(f"{path} is not a regular file with a single link", "name another file")
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise AuditError(f"{path} belongs to another user, or others may write it", "chown it and chmod 0640 it")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns every OSError into an AuditError that names the file.

    Raises:
        AuditError: in place of an OSError.
    """
    try:
        yield
    except BlockingIOError as error:
        raise AuditError(f"audit log {path} is in use by another daemon", "give each daemon its own `audit`") from error
    except OSError as error:
        raise AuditError(f"audit log {error.filename or path}: {error.strerror}") from error
