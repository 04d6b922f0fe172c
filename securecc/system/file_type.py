"""What type of file a path leads to."""

import os
import stat


def file_type(path: bytes) -> int:
    """The file type bits of stat(2), which follows symlinks, such as `stat.S_IFREG`; 0 if the path leads nowhere."""
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except OSError:
        return 0
