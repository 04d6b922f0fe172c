"""The list of what a compile reads: every client path that exists in the sandbox.

The encoded form (msgpack, see docs/protocol.md) is what both sides digest: a manifest is named by the SHA-256 of
its encoding. Whether a manifest may be built is decided by `securecc.compiler.tree.manifest_check`.
"""

from enum import IntEnum

import msgspec

from securecc.model import limits
from securecc.model.digest import sha256
from securecc.model.errors import PathError

Digest = bytes  # SHA-256
DIGEST = 32  # bytes of one

INPUT = b"/.securecc/input"
"""The path of standard input in the manifest of a compile that reads it; no client file can have it."""


class Kind(IntEnum):
    """What a path is on the client."""

    DIRECTORY = 0
    FILE = 1
    LINK = 2
    SHARED_TREE = 3  # a directory with all that is below it, which the server has as well


class Role(IntEnum):
    """What the client expects the compile to do with a file."""

    READ = 0  # the compiler's own -M names it: the run must read it
    PRESENT = 1  # must exist (asked for by __has_include, a directory, a link); the run must not read it
    MAY_READ = 2  # the run may or may not read it (named by #line, quoted in diagnostics)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One path. `blob` is a file's or shared tree's digest, or a link's target. `inode` groups paths that share an
    inode on the client: equal non-zero numbers share one in the tree as well. `mtime_ns` counts from the epoch.
    """

    path: bytes
    kind: Kind
    blob: bytes = b""
    size: int = 0
    mode: int = 0o644
    mtime_ns: int = 0
    inode: int = 0
    role: Role = Role.READ


class Manifest(msgspec.Struct, frozen=True, array_like=True):
    """All entries of one compile, sorted by path."""

    entries: tuple[Entry, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Manifest)


def encode(manifest: Manifest) -> bytes:
    """The canonical encoding."""
    return _encoder.encode(manifest)


def decode(data: bytes) -> Manifest:
    """The manifest that `encode` was given.

    Raises:
        PathError: it is not an encoded manifest, or over a limit.
    """
    try:
        manifest = _decoder.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise PathError(f"not a manifest: {error}") from error
    if len(manifest.entries) > limits.MANIFEST_ENTRIES:
        raise PathError(f"a manifest of {len(manifest.entries)} entries; at most {limits.MANIFEST_ENTRIES}")
    return manifest


def digest(data: bytes) -> Digest:
    """SHA-256: of a file's content, or of an encoded manifest."""
    return sha256(data)
