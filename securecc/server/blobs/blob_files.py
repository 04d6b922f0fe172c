"""The files of a blob store: one for each blob, below two levels of directories; those that jobs read stay open."""

import contextlib
import errno
import itertools
import os
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from securecc.model.errors import StoreError
from securecc.model.manifest import Digest
from securecc.server.blobs.blob_directory import claim, clear
from securecc.server.blobs.blob_index import Blob
from securecc.system.stat_key import stat_key

_CLEAR_S = 2.0


class BlobFiles:
    """Claims and empties the directory when created. At most `descriptors` blobs are open at a time."""

    def __init__(self, path: Path, descriptors: int) -> None:
        """See the class.

        Raises:
            StoreError: the directory cannot be used, or another daemon uses it.
        """
        self._path = path
        self._descriptors = descriptors
        self._open: OrderedDict[Digest, tuple[Blob, int]] = OrderedDict()
        self._numbers = itertools.count()
        self._root = claim(path)
        try:
            clear(path)
        except StoreError:
            os.close(self._root)
            raise

    def close(self) -> None:
        """Closes all descriptors; empties the directory for at most _CLEAR_S: the next start does the rest."""
        if self._root < 0:
            return
        for _, fd in self._open.values():
            os.close(fd)
        self._open.clear()
        clear(self._path).join(_CLEAR_S)
        os.close(self._root)
        self._root = -1

    def descriptor(self, blob: Blob) -> int:
        """A blob's file, open for reading.

        Raises:
            LostError: it is gone or has changed.
            StoreError: too many are open.
        """
        known = self._open.get(blob.digest)
        if known is None:
            self._close_one()
            known = self._open[blob.digest] = (blob, self._open_again(blob))
        self._open.move_to_end(blob.digest)
        if stat_key(os.fstat(known[1])) == blob.stat_key:
            return known[1]
        self.delete([blob])
        raise LostError(f"blob {blob.digest.hex()} was damaged on disk", "send it again")

    def delete(self, blobs: Iterable[Blob]) -> None:
        """Removes the files of these blobs."""
        for blob in blobs:
            known = self._open.pop(blob.digest, None)
            if known is not None:
                os.close(known[1])
            self.discard(_name(blob.digest))

    def create(self, digest: Digest) -> tuple[int, str]:
        """A new file beside the blob's place that only this process may write: its descriptor and name.

        Raises:
            OSError: it cannot be made.
        """
        folder, _, _ = _name(digest).rpartition("/")
        name = f"{folder}/.arriving-{next(self._numbers)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(name, flags, 0o400, dir_fd=self._root), name
        except FileNotFoundError:
            for part in (folder[:2], folder):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=self._root)
            return os.open(name, flags, 0o400, dir_fd=self._root), name

    def put(self, name: str, digest: Digest) -> None:
        """Moves a file made by `create` to the blob's place.

        Raises:
            OSError: it cannot be moved.
        """
        os.rename(name, _name(digest), src_dir_fd=self._root, dst_dir_fd=self._root)

    def discard(self, name: str) -> None:
        """Removes a file, if it is there."""
        if name and self._root >= 0:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._root)

    def _open_again(self, blob: Blob) -> int:
        try:
            return os.open(_name(blob.digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._root)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise StoreError("no more descriptors for blobs", "raise LimitNOFILE of the service") from error
            raise LostError(f"blob {blob.digest.hex()} cannot be opened: {error.strerror}", "send it again") from error

    def _close_one(self) -> None:
        # A held blob may be in use, so it stays open.
        if len(self._open) < self._descriptors:
            return
        idle = next((blob for blob, _ in self._open.values() if blob.pins == 0), None)
        if idle is None:
            raise StoreError(f"all {self._descriptors} blob descriptors are in use", "raise LimitNOFILE of the service")
        os.close(self._open.pop(idle.digest)[1])


class LostError(StoreError):
    """A blob's file is gone or has changed."""


def _name(digest: Digest) -> str:
    text = digest.hex()
    return f"{text[:2]}/{text[2:4]}/{text[4:]}"
