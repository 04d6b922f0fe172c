"""Message catalogues of gcc's programs: which exist, and where the programs look for them.

A gcc whose messages are not in English reads them at run time. They are format strings, so a server gives a compiler
only its own.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from itertools import product

from securecc.compiler.toolchain import gettext
from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure
from securecc.model import limits
from securecc.model.manifest import Kind

SYSTEM = b"/usr/share/locale"
"""Where libc looks for its own, and Debian's programs for theirs."""

SYSTEMS_OWN = b"libc.mo"
"""The catalogue of strerror(3)."""

_NAMED = re.compile(rb"\0(/[^\0\n]{1,200}/locale)\0")
_DOMAINS = (b"gcc", b"cpplib", b"gas", b"bfd", b"opcodes")
_NUMBERED = (b"gcc", b"cpplib")  # Debian's have the version in their name, so that several can be installed


def names(closure: ToolchainClosure) -> frozenset[bytes]:
    """The names of the catalogues that this gcc's programs would read."""
    numbered = {name + b"-" + closure.version.partition(".")[0].encode() for name in _NUMBERED}
    return frozenset(name + b".mo" for name in (*_DOMAINS, *numbered))


def folders(closure: ToolchainClosure) -> tuple[bytes, ...]:
    """The directories below which its programs look, as the programs themselves name them."""
    found = {SYSTEM: None}
    for file in closure.files:
        if file.kind is Kind.FILE and file.mode & 0o111 and file.size <= limits.CATALOGUED and b".so" not in file.path:
            found |= dict.fromkeys(_NAMED.findall(_program(file.path)))
    return tuple(found)


def of_language(closure: ToolchainClosure, places: Iterable[bytes], languages: Iterable[bytes]) -> tuple[bytes, ...]:
    """Every catalogue that would be looked for below these places, whether or not it exists."""
    spelled = dict.fromkeys(name for language in languages for name in gettext.spellings(language))
    wanted = sorted(names(closure))
    return tuple(
        b"/".join((folder, name, b"LC_MESSAGES", domain)) for folder, name, domain in product(places, spelled, wanted)
    )


def standing(closure: ToolchainClosure) -> tuple[ClosureFile, ...]:
    """All that exist, in any language, except unreadable ones."""
    if closure.family != "gcc":
        return ()
    found = []
    for folder in folders(closure):
        for language in _listed(folder):
            below = b"/".join((folder, language, b"LC_MESSAGES"))
            found += [below + b"/" + name for name in sorted(names(closure).intersection(_listed(below)))]
    return tuple(catalogue for catalogue in map(_catalogue, found) if catalogue is not None)


def _catalogue(path: bytes) -> ClosureFile | None:
    try:
        with open(path, "rb") as file:
            content = file.read(limits.BLOB)
    except OSError:
        return None
    return ClosureFile(path, Kind.FILE, hashlib.sha256(content).digest(), size=len(content))


def _program(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(limits.CATALOGUED)
    except OSError:
        return b""


def _listed(folder: bytes) -> list[bytes]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
