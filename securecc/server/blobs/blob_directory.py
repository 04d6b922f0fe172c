"""The directory of a blob store: used by one daemon alone, which removes what an earlier one left."""

import fcntl
import os
import re
import secrets
import shutil
import threading
from pathlib import Path

from securecc.model.errors import StoreError

_FOLDER = re.compile(r"[0-9a-f]{2}\Z")
_LEAVING = re.compile(r"\.leaving-[0-9a-f]{16}\Z")


def claim(path: Path) -> int:
    """Makes and locks the directory; returns its descriptor, which carries the lock.

    Raises:
        StoreError: the directory cannot be used, or another daemon uses it.
    """
    root = -1
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(root, 0o700)  # fails unless the daemon owns the directory
    except BlockingIOError as error:
        os.close(root)
        raise StoreError(f"blob store {path} is in use by another daemon", "give each its own `state`") from error
    except OSError as error:
        if root >= 0:
            os.close(root)
        raise StoreError(f"blob store {path}: {error.strerror}", "name a directory that the daemon owns") from error
    return root


def clear(path: Path) -> threading.Thread:
    """Removes only what a store has made: the directory may have been named by mistake.

    The files are moved aside at once and removed by a thread, since removing a hundred thousand takes longer than a
    service may take to start or stop. What is left when the process ends is removed the next time.

    Raises:
        StoreError: the directory cannot be read or written.
    """
    aside = path / f".leaving-{secrets.token_hex(8)}"
    try:
        made = [entry for entry in os.scandir(path) if _is(entry, _FOLDER)]
        if made:
            aside.mkdir(0o700)
        for entry in made:
            os.rename(entry.path, aside / entry.name)
        leaving = [entry.path for entry in os.scandir(path) if _is(entry, _LEAVING)]
    except OSError as error:
        raise StoreError(f"blob store {path}: {error.strerror}", "name a directory that the daemon owns") from error
    thread = threading.Thread(target=_remove, args=(leaving,), name="store-clear", daemon=True)
    thread.start()
    return thread


def _is(entry: "os.DirEntry[str]", named: re.Pattern[str]) -> bool:
    return named.match(entry.name) is not None and entry.is_dir(follow_symlinks=False)


def _remove(folders: list[str]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
