"""The kind of terminal that a clang is told of, which asks its description whether it has colours (terminfo(5)).

A server has the descriptions of the toolchain, and none of a person's own. Where another may count here, tput(1), which
finds and reads them as clang does, says once whether there are colours, and the server is told of a kind that agrees.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator, Mapping

from securecc.client.ipc.frames import Request
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model import limits
from securecc.model.errors import StaysLocal

COLOURED, PLAIN = b"xterm", b"dumb"
ASKED_AGAIN_S = 60.0
"""A description may be installed, or changed, while an agent lives."""

_DECIDING = (b"TERM", b"TERMINFO", b"TERMINFO_DIRS", b"HOME")
_READS = b"/libtinfo.so"  # a clang without it goes by the name
_UNKNOWN = 3  # tput(1), "EXIT CODES"
_REMEMBERED = 64


class TerminalTypes:
    """The answers of one agent's life."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes | None, ...], tuple[float, bytes]] = {}

    async def kind(self, closure: ToolchainClosure, asked: Request) -> bytes:
        """The TERM that a server is to be told. Raises StaysLocal where nobody says what a terminal can do."""
        name = asked.environment.get(b"TERM", b"")
        if closure.family != "clang" or not asked.terminal.error or not name:
            return name
        entry = _entry(name)
        described = any(place and _describes(place, entry) for place in _places(asked.environment))
        if _has(closure, entry) and not described:
            return name
        key = tuple(map(asked.environment.get, _DECIDING))
        asked_at, found = self._known.get(key, (-ASKED_AGAIN_S, b""))
        if time.monotonic() - asked_at >= ASKED_AGAIN_S:
            if not _has(closure, _entry(COLOURED)) or not any(_READS in file.path for file in closure.files):
                raise StaysLocal("terminal", f"clang may know a terminal of the kind {os.fsdecode(name)} here alone")
            found = COLOURED if await asyncio.to_thread(_colours, asked.environment) > 0 else PLAIN
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = time.monotonic(), found
        return found


def _colours(environment: Mapping[bytes, bytes]) -> int:
    own = {name: environment[name] for name in _DECIDING if name in environment}
    try:
        told = subprocess.run(
            ("tput", "colors"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={b"PATH": b"/usr/bin:/bin", **own},
            timeout=limits.PROBE_S,
            check=False,
        )
        return 0 if told.returncode == _UNKNOWN else int(told.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise StaysLocal("terminal", f"tput does not say what the terminal can do: {error}") from error


def _entry(name: bytes) -> bytes:
    return b"/" + name[:1] + b"/" + name


def _has(closure: ToolchainClosure, entry: bytes) -> bool:
    return any(file.path.endswith(b"/terminfo" + entry) for file in closure.files)


def _places(environment: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Where descriptions of terminals are looked for before those that a server has (terminfo(5), "Fetching Compiled
    Descriptions").
    """
    yield environment.get(b"TERMINFO", b"")
    yield environment.get(b"HOME", b"") + b"/.terminfo"
    yield from environment.get(b"TERMINFO_DIRS", b"").split(b":")
    yield b"/etc/terminfo"


def _describes(place: bytes, entry: bytes) -> bool:
    """Whether a directory, a database or the variable itself may describe the terminal."""
    return place.startswith((b"hex:", b"b64:")) or os.path.lexists(place + entry) or os.path.isfile(place)
