"""Whether a manifest may be built into a tree: where each path may be, and whether all paths fit together.

A path in a manifest comes from a client. It may name only what the client sent: never a place where the toolchain keeps
programs, libraries or configuration, never a place reached through one of the client's own links.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from securecc.compiler.tree.path_rules import (
    CONTROL,
    FORBIDDEN,
    MERGED,
    PathRules,
    ancestors,
    check_path,
    path_rules_of,
    reject,
)
from securecc.compiler.tree.symlinks import TooManyLinksError, resolve
from securecc.model import limits
from securecc.model.errors import PathError
from securecc.model.manifest import INPUT, Digest, Entry, Kind, Manifest

_OWN = INPUT.rpartition(b"/")[0]
_LINK_STEPS = 200_000  # components walked for all links of one manifest; a build's link farm needs some 10,000
_MTIME_NS = 1 << 62  # 146 years around the epoch; what utimensat(2) takes
_DIGEST = 32  # SHA-256


@dataclass(frozen=True, slots=True)
class CheckedManifest:
    """A manifest that may be built. `directories` are all that must be made, parents first, including those that other
    entries only imply; files have no execute bits left. `source` is the sum of all sizes in bytes. `shared_trees` are
    those of the entries.
    """

    entries: tuple[Entry, ...]
    directories: tuple[bytes, ...]
    source: int
    shared_trees: tuple[Entry, ...] = ()


def check_manifest(
    manifest: Manifest,
    toolchain_directories: frozenset[bytes],
    include_directories: frozenset[bytes],
    cwd: bytes,
    outputs: Iterable[bytes],
    *,
    catalogues: frozenset[tuple[bytes, Digest]] = frozenset(),
    reads_input: bool = False,
) -> CheckedManifest:
    """The checked manifest of a compile that runs in `cwd`.

    `toolchain_directories` are those that directly hold a file of the toolchain, by every spelling that the toolchain
    uses; `include_directories` those in which it looks for headers. `outputs` are as `CompilePlan.outputs`. The
    `catalogues` are the toolchain's own message catalogues, by path and digest: only they, and standard input, may be
    among its files; standard input must be there if the compile `reads_input`.

    Raises:
        PathError: the manifest may not be built; the message names the path.
    """
    rules = path_rules_of(toolchain_directories, include_directories)
    own = _among(catalogues, manifest.entries)
    if reads_input:
        own |= _input(manifest.entries)
    kinds, parents = _check_entries(manifest.entries, rules, own)
    directories = {b"/"}
    for parent in parents:
        _add_directory(parent, kinds, directories)
    _check_links(manifest.entries, kinds)
    _check_inodes(manifest.entries)
    check_path(cwd)
    if not rules.allows(cwd):
        reject(cwd, "is a working directory among the toolchain's own files")
    if cwd not in directories:
        reject(cwd, "is a working directory that no entry makes")
    for output in outputs:
        _check_output(output, cwd, kinds, rules)
    _check_directories(manifest.entries, directories, rules, own)
    return CheckedManifest(
        entries=_without_execute(manifest.entries),
        directories=tuple(sorted(directories - {_OWN})),
        source=sum(entry.size for entry in manifest.entries),
        shared_trees=tuple(entry for entry in manifest.entries if entry.kind is Kind.SHARED_TREE),
    )


def absolute(path: bytes, cwd: bytes) -> bytes:
    """`path` relative to `cwd`, normalised by its spelling alone: `..` removes the component before it."""
    names: list[bytes] = []
    for name in (path if path[:1] == b"/" else cwd + b"/" + path).split(b"/"):
        if name == b"..":
            del names[-1:]
        elif name not in {b"", b"."}:
            names.append(name)
    return b"/" + b"/".join(names)


def _among(catalogues: frozenset[tuple[bytes, Digest]], entries: tuple[Entry, ...]) -> frozenset[bytes]:
    """The paths of a toolchain's own catalogues in a manifest."""
    if not catalogues:
        return frozenset()
    return frozenset(
        entry.path for entry in entries if entry.kind is Kind.FILE and (entry.path, entry.blob) in catalogues
    )


def _input(entries: tuple[Entry, ...]) -> frozenset[bytes]:
    """The path of standard input, which must be there."""
    if not any(entry.path == INPUT and entry.kind is Kind.FILE and not entry.inode for entry in entries):
        reject(INPUT, "is missing, though the source is standard input")
    return frozenset((INPUT,))


def _check_entries(
    entries: tuple[Entry, ...], rules: PathRules, own: frozenset[bytes]
) -> tuple[dict[bytes, Kind], set[bytes]]:
    """The kind of each path, and all directories that are entries or directly contain one.

    Raises:
        PathError: an entry is malformed, or all together exceed a limit.
    """
    if len(entries) > limits.MANIFEST_ENTRIES:
        raise PathError(f"a manifest of {len(entries)} entries; at most {limits.MANIFEST_ENTRIES}")
    kinds: dict[bytes, Kind] = {}
    parents: set[bytes] = set()
    before = b""
    source = shared_trees = 0
    for entry in entries:
        path, kind = entry.path, entry.kind
        if path <= before:
            reject(path, "is out of order, or there twice")
        before = path
        parents.add(rules.parent(path, kind) if path not in own else path.rpartition(b"/")[0])
        if kind is Kind.DIRECTORY:
            parents.add(path)
        _check_content(entry)
        source += entry.size
        shared_trees += kind is Kind.SHARED_TREE
        kinds[path] = kind
    if shared_trees > limits.SHARED_TREES:
        raise PathError(f"a manifest of {shared_trees} shared trees; at most {limits.SHARED_TREES}")
    if source > limits.JOB_SOURCE:
        raise PathError(f"a manifest of {source} bytes of source; at most {limits.JOB_SOURCE}")
    return kinds, parents


