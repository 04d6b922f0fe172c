"""Ed25519 (RFC 8032): the daemon's key, made at its first start, and the verification of signatures.

A public key is written ``ed25519:`` and the base64 of its 32 bytes; a signature is the base64 of its 64.
"""

import base64
import binascii
import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from securecc.model.errors import AuditError
from securecc.system.atomic_file import replace_file

PREFIX: Final = "ed25519:"

_KEY_FILE = 4096  # bytes; a PKCS #8 key is 119


class Signer:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.public = PREFIX + base64.b64encode(raw).decode()

    def sign(self, data: bytes) -> str:
        """The signature over `data`."""
        return base64.b64encode(self._key.sign(data)).decode()


def load_or_make(path: Path) -> Signer:
    """The key in a file, which is made, readable by its owner alone, if it does not exist. The public key is beside
    it in ``PATH.pub``.

    Raises:
        AuditError: others may read the file or own it, or it does not hold an Ed25519 key.
    """
    try:
        if not path.exists():
            _make(path)
        signer = _load(path)
        _show(path.with_name(path.name + ".pub"), signer.public)
    except OSError as error:
        raise AuditError(f"audit key {path}: {error.strerror}", "check who owns it and its directory") from error
    return signer


def parse_public(text: str) -> str:
    """A public key as it is written, checked.

    Raises:
        AuditError: the text is not a public key.
    """
    key = text.strip()
    if _public(key) is None:
        raise AuditError(f"{key[:80]!a} is not a public key", "`securecctl audit key` prints it on the server")
    return key


def proves(key: str, data: bytes, signature: str) -> bool:
    """Whether `key` signed `data`; False if `key` is not a key or `signature` not a signature."""
    public = _public(key)
    if public is None:
        return False
    try:
        public.verify(_decoded(signature), data)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _public(key: str) -> Ed25519PublicKey | None:
    if not key.startswith(PREFIX):
        return None
    try:
        return Ed25519PublicKey.from_public_bytes(_decoded(key[len(PREFIX) :]))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None


def _decoded(text: str) -> bytes:
    """Base64 in its one canonical form (RFC 4648, section 3.5).

    Raises:
        ValueError: it is not.
    """
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 that is not canonical")
    return data


def _make(path: Path) -> None:
    """Writes a complete key or none, even if the daemon is killed meanwhile."""
    key = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    replace_file(path, key, durable=True)


def _load(path: Path) -> Signer:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077 or found.st_uid != os.geteuid():
            raise AuditError(
                f"audit key {path} is accessible to others", "chown it to the front's user and chmod it 0600"
            )
        data = file.read(_KEY_FILE)
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AuditError(f"audit key {path} cannot be read", "move it away: the daemon makes a new one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditError(f"audit key {path} is not an Ed25519 key", "move it away: the daemon makes a new one")
    return Signer(key)


def _show(path: Path, public: str) -> None:
    line = public + "\n"
    with contextlib.suppress(OSError):
        if path.read_text() == line:
            return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "w") as file:
        os.fchmod(fd, 0o644)
        file.write(line)
