"""The terminal type for a clang, which looks up in its description whether it has colours (terminfo(5)).

A server has the toolchain's descriptions, and none of the user's. If another may apply here, tput(1), which finds and
reads them like clang, is asked once whether there are colours, and the server is told a type that agrees.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping

from cachetools import LRUCache

from securecc.client.ipc.frames import Request
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model import limits
from securecc.model.errors import StaysLocal

COLOURED, PLAIN = b"xterm", b"dumb"
EXPIRY_S = 60.0
"""tput is asked again after this long: a description may be installed or changed while an agent runs."""

_VARIABLES = (b"TERM", b"TERMINFO", b"TERMINFO_DIRS", b"HOME")
_READS_TERMINFO = b"/libtinfo.so"  # a clang without it decides by the name
_UNKNOWN = 3  # tput(1), "EXIT CODES"


def terminal_colours(environment: Mapping[bytes, bytes]) -> int:
    """How many colours the terminal of these variables has, by tput(1); 0 if it is unknown.

    Raises:
        StaysLocal: tput gives no answer.
    """
    own = {name: environment[name] for name in _VARIABLES if name in environment}
    try:
        done = subprocess.run(
            ("tput", "colors"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={b"PATH": b"/usr/bin:/bin", **own},
            timeout=limits.PROBE_S,
            check=False,
        )
        return 0 if done.returncode == _UNKNOWN else int(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise StaysLocal("terminal", f"tput does not say what the terminal can do: {error}") from error


class TerminalTypes:
    """The answers that one agent remembers. `colours` asks for a new one; it blocks."""

    def __init__(self, colours: Callable[[Mapping[bytes, bytes]], int] = terminal_colours) -> None:
        self._colours = colours
        self._known: LRUCache[tuple[bytes | None, ...], tuple[float, bytes]] = LRUCache(limits.TERMINALS_REMEMBERED)

    async def kind(self, closure: ToolchainClosure, asked: Request) -> bytes:
        """The TERM to tell a server.

        Raises:
            StaysLocal: what the terminal can do cannot be described.
        """
        name = asked.environment.get(b"TERM", b"")
        if closure.family != "clang" or not asked.terminal.error or not name:
            return name
        entry = _entry(name)
        described = any(place and _describes(place, entry) for place in _own_places(asked.environment))
        if _has(closure, entry) and not described:
            return name
        key = tuple(map(asked.environment.get, _VARIABLES))
        made, found = self._known.get(key, (-EXPIRY_S, b""))
        if time.monotonic() - made >= EXPIRY_S:
            if not _has(closure, _entry(COLOURED)) or not any(_READS_TERMINFO in file.path for file in closure.files):
                raise StaysLocal("terminal", f"the server's clang may not know the terminal type {os.fsdecode(name)}")
            found = COLOURED if await asyncio.to_thread(self._colours, asked.environment) > 0 else PLAIN
            self._known[key] = time.monotonic(), found
        return found


def _entry(name: bytes) -> bytes:
    return b"/" + name[:1] + b"/" + name


def _has(closure: ToolchainClosure, entry: bytes) -> bool:
    return any(file.path.endswith(b"/terminfo" + entry) for file in closure.files)


def _own_places(environment: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Where terminal descriptions are looked for before those that a server has (terminfo(5), "Fetching Compiled
    Descriptions").
    """
    yield environment.get(b"TERMINFO", b"")
    yield environment.get(b"HOME", b"") + b"/.terminfo"
    yield from environment.get(b"TERMINFO_DIRS", b"").split(b":")
    yield b"/etc/terminfo"


def _describes(place: bytes, entry: bytes) -> bool:
    """Whether a directory, a database or the variable itself may describe the terminal."""
    return place.startswith((b"hex:", b"b64:")) or os.path.lexists(place + entry) or os.path.isfile(place)