def _check_content(entry: Entry) -> None:
    if entry.mode & ~0o777 or not -_MTIME_NS < entry.mtime_ns < _MTIME_NS or entry.inode < 0:
        reject(entry.path, f"has mode {entry.mode:o}, time {entry.mtime_ns}, inode {entry.inode}")
    if entry.kind is Kind.FILE:
        if len(entry.blob) != _DIGEST or not 0 <= entry.size <= limits.BLOB:
            reject(entry.path, f"has a digest of {len(entry.blob)} bytes and {entry.size} bytes of content")
    elif entry.size or (entry.kind is Kind.DIRECTORY and entry.blob):
        reject(entry.path, "has content but is not a file")
    elif entry.kind is Kind.SHARED_TREE and (len(entry.blob) != _DIGEST or entry.inode):
        reject(entry.path, f"is a shared tree with a digest of {len(entry.blob)} bytes and inode {entry.inode}")


def _add_directory(path: bytes, kinds: dict[bytes, Kind], made: set[bytes]) -> None:
    while path not in made:
        if kinds.get(path, Kind.DIRECTORY) is not Kind.DIRECTORY:
            reject(path, "is a file, a link or a shared tree and has something below it")
        made.add(path)
        path = path.rpartition(b"/")[0] or b"/"


def _check_directories(
    entries: tuple[Entry, ...], directories: set[bytes], rules: PathRules, own: frozenset[bytes]
) -> None:
    """Checks directories among the toolchain's own: each is one of these, or leads to where client files may be."""
    doubtful = {path for path in directories - rules.above if not rules.allows(path)}
    if not doubtful:
        return
    for path in own:
        doubtful.difference_update(ancestors(path))
    for entry in entries:
        if not doubtful:
            return
        whole = entry.kind in {Kind.DIRECTORY, Kind.SHARED_TREE}
        if rules.is_tolerated(entry.path, entry.kind):
            doubtful.difference_update((*ancestors(entry.path), entry.path))
            continue
        place = entry.path if whole or entry.path in own else rules.parent(entry.path, entry.kind)
        if rules.allows(place):
            doubtful.difference_update(ancestors(place))
    for path in doubtful - {b"/"}:
        reject(path, "is a directory among the toolchain's own files")


def _check_links(entries: tuple[Entry, ...], kinds: dict[bytes, Kind]) -> None:
    targets = {entry.path: entry.blob for entry in entries if entry.kind is Kind.LINK}
    steps = 0
    for path, target in targets.items():
        if not target or len(target) > limits.PATH or not CONTROL.isdisjoint(target):
            reject(path, "is a link with an impossible target")
        if path in MERGED and target.strip(b"/") != b"usr" + path:
            reject(path, "is a link that would replace a directory of the system")
        try:
            end, walked = resolve(path, targets.get)
        except TooManyLinksError:
            reject(path, "is a link in a loop")
        steps += walked
        if steps > _LINK_STEPS:
            reject(path, "is one link too many to follow")
        if (b"/" + end[1:].partition(b"/")[0]) in FORBIDDEN and end != b"/dev/null":
            reject(path, "is a link to where no client's file may lie")
    for path in MERGED:
        if kinds.get(path) is Kind.FILE:
            reject(path, "would replace a directory of the system")


def _check_inodes(entries: tuple[Entry, ...]) -> None:
    """Checks that paths that share an inode are the same file."""
    shared: dict[int, Entry] = {}
    numbered = [entry for entry in entries if entry.inode]
    if len({entry.inode for entry in numbered}) == len(numbered):
        return
    for entry in numbered:
        first = shared.setdefault(entry.inode, entry)
        if first is not entry and _identity(first) != _identity(entry):
            reject(entry.path, "shares an inode with a different file")


def _identity(entry: Entry) -> tuple[Kind, bytes, int, int, int]:
    return entry.kind, entry.blob, entry.size, entry.mode, entry.mtime_ns


def _check_output(output: bytes, cwd: bytes, kinds: dict[bytes, Kind], rules: PathRules) -> None:
    path = absolute(output, cwd)
    check_path(path)
    if not rules.allows(path.rpartition(b"/")[0] or b"/"):
        reject(path, "lies among the toolchain's own files")
    if path in kinds:
        reject(path, "is both read and to be written")
    if any(kinds.get(parent) is Kind.SHARED_TREE for parent in ancestors(path)):
        reject(path, "is to be written in a shared tree")


def _without_execute(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    if not any(entry.mode & 0o111 and entry.kind is Kind.FILE for entry in entries):
        return entries
    return tuple(replace(entry, mode=entry.mode & 0o666) if entry.kind is Kind.FILE else entry for entry in entries)
