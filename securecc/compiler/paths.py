"""Whether a manifest is one that may be built into a tree: where each path may lie, and how they lie together.

A path in a manifest comes from a peer. It may name only what the peer sent: never a place where the toolchain keeps
programs, libraries or configuration, never a place reached through one of the peer's own links.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from msgspec.structs import replace

from securecc.words import limits
from securecc.words.errors import PathError
from securecc.words.manifest import Entry, Kind, Manifest

_FORBIDDEN = (b"/etc", b"/dev", b"/proc", b"/sys", b"/.securecc")
_MERGED = (b"/bin", b"/sbin", b"/lib", b"/lib32", b"/lib64", b"/libx32")  # links into /usr where /usr is merged
# Whatever the toolchain: a driver looks below these for programs and specs that happen not to be there.
_SYSTEM = frozenset((b"/usr", *_MERGED))
_SYSTEM_SHARED = frozenset((b"/usr/include", b"/usr/src", b"/usr/local/src", b"/usr/share"))
_SYSTEM_OWN = _SYSTEM | {b"/usr/share/locale"}
_CONTROL = frozenset((*range(0x20), 0x7F))
_LINKS_FOLLOWED = 40  # as the kernel's MAXSYMLINKS
_LINK_STEPS = 200_000  # components walked for all links of one manifest; a link farm of a build needs some 10,000
_TERRITORIES = 64  # toolchains of one server
_VERDICTS = 65536  # paths remembered for each; some 10 MiB
_MTIME_NS = 1 << 62  # 146 years around the epoch; what utimensat(2) takes
_DIGEST = 32  # SHA-256


@dataclass(frozen=True, slots=True)
class CheckedManifest:
    """A manifest that may be built. `directories` are all that must be made, parents first, those that only other
    entries imply included; files have no execute bits left. `source` is the sum of all sizes in bytes. `layers` are
    those of the entries.
    """

    entries: tuple[Entry, ...]
    directories: tuple[bytes, ...]
    source: int
    layers: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Territory:
    """Where a toolchain's own files lie. `own` directly hold files of the toolchain; `shared` are the directories in
    which it looks for headers, and in which a client's files may stand. `above` are those in `own` and what leads
    there; `whole` counts what every system has for its own as well.
    """

    own: frozenset[bytes]
    shared: frozenset[bytes]
    above: frozenset[bytes] = field(init=False)
    whole: frozenset[bytes] = field(init=False)
    parents: tuple[dict[bytes, bytes], ...] = field(init=False, default_factory=lambda: tuple({} for _ in Kind))
    permitted: dict[bytes, bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        above = {parent for path in self.own for parent in _ancestors(path)}
        object.__setattr__(self, "above", frozenset(above | self.own))
        object.__setattr__(self, "whole", self.above | _SYSTEM_OWN.union(*map(_ancestors, _SYSTEM_OWN)))
        object.__setattr__(self, "own", self.own | _SYSTEM_OWN)
        object.__setattr__(self, "shared", self.shared | _SYSTEM_SHARED)

    def parent(self, path: bytes, kind: Kind) -> bytes:
        """The directory that an entry stands in. Raises PathError if no entry of a peer may have this path."""
        remembered = self.parents[kind]
        parent = remembered.get(path)
        if parent is None:
            parent = self._judge(path, kind)
            if len(remembered) >= _VERDICTS:
                remembered.clear()
            remembered[path] = parent
        return parent

    def _judge(self, path: bytes, kind: Kind) -> bytes:
        check_path(path)
        parent = path.rpartition(b"/")[0] or b"/"
        if kind is Kind.DIRECTORY or (kind is Kind.LINK and path in _MERGED):
            return parent
        if kind is Kind.LAYER:
            if path == b"/" or path in self.whole:
                raise _wrong(path, "is a layer over the toolchain's own directories")
            if not self._allows(path, path):
                raise _wrong(path, "is a layer among the toolchain's own files")
            return parent
        if path == b"/" or path in self.above or path in self.shared:
            raise _wrong(path, "stands where the toolchain has a directory")
        if not self._allows(path, path[: path.rfind(b"/")]):
            raise _wrong(path, "lies among the toolchain's own files")
        return parent

    def allows(self, directory: bytes) -> bool:
        """Whether a client's file may lie right in this directory: outside the toolchain's directories, or at or below
        one of its include directories, or below an `include` of somebody else's there (``/usr/lib/glib-2.0/include``).
        """
        known = self.permitted.get(directory)
        if known is None:
            known = self._allows(directory, directory)
            if len(self.permitted) >= _VERDICTS:
                self.permitted.clear()
            self.permitted[directory] = known
        return known

    def _allows(self, path: bytes, directory: bytes) -> bool:
        for parent in (path, *_ancestors(path)):
            if parent in self.shared:
                return True
            if parent in self.own:
                below = directory[len(parent) + 1 :].split(b"/")
                return any(name.startswith(b"include") or name == b"c++" for name in below)
        return True


def check_manifest(
    manifest: Manifest,
    toolchain_directories: frozenset[bytes],
    include_directories: frozenset[bytes],
    cwd: bytes,
    outputs: Iterable[bytes],
) -> CheckedManifest:
    """Raises PathError, which names the path, unless the whole may be built and run in `cwd`.

    `toolchain_directories` are those that directly hold a file of the toolchain, by every spelling that the toolchain
    uses; `include_directories` those in which it looks for headers. `outputs` are as `CompilePlan.outputs`.
    """
    territory = _territory(toolchain_directories, include_directories)
    kinds, parents = _check_entries(manifest.entries, territory)
    directories = {b"/"}
    for parent in parents:
        _add_directory(parent, kinds, directories)
    _check_links(manifest.entries, kinds)
    _check_inodes(manifest.entries)
    check_path(cwd)
    if not territory.allows(cwd):
        raise _wrong(cwd, "is a working directory among the toolchain's own files")
    _add_directory(cwd, kinds, directories)
    for output in outputs:
        _check_output(output, cwd, kinds, territory)
    _check_directories(manifest.entries, directories, territory)
    return CheckedManifest(
        entries=_without_execute(manifest.entries),
        directories=tuple(sorted(directories)),
        source=sum(entry.size for entry in manifest.entries),
        layers=tuple(entry for entry in manifest.entries if entry.kind is Kind.LAYER),
    )


def check_path(path: bytes) -> None:
    """Raises PathError unless `path` is absolute, normalised, within the limits and nowhere forbidden."""
    if path == b"/":
        return
    if path[:1] != b"/" or len(path) > limits.PATH:
        raise _wrong(path, "is not absolute" if path[:1] != b"/" else f"has {len(path)} bytes")
    names = path[1:].split(b"/")
    if len(names) > limits.PATH_DEPTH:
        raise _wrong(path, f"has {len(names)} components; at most {limits.PATH_DEPTH}")
    for name in names:
        if name in {b"", b".", b".."}:
            raise _wrong(path, "is not normalised")
        if len(name) > limits.PATH_COMPONENT:
            raise _wrong(path, f"has a component of {len(name)} bytes; at most {limits.PATH_COMPONENT}")
    if not _CONTROL.isdisjoint(path):
        raise _wrong(path, "has a control character")
    if b"/" + names[0] in _FORBIDDEN:
        raise _wrong(path, "lies where no client file may")


def absolute(path: bytes, cwd: bytes) -> bytes:
    """`path` seen from `cwd`, normalised by its letters alone: `..` takes the component before it away."""
    names: list[bytes] = []
    for name in (path if path[:1] == b"/" else cwd + b"/" + path).split(b"/"):
        if name == b"..":
            del names[-1:]
        elif name not in {b"", b"."}:
            names.append(name)
    return b"/" + b"/".join(names)


@lru_cache(maxsize=_TERRITORIES)
def _territory(own: frozenset[bytes], shared: frozenset[bytes]) -> Territory:
    return Territory(own, shared)


def _ancestors(path: bytes) -> list[bytes]:
    """The directories above, nearest first, without the root."""
    found = []
    end = path.rfind(b"/")
    while end > 0:
        found.append(path[:end])
        end = path.rfind(b"/", 0, end)
    return found


def _check_entries(entries: tuple[Entry, ...], territory: Territory) -> tuple[dict[bytes, Kind], set[bytes]]:
    """The kind of each path, and the directories that are named or directly stood in."""
    if len(entries) > limits.MANIFEST_ENTRIES:
        raise PathError(f"a manifest of {len(entries)} entries; at most {limits.MANIFEST_ENTRIES}")
    kinds: dict[bytes, Kind] = {}
    parents: set[bytes] = set()
    before = b""
    source = layers = 0
    for entry in entries:
        path, kind = entry.path, entry.kind
        if path <= before:
            raise _wrong(path, "is out of order or there twice")
        before = path
        parents.add(territory.parent(path, kind))
        if kind is Kind.DIRECTORY:
            parents.add(path)
        _check_content(entry)
        source += entry.size
        layers += kind is Kind.LAYER
        kinds[path] = kind
    if layers > limits.LAYERS:
        raise PathError(f"a manifest of {layers} layers; at most {limits.LAYERS}")
    if source > limits.JOB_SOURCE:
        raise PathError(f"a manifest of {source} bytes of source; at most {limits.JOB_SOURCE}")
    return kinds, parents


def _check_content(entry: Entry) -> None:
    if entry.mode & ~0o777 or not -_MTIME_NS < entry.mtime_ns < _MTIME_NS or entry.inode < 0:
        raise _wrong(entry.path, f"has mode {entry.mode:o}, time {entry.mtime_ns}, inode {entry.inode}")
    if entry.kind is Kind.FILE:
        if len(entry.blob) != _DIGEST or not 0 <= entry.size <= limits.BLOB:
            raise _wrong(entry.path, f"has a digest of {len(entry.blob)} bytes and {entry.size} bytes of content")
    elif entry.size or (entry.kind is Kind.DIRECTORY and entry.blob):
        raise _wrong(entry.path, "has content but is no file")
    elif entry.kind is Kind.LAYER and (len(entry.blob) != _DIGEST or entry.inode):
        raise _wrong(entry.path, f"is a layer with a digest of {len(entry.blob)} bytes and inode {entry.inode}")


def _add_directory(path: bytes, kinds: dict[bytes, Kind], made: set[bytes]) -> None:
    while path not in made:
        if kinds.get(path, Kind.DIRECTORY) is not Kind.DIRECTORY:
            raise _wrong(path, "is a file, a link or a layer and has something below it")
        made.add(path)
        path = path.rpartition(b"/")[0] or b"/"


def _check_directories(entries: tuple[Entry, ...], directories: set[bytes], territory: Territory) -> None:
    """A directory among the toolchain's own is one of them, or leads to a place that is shared."""
    doubtful = {path for path in directories - territory.above if not territory.allows(path)}
    if not doubtful:
        return
    for entry in entries:
        whole = entry.kind in {Kind.DIRECTORY, Kind.LAYER}
        place = entry.path if whole else territory.parent(entry.path, entry.kind)
        if territory.allows(place):
            doubtful.difference_update(_ancestors(place))
    for path in doubtful - {b"/"}:
        raise _wrong(path, "is a directory among the toolchain's own files")


