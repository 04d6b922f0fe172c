"""What one compile reads, ready to be sent."""

from dataclasses import dataclass, replace

import zstandard

from securecc.client.inputs.caches.file_cache import FileFacts
from securecc.client.inputs.name_watch import NameWatch
from securecc.model import manifest
from securecc.model.manifest import Entry, Manifest

Directories = tuple[tuple[bytes, tuple[int, int]], ...]
"""Physical directories with the (device, inode) of each."""

_compressor = zstandard.ZstdCompressor(level=1)


@dataclass(frozen=True, slots=True)
class Inputs:
    """A manifest, and the conditions under which it stays valid. `digest` is that of the encoded manifest, `size` the
    bytes of all its files.

    `file_types` are existing paths that are not files to the compiler, with their types (see `file_type`).
    `from_compiler`: the compiler itself named the files. If it did not, `reachable` maps the files that a run may read,
    as spelled, to their paths in the manifest, and `read_last_time` are those that a run has read. `uses_time`: a file
    may use the time of day. `timestamps` are the times of all texts (seconds since the epoch), if one may use its own.
    `standard_input` is the content of that file of the manifest. `unforeseen` says what a compiler may ask for that was
    not sent, so that only the questions of the run tell whether it counts; empty if there is nothing.
    """

    digest: bytes
    entries: tuple[Entry, ...]
    size: int
    files: tuple[FileFacts, ...]
    directories: Directories
    links: tuple[tuple[bytes, bytes], ...]
    watches: tuple[NameWatch, ...]
    file_types: tuple[tuple[bytes, int], ...] = ()
    from_compiler: bool = True
    reachable: tuple[tuple[bytes, bytes], ...] = ()
    read_last_time: tuple[bytes, ...] = ()
    uses_time: bool = False
    timestamps: tuple[int, ...] = ()
    standard_input: bytes = b""
    unforeseen: str = ""


def compressed_manifest(inputs: Inputs) -> bytes:
    """The manifest as it is sent (zstd). Made when needed, since most servers know most manifests."""
    return _compressor.compress(manifest.encode(Manifest(inputs.entries)))


def narrowed(inputs: Inputs, read: bytes) -> Inputs:
    """The inputs with those that a run has read, of all that it could reach (bits as in `messages.Result`): the next
    run must read the same.

    Empty files and files in shared trees count as read, since nothing shows whether they were.
    """
    unread = {entry.path for index, entry in enumerate(inputs.entries) if entry.size and not _bit(read, index)}
    read_last_time = tuple(spelled for spelled, physical in inputs.reachable if physical not in unread)
    return replace(inputs, reachable=(), read_last_time=read_last_time)


def _bit(bits: bytes, index: int) -> int:
    return bits[index >> 3] >> (index & 7) & 1 if index >> 3 < len(bits) else 0
