"""The files of one job: which of them the server lacks, and their bytes as they arrive."""

from securecc.model.errors import PathError, Refused
from securecc.model.manifest import Digest, Kind, Manifest
from securecc.server.blobs.blob_store import BlobStore, Hold, Intake


class Upload:
    """Holds the blobs of one job in the store from the moment its manifest is known until `release`.

    `needed` are the indices of the manifest entries whose contents the client must send, each content once; `size` is
    their total in bytes.
    """

    def __init__(self, store: BlobStore, principal: str, manifest: Manifest, quota: int) -> None:
        """See the class.

        Raises:
            PathError: the manifest gives one content two sizes.
        """
        sizes = _sizes(manifest)
        self.blobs: Hold = store.hold(principal, sizes, quota)
        lacking = dict.fromkeys(self.blobs.missing)
        self.size = sum(sizes[digest] for digest in lacking)
        self._arriving: list[tuple[Digest, int]] = []
        self._intake: Intake | None = None
        needed = []
        for index, entry in enumerate(manifest.entries if lacking else ()):
            if entry.kind is Kind.FILE and entry.blob in lacking:
                del lacking[entry.blob]
                needed.append(index)
                self._arriving.append((entry.blob, entry.size))
        self._arriving.reverse()
        self.needed = tuple(needed)

    def advance(self) -> bool:
        """Prepares for the next content that is not empty. Returns whether all contents have arrived.

        Raises:
            StoreError: there is no room for it.
        """
        while self._intake is None and self._arriving:
            digest, size = self._arriving.pop()
            self._intake = self.blobs.intake(digest, size)
            if not size:
                self._finish(self._intake)
        return self._intake is None

    def receive(self, data: bytes) -> bool:
        """Takes some bytes of the content that is arriving. Returns whether all contents have arrived.

        Raises:
            Refused: no content is arriving.
            StoreError: there are too many bytes, they do not match the digest, or they cannot be written.
        """
        if self._intake is None:
            raise Refused("protocol", "the job sent bytes that were not asked for")
        self._intake.write(data)
        if self._intake.lacking:
            return False
        self._finish(self._intake)
        return self.advance()

    def abandon(self) -> None:
        """Drops the content that is arriving."""
        if self._intake is not None:
            self._intake.abandon()

    def release(self) -> None:
        """Releases the blobs. May be called more than once."""
        self.blobs.release()

    def _finish(self, intake: Intake) -> None:
        intake.finish()
        self._intake = None


def _sizes(manifest: Manifest) -> dict[Digest, int]:
    """Each content's size in bytes.

    Raises:
        PathError: the manifest gives one content two sizes.
    """
    sizes: dict[Digest, int] = {}
    for entry in manifest.entries:
        if entry.kind is Kind.FILE and sizes.setdefault(entry.blob, entry.size) != entry.size:
            raise PathError(f"one content of {sizes[entry.blob]} and of {entry.size} bytes")
    return sizes
