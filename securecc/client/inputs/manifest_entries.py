"""The entries of a manifest, from what one compile has found."""

from collections.abc import Iterable, Mapping

from securecc.client.inputs.caches.file_cache import FileFacts
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Entry, Kind, Role
from securecc.model.messages import SharedTree


def manifest_entries(
    directories: Mapping[bytes, tuple[int, int]],
    links: Mapping[bytes, bytes],
    files: Mapping[bytes, tuple[FileFacts, Role]],
    shared_trees: Iterable[SharedTree],
) -> list[Entry]:
    """All entries by physical path, in the order of a manifest. `directories` have their (device, inode), `links` their
    target. Files with the same inode share a number.

    Raises:
        StaysLocal: the server could not build the same tree, or it would be too large.
    """
    if len(set(directories.values())) < len(directories):
        raise StaysLocal("input", "one directory is mounted in two places, which the compiler takes for one")
    entries = [Entry(path, Kind.DIRECTORY, mode=0o755, role=Role.PRESENT) for path in directories if path != b"/"]
    entries += [Entry(path, Kind.LINK, target, mode=0o777, role=Role.PRESENT) for path, target in links.items()]
    entries += [Entry(tree.path, Kind.SHARED_TREE, tree.digest, mode=0o755, role=Role.PRESENT) for tree in shared_trees]
    inodes: dict[tuple[int, int], int] = {}
    for path, (file, role) in files.items():
        identity = (file.stat_key.device, file.stat_key.inode)
        number = inodes.setdefault(identity, len(inodes) + 1) if file.links > 1 else 0
        entries.append(_file_entry(path, file, role, number))
    if len(entries) > limits.MANIFEST_ENTRIES:
        raise StaysLocal("input", f"the compile reads more than {limits.MANIFEST_ENTRIES} files")
    entries.sort(key=lambda entry: entry.path)
    return entries


def _file_entry(path: bytes, file: FileFacts, role: Role, inode: int) -> Entry:
    """The entry of a file, without execute and special bits, which no compiler checks."""
    key = file.stat_key
    return Entry(path, Kind.FILE, file.digest, key.size, file.mode & 0o666, key.mtime_ns, inode, role)
