"""The bytes of a result: in memory if they are few, else in an unnamed file."""

import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

from securecc.model import limits
from securecc.model.errors import AgentError

IN_MEMORY = 1 * limits.MIB
"""The largest result, in bytes, that stays in memory. Most objects are smaller; a file would cost system calls for
each.
"""

CHUNK = 256 * limits.KIB
"""The size of one piece of content, in bytes."""


class Spool:
    """Bytes written once, in order, and read anywhere. A file lives as long as the spool or one of its contents."""

    __slots__ = ("__weakref__", "_descriptor", "_parts")

    def __init__(self, size: int, *, in_memory: int = IN_MEMORY) -> None:
        """For `size` bytes; in memory if they are at most `in_memory`.

        Raises:
            AgentError: no file can be made for them.
        """
        self._parts: list[bytes] = []
        self._descriptor = -1
        if size > in_memory:
            self._descriptor = _unnamed_file()
            weakref.finalize(self, os.close, self._descriptor)

    @property
    def on_disk(self) -> bool:
        """Whether the bytes are in a file."""
        return self._descriptor >= 0

    def append(self, data: bytes) -> None:
        """Writes at the end.

        Raises:
            AgentError: the file cannot take them: the disk is full, for example.
        """
        if self._descriptor < 0:
            self._parts.append(data)
            return
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise AgentError(*_unusable(_folder(), error)) from error

    def read(self, at: int, size: int) -> bytes:
        """The `size` bytes from `at`.

        Raises:
            AgentError: the file cannot be read.
        """
        if self._descriptor < 0:
            if len(self._parts) > 1:
                self._parts = [b"".join(self._parts)]
            return self._parts[0][at : at + size] if self._parts else b""
        try:
            return os.pread(self._descriptor, size, at)  # a regular file is short only at its end (read(2))
        except OSError as error:
            raise AgentError(*_unusable(_folder(), error)) from error


@dataclass(frozen=True, slots=True)
class Content:
    """The `size` bytes of a spool from `start`."""

    spool: Spool
    start: int
    size: int

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """These bytes, in memory."""
        spool = Spool(len(data), in_memory=len(data))
        spool.append(data)
        return cls(spool, 0, len(data))

    def read(self) -> bytes:
        """All of it."""
        return self.spool.read(self.start, self.size)

    def chunks(self) -> Iterator[bytes]:
        """All of it, in pieces of at most CHUNK bytes."""
        end = self.start + self.size
        for at in range(self.start, end, CHUNK):
            yield self.spool.read(at, min(CHUNK, end - at))


def _folder() -> str:
    """Where files are made: XDG_RUNTIME_DIR and, on many machines, /tmp are in memory; /var/tmp is on disk
    (file-hierarchy(7)). An agent has a TMPDIR only if a user has started it.
    """
    return os.environ.get("TMPDIR") or "/var/tmp"  # noqa: S108 - files made there have no name


def _unnamed_file() -> int:
    folder = _folder()
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:  # NFS, for example, has no O_TMPFILE (open(2))
        pass
    try:
        descriptor, path = tempfile.mkstemp(dir=folder)
        os.unlink(path)
    except OSError as error:
        raise AgentError(*_unusable(folder, error)) from error
    return descriptor


def _unusable(folder: str, error: OSError) -> tuple[str, str]:
    return f"cannot keep a large result in {folder}: {error.strerror}", "free some space there"
