"""The known sources on disk: one per line, with the time (seconds since the epoch) of the last admission from there."""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path

from securecc.model import limits
from securecc.system.atomic_file import replace_file

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read(path: Path) -> dict[str, float]:
    """Times by source; none if there is no file. Invalid lines are ignored: losing a source costs at most a wait.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        return {}
    with open(descriptor, "rb") as file:
        return parse(file.read(limits.KNOWN_FILE))


def parse(data: bytes) -> dict[str, float]:
    """Times by source, from the bytes of a file."""
    found: dict[str, float] = {}
    for line in data.decode("ascii", "replace").splitlines()[: limits.KNOWN_SOURCES]:
        source, _, at = line.partition(" ")
        if at.isascii() and at.isdigit() and len(at) <= 12 and _is_source(source):  # noqa: PLR2004 (the year 33658)
            found[source] = float(at)
    return found


def write(path: Path, seen: Mapping[str, float]) -> None:
    """Replaces the file.

    Raises:
        OSError: it cannot be written.
    """
    lines = "".join(f"{source} {int(at)}\n" for source, at in seen.items())
    replace_file(path, lines.encode())


def _is_source(text: str) -> bool:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return False
    return network.num_addresses == 1 or network.version == 6  # noqa: PLR2004 (an IPv6 source is a /64)
