"""The policy's files on disk: read whole, with a limit, and judged by whoever else could write them."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from securecc.words.errors import PolicyError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes. `distrust` says why a daemon must not go by them (others could write them); empty: it may."""

    data: bytes
    distrust: str = ""


def read_file(path: Path, most: int) -> Content:
    """Reads a regular file of at most `most` bytes; a longer one is refused before it is read.

    Raises PolicyError for everything else: absent, unreadable, a folder, a device, a pipe that nobody writes to.
    """
    try:
        with open(path, "rb", opener=_opener) as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise PolicyError(f"{path}: not a regular file")
            data = b"" if found.st_size > most else stream.read(most + 1)
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path}: cannot be read: {_reason(error)}", "check the name and its permissions") from error
    if max(found.st_size, len(data)) > most:
        raise PolicyError(f"{path}: {found.st_size} bytes; at most {most} are read", "is it the right file?")
    return Content(data, _distrust(path, found))


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not keep us waiting for its writer


def _distrust(path: Path, found: os.stat_result) -> str:
    if found.st_mode & _OTHERS_WRITE:
        mode = stat.filemode(found.st_mode)
        return f"{path}: others than its owner may write it ({mode}); who writes it lets people in: chmod go-w {path}"
    if found.st_uid not in (0, os.geteuid()):
        return f"{path}: owned by uid {found.st_uid}, not by root or uid {os.geteuid()}: chown root {path}"
    return ""


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
