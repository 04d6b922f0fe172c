"""SHA-256, by the OpenSSL that a process has: an agent has TLS's alone, for a second one would cost it 4 MiB."""

import hashlib
import importlib.util
from collections.abc import Callable, Iterable
from typing import BinaryIO

_CHUNK = 256 * 1024


def sha256(*parts: bytes) -> bytes:
    """The 32 bytes of SHA-256 (FIPS 180-4) over the parts, one after the other."""
    return _digest(parts)


def sha256_of_file(file: BinaryIO) -> bytes:
    """The same over all that is left of a file. Raises OSError."""
    return _digest(iter(lambda: file.read(_CHUNK), b""))


def _by_hashlib(parts: Iterable[bytes]) -> bytes:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def _by_cryptography() -> Callable[[Iterable[bytes]], bytes]:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - only where it is TLS's anyway

    kind = hashes.SHA256()

    def digest(parts: Iterable[bytes]) -> bytes:
        hasher = hashes.Hash(kind)
        for part in parts:
            hasher.update(part)
        return hasher.finalize()

    return digest


def _has_openssl() -> bool:
    """Whether hashlib has one: without it, it is six times slower. See `securecc.client.__main__`."""
    try:
        return importlib.util.find_spec("_hashlib") is not None
    except ValueError:  # what is blocked has no spec
        return False


_digest = _by_hashlib if _has_openssl() else _by_cryptography()
