"""SHA-256, by the OpenSSL that TLS brings along: hashlib would load a second one, 4 MiB of an agent for this."""

from typing import BinaryIO

from cryptography.hazmat.primitives import hashes

_SHA256 = hashes.SHA256()
_CHUNK = 256 * 1024


def sha256(*parts: bytes) -> bytes:
    """The 32 bytes of SHA-256 (FIPS 180-4) over the parts, one after the other."""
    hasher = hashes.Hash(_SHA256)
    for part in parts:
        hasher.update(part)
    return hasher.finalize()


def sha256_of_file(file: BinaryIO) -> bytes:
    """The same over all that is left of a file. Raises OSError."""
    hasher = hashes.Hash(_SHA256)
    while part := file.read(_CHUNK):
        hasher.update(part)
    return hasher.finalize()