def _check_links(entries: tuple[Entry, ...], kinds: dict[bytes, Kind]) -> None:
    targets = {entry.path: entry.blob for entry in entries if entry.kind is Kind.LINK}
    steps = 0
    for path, target in targets.items():
        if not target or len(target) > limits.PATH or not _CONTROL.isdisjoint(target):
            raise _wrong(path, "is a link with a target that no link can have")
        if path in _MERGED and target.strip(b"/") != b"usr" + path:
            raise _wrong(path, "is a link that would replace a directory of the system")
        end, walked = _resolve(path, targets)
        steps += walked
        if steps > _LINK_STEPS:
            raise _wrong(path, "is one link too many to follow")
        if (b"/" + end[1:].partition(b"/")[0]) in _FORBIDDEN and end != b"/dev/null":
            raise _wrong(path, "is a link to where no client file may lie")
    for path in _MERGED:
        if kinds.get(path) is Kind.FILE:
            raise _wrong(path, "would replace a directory of the system")


def _resolve(path: bytes, targets: dict[bytes, bytes]) -> tuple[bytes, int]:
    """Where a path leads when each link on the way is followed, as the kernel would inside the tree, and the number
    of components walked.
    """
    rest = path[1:].split(b"/")[::-1]
    at = b""
    followed = walked = 0
    while rest:
        walked += 1
        name = rest.pop()
        if name == b"..":
            at = at.rpartition(b"/")[0]
        elif name not in {b"", b"."}:
            target = targets.get(at + b"/" + name)
            if target is None:
                at += b"/" + name
                continue
            followed += 1
            if followed > _LINKS_FOLLOWED:
                raise _wrong(path, "is a link that leads round in a circle")
            at = b"" if target[:1] == b"/" else at
            rest += target.split(b"/")[::-1]
    return at or b"/", walked


