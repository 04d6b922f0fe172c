"""The names in a directory, remembered until it changes."""

import os
import stat
import time
from dataclasses import dataclass

from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.generational_cache import GenerationalCache
from securecc.system.stat_key import StatKey, stat_key

_LEAST_WEIGHT = 16  # names that an empty directory counts for: the listing itself takes memory, too


@dataclass(frozen=True, slots=True)
class Listing:
    """The names in one directory at one moment. `precompiled` are the names of headers that have a precompiled form
    there: ``.gch`` is gcc's, ``.pch`` clang's, which it also uses for a header named by -include.

    `racy`: a name may have appeared or disappeared without changing the stat key. `folds_case`: a name leads to a file
    whose name differs in case.
    """

    path: bytes
    stat_key: StatKey
    names: frozenset[bytes]
    precompiled: frozenset[bytes]
    racy: bool
    folds_case: bool = False


class DirectoryCache:
    """The listings that one agent has read. `most` bounds the names in all of them together."""

    def __init__(self, most: int = limits.DIRECTORY_NAMES_REMEMBERED) -> None:
        self._known: GenerationalCache[bytes, Listing] = GenerationalCache(most, weigh=_weight)

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        """Forgets all directories."""
        self._known.clear()

    def listing(self, path: bytes) -> Listing | None:
        """The directory as it is now (following symlinks, like a compiler's search); None if there is none.

        Raises:
            StaysLocal: it may not be listed, although files in it can still be found.
        """
        try:
            status = os.stat(path)
            if not stat.S_ISDIR(status.st_mode):
                return None
            now = stat_key(status)
            known = self._known.get(path)
            if known is not None and known.stat_key == now and not known.racy:
                return known
            rested = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)
            names = frozenset(os.listdir(path))
        except PermissionError as error:
            raise StaysLocal("input", f"{os.fsdecode(path)} cannot be listed: {error.strerror}") from error
        except OSError:
            return None
        racy = rested < limits.RACY_STAT_S * 1e9
        if known is not None and known.names == names:
            listing = Listing(path, now, known.names, known.precompiled, racy, known.folds_case)
        else:
            precompiled = frozenset(name[:-4] for name in names if name.endswith((b".gch", b".pch")))
            listing = Listing(path, now, names, precompiled, racy, _folds_case(path, names))
        self._known[path] = listing
        return listing


def _folds_case(path: bytes, names: frozenset[bytes]) -> bool:
    """Whether the directory finds one of its names in other letters. Of names that are not ASCII that is not known, and
    not ruled out.
    """
    for name in names:
        other = name.swapcase()
        if other != name and other not in names:
            return os.path.lexists(path + b"/" + other)
    return not all(map(bytes.isascii, names))


def _weight(listing: Listing) -> int:
    return max(len(listing.names), _LEAST_WEIGHT)
