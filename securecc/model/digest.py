"""SHA-256, by the OpenSSL that a process has: an agent has TLS's alone, for a second one would cost it 4 MiB."""

import hashlib
import importlib.util
from collections.abc import Callable, Iterable
from typing import BinaryIO

_CHUNK = 256 * 1024
_Steps = tuple[Callable[[bytes], None], Callable[[], bytes]]


def sha256(*parts: bytes) -> bytes:
    """The 32 bytes of SHA-256 (FIPS 180-4) over the parts, one after the other."""
    return _digest(parts)


def sha256_of_file(file: BinaryIO) -> bytes:
    """The same over all that is left of a file. Raises OSError."""
    return _digest(iter(lambda: file.read(_CHUNK), b""))


class Sha256:
    """The same over parts that come one at a time: `update` takes the next, `digest` gives the 32 bytes, once."""

    __slots__ = ("digest", "update")

    def __init__(self) -> None:
        self.update, self.digest = _begun()


def _by_hashlib(parts: Iterable[bytes]) -> bytes:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def _begun_by_hashlib() -> _Steps:
    hasher = hashlib.sha256()
    return hasher.update, hasher.digest


def _begun_by_cryptography() -> _Steps:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - only where it is TLS's anyway

    hasher = hashes.Hash(hashes.SHA256())
    return hasher.update, hasher.finalize


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
_begun = _begun_by_hashlib if _has_openssl() else _begun_by_cryptography
