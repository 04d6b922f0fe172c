"""What stands at a path at this moment."""

import os

from securecc.client.stat_key import Stamp, stamp_of


def look(path: bytes, *, follow: bool = False) -> Stamp | None:
    """The stamp of what is there; None for nothing. `follow` says whether of a symlink, or of what it leads to."""
    try:
        return stamp_of(os.stat(path, follow_symlinks=follow))
    except OSError:
        return None