def _check_inodes(entries: tuple[Entry, ...]) -> None:
    """Paths that share an inode are one file: they cannot differ."""
    shared: dict[int, Entry] = {}
    numbered = [entry for entry in entries if entry.inode]
    if len({entry.inode for entry in numbered}) == len(numbered):
        return
    for entry in numbered:
        first = shared.setdefault(entry.inode, entry)
        if first is not entry and _identity(first) != _identity(entry):
            raise _wrong(entry.path, "shares an inode with a different file")


def _identity(entry: Entry) -> tuple[Kind, bytes, int, int, int]:
    return entry.kind, entry.blob, entry.size, entry.mode, entry.mtime_ns


def _check_output(output: bytes, cwd: bytes, kinds: dict[bytes, Kind], territory: Territory) -> None:
    path = absolute(output, cwd)
    check_path(path)
    if not territory.allows(path.rpartition(b"/")[0] or b"/"):
        raise _wrong(path, "lies among the toolchain's own files")
    if path in kinds:
        raise _wrong(path, "is both read and to be written")
    if any(kinds.get(parent) is Kind.LAYER for parent in _ancestors(path)):
        raise _wrong(path, "is to be written in a layer")


def _without_execute(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    if not any(entry.mode & 0o111 and entry.kind is Kind.FILE for entry in entries):
        return entries
    return tuple(replace(entry, mode=entry.mode & 0o666) if entry.kind is Kind.FILE else entry for entry in entries)


def _wrong(path: bytes, why: str) -> PathError:
    shown = repr(path[:200])[1:] + ("..." if len(path) > 200 else "")  # noqa: PLR2004 - enough to recognise it by
    return PathError(f"path {shown} {why}")
