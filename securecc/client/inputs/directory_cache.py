"""Which names a directory holds, remembered as long as the directory does not change."""

import os
import stat
import time
from dataclasses import dataclass

from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.system.stat_key import StatKey, stat_key


@dataclass(frozen=True, slots=True)
class Listing:
    """The names in one directory at one moment. `precompiled` are the names of headers that a precompiled form is there
    for: ``.gch`` is gcc's, ``.pch`` clang's, which it also takes for a header named by -include.

    `racy`: a name may have come or gone without the stamp changing.
    """

    path: bytes
    stamp: StatKey
    names: frozenset[bytes]
    precompiled: frozenset[bytes]
    racy: bool


class DirectoryCache:
    """The listings of one agent's life."""

    def __init__(self) -> None:
        self._known: dict[bytes, Listing] = {}

    def look(self, path: bytes) -> Listing | None:
        """The directory as it is now (symlinks followed, as a compiler's search does), None where there is none.

        Raises StaysLocal where it may not be listed, for files can be found in it all the same.
        """
        try:
            status = os.stat(path)
            if not stat.S_ISDIR(status.st_mode):
                return None
            now = stat_key(status)
            known = self._known.get(path)
            if known is not None and known.stamp == now and not known.racy:
                return known
            rested = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)
            names = frozenset(os.listdir(path))
        except PermissionError as error:
            raise StaysLocal("input", f"{os.fsdecode(path)} cannot be listed: {error.strerror}") from error
        except OSError:
            return None
        racy = rested < limits.RACY_STAT_S * 1e9
        if known is not None and known.names == names:
            listing = Listing(path, now, known.names, known.precompiled, racy)
        else:
            precompiled = frozenset(name[:-4] for name in names if name.endswith((b".gch", b".pch")))
            listing = Listing(path, now, names, precompiled, racy)
        self._known[path] = listing
        return listing
