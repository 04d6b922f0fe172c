"""The directory of a blob store: one daemon's alone, and empty at its start and end."""

import fcntl
import os
import re
import shutil
from pathlib import Path

from securecc.words.errors import StoreError

_FOLDER = re.compile(r"[0-9a-f]{2}\Z")


def claim(path: Path) -> int:
    """Makes, locks and empties the directory; returns its descriptor, which carries the lock."""
    root = -1
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(root, 0o700)  # only the owner may: somebody else's directory ends here
        empty(path)
    except BlockingIOError as error:
        os.close(root)
        raise StoreError(f"blob store {path} is in use by another daemon", "give each its own `state`") from error
    except OSError as error:
        if root >= 0:
            os.close(root)
        raise StoreError(f"blob store {path}: {error.strerror}", "give a directory of the daemon's own") from error
    return root


def empty(path: Path) -> None:
    """Removes what a store makes and nothing else: the directory may have been named by mistake."""
    for entry in list(os.scandir(path)):
        if _FOLDER.match(entry.name) and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
