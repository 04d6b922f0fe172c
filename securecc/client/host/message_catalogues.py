"""This machine's locales: which exist, and for which languages the compiler's programs have messages."""

import ctypes
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from cachetools import LRUCache

from securecc.compiler.command_line import environment
from securecc.compiler.command_line.environment import EffectiveLocale, Locales
from securecc.compiler.toolchain import catalogue_files
from securecc.compiler.toolchain.closure import ToolchainClosure
from securecc.model import limits
from securecc.model.manifest import Digest
from securecc.system.stat_key import StatKey, path_stat_key

POLL_S = 2.0
"""An answer is used for this long before anything is checked."""
EXPIRY_S = 60.0
"""An answer is computed again after this long: a locale's own files may change without any check noticing."""

SYSTEM_ERRORS = frozenset(os.strerror(number).encode() for number in range(1, 134))
"""The English texts of strerror(3)."""

LOCALE_ALIASES = catalogue_files.SYSTEM + b"/locale.alias"

_VARIABLES = (b"LC_ALL", b"LC_CTYPE", b"LC_MESSAGES", b"LANG", b"LANGUAGE", b"OUTPUT_CHARSET")
_LC_ALL_MASK = 0x1FBF  # every category of glibc's locale.h
_LOCALES = (b"/usr/lib/locale", b"/usr/lib/locale/locale-archive")  # one changes when a locale is added or removed

_libc = ctypes.CDLL(None)
_libc.newlocale.restype = ctypes.c_void_p
_libc.newlocale.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_libc.freelocale.argtypes = (ctypes.c_void_p,)


@dataclass(slots=True)
class _Answer:
    locale: EffectiveLocale
    stat_keys: dict[bytes, StatKey | None]
    made: float = field(default_factory=time.monotonic)
    checked: float = field(default_factory=time.monotonic)

    def holds(self) -> bool:
        now = time.monotonic()
        if now - self.checked < POLL_S:
            return True
        self.checked = now
        return now - self.made < EXPIRY_S and all(path_stat_key(path) == key for path, key in self.stat_keys.items())


class MessageCatalogues:
    """The messages of compilers here in the locale of an environment; `most` answers are remembered."""

    def __init__(self, most: int = limits.LOCALES_REMEMBERED) -> None:
        self._answers: LRUCache[tuple[object, ...], _Answer] = LRUCache(most)
        self._directories: LRUCache[Digest, tuple[bytes, ...]] = LRUCache(limits.TOOLCHAINS_REMEMBERED)

    def __len__(self) -> int:
        return len(self._answers)

    def locale(self, closure: ToolchainClosure, variables: Mapping[bytes, bytes]) -> EffectiveLocale:
        """What the locale of these environment variables means to this toolchain; nothing to clang.

        Raises:
            StaysLocal: no server has such a locale.
        """
        if closure.family == "clang":
            return EffectiveLocale(b"C")
        key = (closure.digest, *map(variables.get, _VARIABLES))
        known = self._answers.get(key)
        if known is not None and known.holds():
            return known.locale
        stat_keys: dict[bytes, StatKey | None] = {path: path_stat_key(path) for path in _LOCALES}
        locale = environment.effective_locale(variables, self._locales(closure, stat_keys))
        self._answers[key] = _Answer(locale, stat_keys)
        return locale

    def files(self, closure: ToolchainClosure, locale: EffectiveLocale) -> tuple[bytes, ...]:
        """Every catalogue that the toolchain's programs would look for, whether or not it exists."""
        if not locale.languages:
            return ()
        return catalogue_files.of_language(closure, self._searched(closure), locale.languages)

    def _searched(self, closure: ToolchainClosure) -> tuple[bytes, ...]:
        known = self._directories.get(closure.digest)
        if known is None:
            known = self._directories[closure.digest] = catalogue_files.folders(closure)
        return known

    def _locales(self, closure: ToolchainClosure, stat_keys: dict[bytes, StatKey | None]) -> Locales:
        """Records in `stat_keys` what each path was just before it was read."""
        names, directories = catalogue_files.names(closure), self._searched(closure)
        own = frozenset((catalogue_files.SYSTEMS_OWN,))

        def has_any(directory: bytes, language: bytes, files: frozenset[bytes]) -> bool:
            path = b"/".join((directory, language, b"LC_MESSAGES"))
            stat_keys.setdefault(path, path_stat_key(path))
            return _has_any(path, files)

        def renamed(language: bytes) -> bool:
            stat_keys.setdefault(LOCALE_ALIASES, path_stat_key(LOCALE_ALIASES))
            return language.lower() in _aliases()

        return Locales(
            locale_exists,
            lambda language: any(has_any(directory, language, names) for directory in directories),
            lambda language: has_any(catalogue_files.SYSTEM, language, own),
            renamed,
        )


def locale_exists(name: bytes) -> bool:
    """Uses newlocale(3), which accepts the same names as setlocale(3) and changes nothing in this process."""
    made = _libc.newlocale(_LC_ALL_MASK, name, None)
    if made:
        _libc.freelocale(made)
    return bool(made)


def _has_any(directory: bytes, names: frozenset[bytes]) -> bool:
    try:
        return not names.isdisjoint(os.listdir(directory))
    except (OSError, ValueError):
        return False


def _aliases() -> frozenset[bytes]:
    """Names that stand for others (locale.alias), in lower case."""
    try:
        with open(LOCALE_ALIASES, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return frozenset()
    return frozenset(line.split()[0].lower() for line in lines if line.split() and line[:1] != b"#")
