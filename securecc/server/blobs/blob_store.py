"""Blobs by their SHA-256, on disk for as long as one daemon runs.

A principal can use only what it has uploaded itself: knowing a digest gives no access to another's file. Blobs of an
earlier daemon are removed at start, because who uploaded what is kept only in memory.
"""

import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from securecc.model import limits
from securecc.model.errors import BlobError, StoreError
from securecc.model.manifest import Digest
from securecc.server.blobs.blob_files import BlobFiles, LostError
from securecc.server.blobs.blob_index import Blob, BlobIndex, NoRoomError
from securecc.system.stat_key import stat_key

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class BlobStore:
    """The blob store of one daemon. Not thread-safe.

    `limit` bounds the bytes of all blobs, `quota` those that one principal has uploaded, `descriptors` the blobs kept
    open. The least recently used blob is evicted first; a blob in a `Hold` is never evicted.
    """

    def __init__(
        self,
        path: Path,
        *,
        limit: int = limits.STORE,
        quota: int = limits.STORE_PER_PRINCIPAL,
        descriptors: int = limits.STORE_DESCRIPTORS,
    ) -> None:
        """See the class.

        Raises:
            StoreError: the directory cannot be used, or another daemon uses it.
        """
        self._index = BlobIndex(limit, quota)
        self._files = BlobFiles(path, descriptors)

    @property
    def used(self) -> int:
        """Bytes charged for the blobs that have arrived and those that are arriving."""
        return self._index.used

    def __len__(self) -> int:
        return len(self._index)

    def charged(self, principal: str) -> int:
        """Bytes charged to one principal."""
        return self._index.charged(principal)

    def missing(self, principal: str, digests: Iterable[Digest]) -> list[Digest]:
        """Those that `principal` must upload before it may use them, each once, in the given order."""
        return self._index.missing(principal, digests)

    def hold(self, principal: str, digests: Iterable[Digest], quota: int = 0) -> "Hold":
        """Keeps those of `digests` that `principal` may use from being evicted; `Hold.missing` lists the others.
        `quota` is the principal's own, if not 0.
        """
        return Hold(self, principal, digests, quota)

    def intake(self, principal: str, digest: Digest, size: int, quota: int = 0) -> "Intake":
        """Receives one blob of `size` bytes. `quota` is the principal's own, if not 0.

        Raises:
            NoRoomError: there is no room for it.
        """
        try:
            gone = self._index.reserve(principal, size, quota)
        except NoRoomError as error:
            self._files.delete(error.gone)
            raise
        self._files.delete(gone)
        return Intake(self, principal, digest, size)

    def close(self) -> None:
        """Closes all files, and removes what it can in a moment. No Hold or Intake may be used afterwards."""
        self._files.close()

    # Used by Hold and Intake.

    def _pin(self, principal: str, digest: Digest) -> Blob | None:
        return self._index.pin(principal, digest)

    def _descriptor(self, blob: Blob) -> int:
        try:
            return self._files.descriptor(blob)
        except LostError:
            self._index.drop(blob)
            raise

    def _create(self, digest: Digest) -> tuple[int, str]:
        return self._files.create(digest)

    def _put(self, intake: "Intake", temporary: str, fd: int) -> Blob:
        if intake.digest in self._index:
            self._files.discard(temporary)
            return self._index.add(intake.principal, intake.digest, intake.size)
        self._files.put(temporary, intake.digest)
        blob = self._index.add(intake.principal, intake.digest, intake.size)
        blob.stat_key = stat_key(os.fstat(fd))
        return blob

    def _give_up(self, intake: "Intake", temporary: str) -> None:
        self._index.release(intake.principal, intake.size)
        self._files.discard(temporary)


