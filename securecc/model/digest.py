"""SHA-256 (FIPS 180-4), as the project uses it."""

import hashlib
from typing import BinaryIO

_CHUNK = 256 * 1024


def sha256(*parts: bytes) -> bytes:
    """The 32-byte digest of all parts, concatenated."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def sha256_of_file(file: BinaryIO) -> bytes:
    """The digest of the rest of a file.

    Raises:
        OSError: the file cannot be read.
    """
    hasher = hashlib.sha256()
    while part := file.read(_CHUNK):
        hasher.update(part)
    return hasher.digest()
