"""What tells one state of a file from another without reading it."""

import os
from typing import NamedTuple


class StatKey(NamedTuple):
    """All that stat(2) shows of a change. Size in bytes, times in nanoseconds since the epoch."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def stat_key(status: os.stat_result) -> StatKey:
    """The key of the file that `status` describes."""
    return StatKey(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def path_stat_key(path: bytes, *, follow: bool = False) -> StatKey | None:
    """The key of whatever is at `path` now; None if nothing is there. `follow` resolves a symlink at its end."""
    try:
        return stat_key(os.stat(path, follow_symlinks=follow))
    except OSError:
        return None
