"""What this machine knows of locales: which exist, and for which languages the compiler's programs have messages."""

import ctypes
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from securecc.compiler.command_line import environment
from securecc.compiler.command_line.environment import EffectiveLocale, Locales
from securecc.compiler.toolchain import catalogue_files
from securecc.compiler.toolchain.closure import ToolchainClosure
from securecc.model.manifest import Digest
from securecc.system.stat_key import StatKey, path_stat_key

LOOKED_AT_S = 2.0
"""How long nobody looks whether what was asked is still as it was."""
ASKED_AGAIN_S = 60.0
"""All is asked again after this long: a locale's own files could be others without a trace where one looks."""

ERRORS = frozenset(os.strerror(number).encode() for number in range(1, 134))
"""What the system says of errors, in English."""

_DECIDING = (b"LC_ALL", b"LC_CTYPE", b"LC_MESSAGES", b"LANG", b"LANGUAGE", b"OUTPUT_CHARSET")
_REMEMBERED = 64  # ways to set these variables; a person has one or two
_LC_ALL_MASK = 0x1FBF  # every category of glibc's locale.h
_ALIASES = catalogue_files.SYSTEM + b"/locale.alias"
_LOCALES = (
    b"/usr/lib/locale",
    b"/usr/lib/locale/locale-archive",
)  # one changes when a locale comes or goes

_libc = ctypes.CDLL(None)
_libc.newlocale.restype = ctypes.c_void_p
_libc.newlocale.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_libc.freelocale.argtypes = (ctypes.c_void_p,)


class MessageCatalogues:
    """What compilers say here in the locale of an environment."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], _Answer] = {}
        self._folders: dict[Digest, tuple[bytes, ...]] = {}

    def speech(self, closure: ToolchainClosure, given: Mapping[bytes, bytes]) -> EffectiveLocale:
        """What the locale means to this toolchain; nothing to clang. Raises StaysLocal for one that no server has."""
        if closure.family == "clang":
            return EffectiveLocale(b"C")
        key = (closure.digest, *map(given.get, _DECIDING))
        known = self._known.get(key)
        if known is not None and known.holds():
            return known.speech
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        seen: dict[bytes, StatKey | None] = {path: path_stat_key(path) for path in _LOCALES}
        speech = environment.effective_locale(given, self._locales(closure, seen))
        self._known[key] = _Answer(speech, seen)
        return speech

    def read(self, closure: ToolchainClosure, speech: EffectiveLocale) -> tuple[bytes, ...]:
        """Every catalogue that the toolchain's programs would look for, whether it is there or not."""
        return catalogue_files.of_language(closure, self._places(closure), speech.languages) if speech.languages else ()

    def _places(self, closure: ToolchainClosure) -> tuple[bytes, ...]:
        if closure.digest not in self._folders:
            self._folders[closure.digest] = catalogue_files.folders(closure)
        return self._folders[closure.digest]

    def _locales(self, closure: ToolchainClosure, seen: dict[bytes, StatKey | None]) -> Locales:
        """What is looked at goes to `seen`, as it was just before."""
        names, places = catalogue_files.names(closure), self._places(closure)
        own = frozenset((catalogue_files.SYSTEMS_OWN,))

        def held(folder: bytes, language: bytes, files: frozenset[bytes]) -> bool:
            path = b"/".join((folder, language, b"LC_MESSAGES"))
            seen.setdefault(path, path_stat_key(path))
            return _holds(path, files)

        def renamed(language: bytes) -> bool:
            seen.setdefault(_ALIASES, path_stat_key(_ALIASES))
            return language.lower() in _aliases()

        return Locales(
            _available,
            lambda language: any(held(place, language, names) for place in places),
            lambda language: held(catalogue_files.SYSTEM, language, own),
            renamed,
        )


@dataclass(slots=True)
class _Answer:
    speech: EffectiveLocale
    seen: dict[bytes, StatKey | None]
    asked: float = field(default_factory=time.monotonic)
    looked: float = field(default_factory=time.monotonic)

    def holds(self) -> bool:
        now = time.monotonic()
        if now - self.looked < LOOKED_AT_S:
            return True
        self.looked = now
        return now - self.asked < ASKED_AGAIN_S and all(
            path_stat_key(path) == stamp for path, stamp in self.seen.items()
        )


def _available(name: bytes) -> bool:
    """newlocale(3) takes the very names that setlocale(3) takes, and changes nothing in this process."""
    made = _libc.newlocale(_LC_ALL_MASK, name, None)
    if made:
        _libc.freelocale(made)
    return bool(made)


def _holds(folder: bytes, names: frozenset[bytes]) -> bool:
    try:
        return not names.isdisjoint(os.listdir(folder))
    except (OSError, ValueError):
        return False


def _aliases() -> frozenset[bytes]:
    """Names that stand for others (locale.alias, in no regard of case)."""
    try:
        with open(_ALIASES, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return frozenset()
    return frozenset(line.split()[0].lower() for line in lines if line.split() and line[:1] != b"#")
