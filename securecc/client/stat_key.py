"""What tells one state of a file from another without reading it."""

import os

Stamp = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, mtime and ctime in nanoseconds."""


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of what `status` describes."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
