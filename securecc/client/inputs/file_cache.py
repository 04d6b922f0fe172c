"""What a file was when it was looked at: its stamp, the digest of its content, what its content may ask for.

A digest is remembered by path and stamp. A stamp is trusted only when the file had rested for a while when it was
read: a file changed within `RACY_STAT_S` may change once more without its stamp changing.
"""

import errno
import os
import stat
import time
from dataclasses import dataclass

from securecc.client.inputs import special_files
from securecc.compiler.source.directives import Directives, scan
from securecc.model import limits
from securecc.model.digest import sha256
from securecc.model.errors import StaysLocal
from securecc.model.manifest import INPUT, Digest
from securecc.system.stat_key import StatKey, stat_key


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file at one moment. `racy`: its stamp does not vouch for its content yet."""

    path: bytes
    stamp: StatKey
    mode: int
    links: int
    digest: Digest
    racy: bool


class FileCache:
    """The fingerprints of one agent's life. Paths are absolute, physical (no symlink in them), bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, FileFacts] = {}
        self._directives: dict[Digest, Directives] = {}

    def look(self, path: bytes) -> FileFacts:
        """The file as it is now; reads it if need be.

        Raises StaysLocal when it is no regular file (a special one is not opened), cannot be read or is over the
        limit: the compiler alone knows what to say to that.
        """
        try:
            status = os.lstat(path)
            now = stat_key(status)
            known = self._known.get(path)
            if known is not None and known.stamp == now and not known.racy:
                return known
            special_files.refuse(path, status.st_mode)
            seen = self._read(path)
        except OSError as error:
            raise StaysLocal("input", f"{os.fsdecode(path)}: {os.strerror(error.errno or errno.EIO)}") from error
        if known is not None and known.stamp == seen.stamp and known.digest == seen.digest and not seen.racy:
            seen = FileFacts(known.path, known.stamp, seen.mode, seen.links, known.digest, racy=False)
        self._known[seen.path] = seen
        return seen

    def given(self, content: bytes) -> FileFacts:
        """Standard input, as if it were a file."""
        digest = sha256(content)
        if digest not in self._directives:
            self._directives[digest] = scan(content)
        return FileFacts(INPUT, StatKey(0, 0, len(content), 0, 0), 0o600, 1, digest, racy=True)

    def directives(self, fingerprint: FileFacts) -> Directives:
        """What the content of a file that was looked at may ask for."""
        return self._directives[fingerprint.digest]

    def content(self, fingerprint: FileFacts) -> bytes:
        """What a file that was looked at contains. Raises StaysLocal when it does no longer."""
        try:
            with open(fingerprint.path, "rb") as file:
                content = file.read(limits.BLOB)
        except OSError as error:
            raise StaysLocal("input", f"{os.fsdecode(fingerprint.path)}: {error.strerror}") from error
        if sha256(content) != fingerprint.digest:
            raise StaysLocal("input", f"{os.fsdecode(fingerprint.path)} changes while it is read")
        return content

    def _read(self, path: bytes) -> FileFacts:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StaysLocal("input", f"{os.fsdecode(path)} is no regular file")
            if status.st_size > limits.BLOB:
                raise StaysLocal("input", f"{os.fsdecode(path)} is larger than {limits.BLOB} bytes")
            before = time.time_ns()
            content = _content(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        if len(content) != status.st_size:
            raise StaysLocal("input", f"{os.fsdecode(path)} changes while it is read")
        digest = sha256(content)
        if digest not in self._directives:
            self._directives[digest] = scan(content)
        rested = before - max(status.st_mtime_ns, status.st_ctime_ns)
        racy = rested < limits.RACY_STAT_S * 1e9
        return FileFacts(path, stat_key(status), stat.S_IMODE(status.st_mode), status.st_nlink, digest, racy=racy)


def _content(descriptor: int, size: int) -> bytes:
    """One byte more than `size` is asked for, so that a file that grows shows."""
    parts = []
    left = size + 1
    while left > 0:
        part = os.read(descriptor, left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
