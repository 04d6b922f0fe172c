"""Replacing a file as a whole: a reader sees the old content or the new, and never a part."""

import contextlib
import os
from pathlib import Path

_RANDOM = 6  # bytes; not the process id, since containers share a home directory but not process ids
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_file(
    path: Path, content: bytes, *, mode: int = 0o600, like: os.stat_result | None = None, durable: bool = False
) -> None:
    """Replaces the file, or a symlink there, by one with `content`. `mode` is subject to the umask (open(2)); `like` is
    a file whose owner and exact mode the new one takes instead. A `durable` file survives a power failure, at the cost
    of an fsync(2).

    Raises:
        OSError: nothing was replaced, and no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(_RANDOM).hex()}")
    descriptor = os.open(temporary, _FLAGS, mode if like is None else 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if like is not None:
                os.fchown(descriptor, like.st_uid, like.st_gid)
                os.fchmod(descriptor, like.st_mode & 0o7777)
            file.write(content)
            if durable:
                file.flush()
                os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Makes the new name survive as well."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
