"""Digests of toolchains' files by stat key."""

import threading
from collections.abc import Iterator, MutableMapping

from cachetools import LRUCache

from securecc.model import limits
from securecc.model.manifest import Digest
from securecc.system.stat_key import StatKey


class DigestCache(MutableMapping[StatKey, Digest]):
    """A mapping of at most `most` entries, which forgets the least recently used. Thread-safe: several compilers are
    digested at the same time.
    """

    def __init__(self, most: int = limits.TOOLCHAIN_DIGESTS) -> None:
        self._known: LRUCache[StatKey, Digest] = LRUCache(most)
        self._lock = threading.Lock()

    def __getitem__(self, key: StatKey) -> Digest:
        with self._lock:
            return self._known[key]

    def __setitem__(self, key: StatKey, digest: Digest) -> None:
        with self._lock:
            self._known[key] = digest

    def __delitem__(self, key: StatKey) -> None:
        with self._lock:
            del self._known[key]

    def __iter__(self) -> Iterator[StatKey]:
        with self._lock:
            return iter(tuple(self._known))

    def __len__(self) -> int:
        return len(self._known)
