"""Which principal may use which blob, what each is charged, and which blob is evicted first. No I/O."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from securecc.model import limits
from securecc.model.errors import BlobError
from securecc.model.manifest import Digest


@dataclass(slots=True, eq=False)
class Blob:
    """One content of `size` bytes. It is not evicted while `pins`, the number of holds on it, is not 0. `stat_key`
    is its file's when its digest was last verified: nobody can set a ctime back.
    """

    digest: Digest
    size: int
    owners: set[str] = field(default_factory=set)
    pins: int = 0
    stat_key: tuple[int, ...] = ()


def charge(size: int) -> int:
    """What a blob of `size` bytes counts for: at least `limits.STORE_CHARGE`."""
    return max(size, limits.STORE_CHARGE)


def _idle(blobs: OrderedDict[Digest, Blob]) -> Iterator[Blob]:
    return (blob for blob in blobs.values() if blob.pins == 0)


class BlobIndex:
    """The accounts of a blob store: at most `limit` bytes in all, `quota` for what one principal has uploaded.

    Room is reserved before a blob arrives (`reserve`), so that blobs arriving at the same time cannot exceed a limit
    together. Methods return what they evict, for the caller to delete.
    """

    def __init__(self, limit: int, quota: int) -> None:
        self._limit = limit
        self.quota = min(quota, limit)
        self._blobs: OrderedDict[Digest, Blob] = OrderedDict()
        self._owned: OrderedDict[str, OrderedDict[Digest, Blob]] = OrderedDict()
        self._charged: dict[str, int] = {}
        self.used = 0

    def __len__(self) -> int:
        return len(self._blobs)

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._blobs

    def charged(self, principal: str) -> int:
        """Bytes charged to one principal, including those reserved."""
        return self._charged.get(principal, 0)

    def missing(self, principal: str, digests: Iterable[Digest]) -> list[Digest]:
        """Those that `principal` has not uploaded, each once, in the given order."""
        owned = self._owned.get(principal, ())
        return list(dict.fromkeys([digest for digest in digests if digest not in owned]))

    def pin(self, principal: str, digest: Digest) -> Blob | None:
        """The blob, if `principal` has uploaded it; it is not evicted until its `pins` is lowered again."""
        owned = self._owned.get(principal)
        blob = None if owned is None else owned.get(digest)
        if owned is None or blob is None:
            return None
        blob.pins += 1
        owned.move_to_end(digest)
        self._blobs.move_to_end(digest)
        return blob

    def reserve(self, principal: str, size: int, quota: int = 0) -> list[Blob]:
        """Makes room for one blob and returns what was evicted. `quota` is the principal's own, if not 0.

        Raises:
            BlobError: the blob is too large.
            NoRoomError: what is in use leaves no room.
        """
        cost = charge(size)
        quota = min(quota or self.quota, self._limit)
        if size < 0 or cost > quota or size > limits.BLOB:
            raise BlobError(f"a blob of {size} bytes; at most {min(limits.BLOB, quota)} are accepted")
        gone = self._admit(principal)
        gone += self._shrink_owned(principal, quota - cost)
        gone += self._shrink(self._limit - cost)
        if self.charged(principal) + cost > quota:
            advice = "start fewer jobs at a time, or raise store_per_principal"
            raise NoRoomError(f"{principal} has its quota of {quota} bytes in use", advice, gone)
        if self.used + cost > self._limit:
            raise NoRoomError(f"all {self._limit} bytes of the store are in use", "raise the limit `store`", gone)
        self.used += cost
        self._charged[principal] += cost
        return gone

    def release(self, principal: str, size: int) -> None:
        """Ends a reservation."""
        self.used -= charge(size)
        if principal in self._charged:
            self._charged[principal] -= charge(size)

    def add(self, principal: str, digest: Digest, size: int) -> Blob:
        """Adds a reserved blob that has arrived whole; its reservation becomes its charge, or ends if it was charged
        already.
        """
        self.release(principal, size)
        blob = self._blobs.get(digest)
        if blob is None:
            blob = self._blobs[digest] = Blob(digest, size)
            self.used += charge(size)
        owned = self._owned.setdefault(principal, OrderedDict())
        if digest not in owned:
            owned[digest] = blob
            blob.owners.add(principal)
            self._charged[principal] = self.charged(principal) + charge(size)
        return blob

    def drop(self, blob: Blob) -> None:
        """Removes a blob that is gone, for all its owners."""
        for principal in blob.owners:
            del self._owned[principal][blob.digest]
            self._charged[principal] -= charge(blob.size)
        blob.owners.clear()
        if self._blobs.pop(blob.digest, None) is not None:
            self.used -= charge(blob.size)

    def _admit(self, principal: str) -> list[Blob]:
        """Makes `principal` the most recent one; for a new one, returns what was evicted.

        Raises:
            NoRoomError: all principals that may be kept have blobs in use.
        """
        if principal in self._owned:
            self._owned.move_to_end(principal)
            return []
        gone: list[Blob] = []
        if len(self._owned) >= limits.STORE_PRINCIPALS:
            gone = self._shrink_owned(next(iter(self._owned)), 0)
            # Arriving blobs are charged too, so that no principal is forgotten in the middle of an upload.
            silent = next((name for name in self._owned if self._charged[name] == 0), None)
            if silent is None:
                raise NoRoomError(f"blobs of {limits.STORE_PRINCIPALS} principals are in use", "try again later", gone)
            del self._owned[silent], self._charged[silent]
        self._owned[principal] = OrderedDict()
        self._charged[principal] = 0
        return gone

    def _shrink_owned(self, principal: str, target: int) -> list[Blob]:
        """Removes least recently used blobs of `principal` until it is charged `target` bytes or all are pinned."""
        gone: list[Blob] = []
        if self.charged(principal) <= target:
            return gone
        for blob in list(_idle(self._owned[principal])):
            if self._charged[principal] <= target:
                break
            if len(blob.owners) == 1:
                self.drop(blob)
                gone.append(blob)
            else:
                blob.owners.discard(principal)
                del self._owned[principal][blob.digest]
                self._charged[principal] -= charge(blob.size)
        return gone

    def _shrink(self, target: int) -> list[Blob]:
        gone: list[Blob] = []
        excess = self.used - target
        if excess > 0:
            for blob in _idle(self._blobs):
                gone.append(blob)
                excess -= charge(blob.size)
                if excess <= 0:
                    break
        for blob in gone:
            self.drop(blob)
        return gone


class NoRoomError(BlobError):
    """No room could be made; `gone` is what was evicted in trying, for the caller to delete."""

    def __init__(self, message: str, advice: str, gone: list[Blob]) -> None:
        super().__init__(message, advice)
        self.gone = gone
