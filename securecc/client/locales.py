"""What this machine knows of locales: which exist, and for which languages the compiler's programs have messages."""

import ctypes
import os
from functools import lru_cache

from securecc.compiler.environment import Locales

_CATALOGUES = b"/usr/share/locale"
_DOMAINS = (b"gcc", b"cpplib", b"gas", b"bfd", b"opcodes", b"binutils", b"libc")
_LC_ALL_MASK = 0x1FBF  # every category of glibc's locale.h

_libc = ctypes.CDLL(None)
_libc.newlocale.restype = ctypes.c_void_p
_libc.newlocale.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_libc.freelocale.argtypes = (ctypes.c_void_p,)


@lru_cache(maxsize=64)
def _available(name: bytes) -> bool:
    """newlocale(3) takes the very names that setlocale(3) takes, and changes nothing in this process."""
    made = _libc.newlocale(_LC_ALL_MASK, name, None)
    if made:
        _libc.freelocale(made)
    return bool(made)


@lru_cache(maxsize=64)
def _translated(language: bytes) -> bool:
    folder = _CATALOGUES + b"/" + language + b"/LC_MESSAGES"
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return any(name.endswith(b".mo") and name.startswith(_DOMAINS) for name in names)


def of_this_machine() -> Locales:
    """The locales as a compiler started here would find them."""
    return Locales(_available, _translated)