class Intake:
    """One incoming blob. Ends with `finish` or `abandon`; leaving its `with` block abandons it if unfinished."""

    def __init__(self, store: BlobStore, principal: str, digest: Digest, size: int) -> None:
        self.principal = principal
        self.digest = digest
        self.size = size
        self._store = store
        self._hold: Hold | None = None
        self._sha = hashlib.sha256()
        self._arrived = 0
        self._fd = -1
        self._temporary = ""
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    @property
    def ended(self) -> bool:
        """Whether it was finished or abandoned."""
        return self._ended

    @property
    def lacking(self) -> int:
        """Bytes still to come."""
        return self.size - self._arrived

    def write(self, chunk: bytes | memoryview) -> None:
        """Takes the next bytes. Abandons the blob on failure.

        Raises:
            BlobError: there are more than were announced.
            StoreError: they cannot be written.
        """
        self._check_open()
        if len(chunk) > self.lacking:
            self.abandon()
            raise BlobError(f"blob {self.digest.hex()} is longer than the {self.size} bytes announced")
        self._sha.update(chunk)
        self._arrived += len(chunk)
        try:
            if self._fd < 0:
                self._fd, self._temporary = self._store._create(self.digest)  # noqa: SLF001 - two halves of one module
            _write_all(self._fd, chunk)
        except OSError as error:
            self.abandon()
            raise StoreError(*_trouble(error)) from error

    def finish(self) -> None:
        """Checks that all bytes are there: from now on `principal` may use the blob. Abandons it on failure.

        Raises:
            BlobError: bytes are missing, or do not match the digest.
            StoreError: they cannot be written.
        """
        self._check_open()
        if self._fd < 0:
            self.write(b"")
        if self.lacking or self._sha.digest() != self.digest:
            self.abandon()
            raise BlobError(f"the bytes sent for blob {self.digest.hex()} have another digest", "read the file again")
        try:
            blob = self._store._put(self, self._temporary, self._fd)  # noqa: SLF001 - two halves of one module
        except OSError as error:
            self.abandon()
            raise StoreError(*_trouble(error)) from error
        self._end()
        if self._hold is not None:
            self._hold._add(blob)  # noqa: SLF001 - two halves of one module

    def abandon(self) -> None:
        """Drops what has arrived. May be called at any time."""
        if not self._ended:
            self._end()
            self._store._give_up(self, self._temporary)  # noqa: SLF001 - two halves of one module

    def _check_open(self) -> None:
        if self._ended:
            raise StoreError(f"blob {self.digest.hex()} has ended already")

    def _end(self) -> None:
        self._ended = True
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Hold:
    """The blobs of one job, kept until `release` (or the end of its `with` block).

    `missing` lists what the principal must upload first.
    """

    def __init__(self, store: BlobStore, principal: str, digests: Iterable[Digest], quota: int = 0) -> None:
        self._store = store
        self._principal = principal
        self._quota = quota
        self._blobs: dict[Digest, Blob] = {}
        self._missing: dict[Digest, None] = {}
        pin = store._pin  # noqa: SLF001 - two halves of one module
        for digest in dict.fromkeys(digests):
            blob = pin(principal, digest)
            if blob is None:
                self._missing[digest] = None
            else:
                self._blobs[digest] = blob

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __len__(self) -> int:
        """How many blobs are held."""
        return len(self._blobs)

    @property
    def missing(self) -> list[Digest]:
        """What must still be uploaded, each digest once, in the order asked for."""
        return list(self._missing)

    def intake(self, digest: Digest, size: int) -> Intake:
        """As `BlobStore.intake`; `finish` adds the blob to this hold."""
        intake = self._store.intake(self._principal, digest, size, self._quota)
        intake._hold = self  # noqa: SLF001 - two halves of one module
        return intake

    def descriptors(self, digests: Iterable[Digest]) -> list[int]:
        """A read-only descriptor for each digest, borrowed until `release`: pass them on, do not close them.

        They are shared with other jobs, so a reader must give offsets (pread, copy_file_range) and never seek.

        Raises:
            StoreError: a blob is not held, or was damaged on disk (and is missing from then on).
        """
        try:
            blobs = [self._blobs[digest] for digest in digests]
        except KeyError as error:
            raise StoreError(f"blob {error.args[0].hex()} was not sent") from error
        found, trouble = [], None
        for blob in blobs:  # checks all of them, so that all damaged ones are sent again together
            try:
                found.append(self._store._descriptor(blob))  # noqa: SLF001 - two halves of one module
            except StoreError as error:
                trouble = error
        if trouble is not None:
            raise trouble
        return found

    def release(self) -> None:
        """Releases all blobs. May be called more than once."""
        for blob in self._blobs.values():
            blob.pins -= 1
        self._blobs = {}

    def _add(self, blob: Blob) -> None:
        if blob.digest not in self._blobs:
            blob.pins += 1
            self._blobs[blob.digest] = blob
            self._missing.pop(blob.digest, None)


def _write_all(fd: int, chunk: bytes | memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(fd, chunk) :]


def _trouble(error: OSError) -> tuple[str, str]:
    """Why a blob could not be written, and what to do."""
    if error.errno in _FULL:
        return "the disk of the blob store is full", "free space there or lower the limit `store`"
    return f"the blob store cannot be written: {error.strerror}", ""
