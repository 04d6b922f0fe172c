"""The part of distcc-pump's C module that its include server needs. Debian 12's module does not work with Python 3.11,
whose C API expects another type for lengths; with it, pump mode silently preprocesses on the client.

Names and behaviour are those that include_server.py expects; the framing is that of distcc's rpc.c: a token of four
letters, a number as eight hexadecimal digits, then that many bytes.
"""

from __future__ import annotations

import ctypes
import os

_lzo = ctypes.CDLL("liblzo2.so.2")
_WORK = ctypes.create_string_buffer(64 * 1024 * ctypes.sizeof(ctypes.c_void_p))


def OsPathExists(path: str) -> bool:  # noqa: N802
    return os.path.exists(path)


def OsPathIsFile(path: str) -> bool:  # noqa: N802
    return os.path.isfile(path)


def Realpath(path: str) -> str:  # noqa: N802
    return os.path.realpath(path)


def CompressLzo1xAlloc(text: str) -> bytes:  # noqa: N802
    data = text.encode("utf-8")
    made = ctypes.create_string_buffer(len(data) + len(data) // 16 + 67)
    size = ctypes.c_size_t()
    if _lzo.lzo1x_1_compress(data, ctypes.c_size_t(len(data)), made, ctypes.byref(size), _WORK):
        raise OSError("lzo1x_1_compress failed")
    return made.raw[: size.value]


def RCwd(descriptor: int) -> str:  # noqa: N802
    return _string(descriptor, b"CDIR")


def RArgv(descriptor: int) -> list[str]:  # noqa: N802
    return [_string(descriptor, b"ARGV") for _ in range(_number(descriptor, b"ARGC"))]


def XArgv(descriptor: int, words: list[str]) -> None:  # noqa: N802
    encoded = [word.encode("utf-8", "surrogateescape") for word in words]
    parts = [b"ARGC%08x" % len(encoded), *(b"ARGV%08x%b" % (len(word), word) for word in encoded)]
    rest = b"".join(parts)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _string(descriptor: int, token: bytes) -> str:
    return _read(descriptor, _number(descriptor, token)).decode("utf-8", "surrogateescape")


def _number(descriptor: int, token: bytes) -> int:
    head = _read(descriptor, 12)
    if head[:4] != token:
        raise OSError(f"expected {token!r}, got {head!r}")
    return int(head[4:], 16)


def _read(descriptor: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = os.read(descriptor, size - len(found))
        if not part:
            raise OSError("the client has disconnected")
        found += part
    return found
