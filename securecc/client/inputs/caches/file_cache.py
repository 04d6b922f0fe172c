"""The content of a file: its digest, and what its text may ask for. Remembered by path until its stat key changes.

A stat key identifies content only if the file had been unchanged for a while before it was read. It may change again
within the same tick of the file system's clock; and while somebody has it open for writing, writes through a shared
mapping (mmap(2)) set the time only when a page becomes dirty: further ones show when the kernel has written it back.
"""

import errno
import fcntl
import os
import signal
import stat
import time
from dataclasses import dataclass, replace

from securecc.client.inputs import special_files
from securecc.compiler.source.directives import Directives, scan
from securecc.model import limits
from securecc.model.digest import sha256
from securecc.model.errors import StaysLocal
from securecc.model.generational_cache import GenerationalCache
from securecc.model.manifest import INPUT, Digest
from securecc.system.stat_key import StatKey, stat_key


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One regular file at one moment. `mode` holds the permission bits, `links` counts its hard links. `racy`: its stat
    key does not identify its content yet.
    """

    path: bytes
    stat_key: StatKey
    mode: int
    links: int
    digest: Digest
    racy: bool


class FileCache:
    """The files that one agent has read, `most` of them. Paths are absolute and physical (they cross no symlink)."""

    def __init__(self, most: int = limits.FILES_REMEMBERED) -> None:
        self._known: GenerationalCache[bytes, FileFacts] = GenerationalCache(most)
        self._directives: GenerationalCache[Digest, Directives] = GenerationalCache(most)

    def __len__(self) -> int:
        return len(self._known)

    def facts(self, path: bytes) -> FileFacts:
        """The file as it is now; reads it if necessary.

        Raises:
            StaysLocal: it is not a regular file (a special one is not opened), cannot be read or is larger than
            `limits.BLOB`: only the compiler itself can report that.
        """
        try:
            status = os.lstat(path)
            now = stat_key(status)
            known = self._known.get(path)
            if known is not None and known.stat_key == now and not known.racy:
                return known
            special_files.refuse(path, status.st_mode)
            found = self._read(path)
        except OSError as error:
            raise StaysLocal("input", f"{os.fsdecode(path)}: {os.strerror(error.errno or errno.EIO)}") from error
        if known is not None and known.digest == found.digest:
            found = replace(found, path=known.path, digest=known.digest)  # the same objects, to save memory
        self._known[found.path] = found
        return found

    def clear(self) -> None:
        """Forgets all files; what texts ask for stays known by digest."""
        self._known.clear()

    def standard_input(self, content: bytes) -> FileFacts:
        """Facts about what a compile is given on standard input, as if it were a file."""
        digest = sha256(content)
        self._scan(digest, content)
        return FileFacts(INPUT, StatKey(0, 0, len(content), 0, 0), 0o600, 1, digest, racy=True)

    def directives(self, file: FileFacts) -> Directives:
        """What the text of this file may ask for.

        Raises:
            StaysLocal: it has been forgotten, and the file has changed since.
        """
        found = self._directives.get(file.digest)
        return found if found is not None else self._scan(file.digest, self.content(file))

    def content(self, file: FileFacts) -> bytes:
        """The content that the facts describe.

        Raises:
            StaysLocal: the file cannot be read, or has changed.
        """
        try:
            with open(file.path, "rb") as stream:
                content = stream.read(limits.BLOB)
        except OSError as error:
            raise StaysLocal("input", f"{os.fsdecode(file.path)}: {error.strerror}") from error
        if sha256(content) != file.digest:
            raise StaysLocal("input", _changed(file.path))
        return content

    def _scan(self, digest: Digest, content: bytes) -> Directives:
        found = self._directives.get(digest)
        if found is None:
            self._directives[digest] = found = scan(content)
        return found

    def _read(self, path: bytes) -> FileFacts:
        """Reads and scans a file.

        Raises:
            StaysLocal: it is not a regular file, too large, or changes meanwhile.
            OSError: it cannot be read.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StaysLocal("input", f"{os.fsdecode(path)} is not a regular file")
            if status.st_size > limits.BLOB:
                raise StaysLocal("input", f"{os.fsdecode(path)} is larger than {limits.BLOB} bytes")
            settled_s = limits.SETTLED_S if _may_be_mapped(descriptor) else limits.RACY_STAT_S
            before = time.time_ns()
            content = _content(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        if len(content) != status.st_size:
            raise StaysLocal("input", _changed(path))
        digest = sha256(content)
        self._scan(digest, content)
        rested = before - max(status.st_mtime_ns, status.st_ctime_ns)
        racy = rested < settled_s * 1e9
        return FileFacts(path, stat_key(status), stat.S_IMODE(status.st_mode), status.st_nlink, digest, racy=racy)


def _may_be_mapped(descriptor: int) -> bool:
    """Whether somebody may have the file open for writing, by a descriptor or a mapping: then it can be leased to no
    reader (fcntl(2), "Leases"). Also where leases are refused, for others' files and on some file systems.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # for whoever opens it meanwhile; ignored by default
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return True
    return False


def _changed(path: bytes) -> str:
    return f"{os.fsdecode(path)} changed while it was being read"


def _content(descriptor: int, size: int) -> bytes:
    """The whole file; tries to read one byte more than `size`, to detect growth."""
    parts = []
    left = size + 1
    while left > 0:
        part = os.read(descriptor, left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
