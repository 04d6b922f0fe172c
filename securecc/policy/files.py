"""The policy's files on disk: read up to a limit, and checked for others who could write them."""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from securecc.model.errors import PolicyError
from securecc.model.file_trust import distrust

_HARM = "can let anyone in"


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes. `distrust` says why a daemon must not use them (others could write them); empty: it may."""

    data: bytes
    distrust: str = ""


def read_file(path: Path, most: int, owners: Collection[int] = ()) -> Content:
    """Reads a regular file of at most `most` bytes; a longer one is refused before it is read. `owners` may own it
    besides root and this process's user.

    Raises:
        PolicyError: no such file, unreadable, too long, or a folder, device or pipe.
    """
    try:
        with open(path, "rb", opener=_opener) as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise PolicyError(f"{path}: not a regular file")
            data = b"" if found.st_size > most else stream.read(most + 1)
    except (OSError, ValueError) as error:
        failure = _unreadable(path, error)
        raise failure from error
    if max(found.st_size, len(data)) > most:
        raise PolicyError(f"{path}: {found.st_size} bytes; the limit is {most}", "check that it is the right file")
    return Content(data, distrust(str(path), found, (os.geteuid(), *owners), _HARM))


def list_folder(path: Path, most: int) -> tuple[str, ...]:
    """The names in a folder, sorted; hidden ones are left out.

    Raises:
        PolicyError: the folder is unreadable, or has more than `most` names.
    """
    try:
        names = tuple(sorted(name for name in os.listdir(path) if not name.startswith(".")))
    except (OSError, ValueError) as error:
        failure = _unreadable(path, error)
        raise failure from error
    if len(names) > most:
        raise PolicyError(f"{path}: {len(names)} files; the limit is {most}", "check that it is the right folder")
    return names


def folders_distrust(path: Path, owners: Collection[int] = (), harm: str = _HARM, *, group: bool = False) -> str:
    """Why a file's path must not be trusted: others could replace the file or a folder on the way to it, both as the
    path is written and through its symbolic links. Empty if it may be trusted. `group` as for `distrust`.
    """
    written = os.path.abspath(path)
    ways = {*Path(written).parents, *Path(os.path.realpath(written)).parents}
    for folder in sorted(ways, key=lambda each: len(each.parts)):
        try:
            said = distrust(str(folder), folder.stat(), (os.geteuid(), *owners), harm, group=group)
        except FileNotFoundError:
            continue  # it does not exist yet, so nobody owns it
        except OSError as error:
            said = f"{folder}: {error.strerror}"
        if said:
            return said
    return ""


def _unreadable(path: Path, error: Exception) -> PolicyError:
    return PolicyError(f"{path}: cannot be read: {_reason(error)}", "check its name and permissions")


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # never wait for the writer of a pipe


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
