"""Where a client's files may be: never among a toolchain's own. Default deny, path by path."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, NoReturn

from securecc.model import limits
from securecc.model.errors import PathError
from securecc.model.manifest import Kind
from securecc.model.printable import quote

FORBIDDEN = (b"/etc", b"/dev", b"/proc", b"/sys", b"/.securecc")
MERGED = (b"/bin", b"/sbin", b"/lib", b"/lib32", b"/lib64", b"/libx32")  # links into /usr where /usr is merged
# For every toolchain: a driver looks below these for programs and specs, even if none are there.
_SYSTEM = frozenset((b"/usr", *MERGED))
_SYSTEM_SHARED = frozenset((b"/usr/include", b"/usr/src", b"/usr/local/src", b"/usr/share"))
_SYSTEM_OWN = _SYSTEM | {b"/usr/share/locale"}
CONTROL = frozenset((*range(0x20), 0x7F))
_HEADERS = b"/include"
_PROBED = re.compile(rb"(/usr/lib(?:32|64|x32)?/gcc(?:-cross)?/[\w.-]+/[0-9][\w.-]*)(?:/[nx]?(?:32|64))?/crtbegin\.o")
_TOOLCHAINS = 64  # toolchains of one server
_VERDICTS = 65536  # paths remembered for each; some 10 MiB


@dataclass(frozen=True, slots=True, eq=False)
class PathRules:
    """The rules for one toolchain.

    Attributes:
        own: Directories that directly hold files of the toolchain, or that belong to every system.
        shared: Directories where it looks for headers, and where a client's files may be.
        above: The toolchain's directories in `own`, and all above them.
        whole: The same, with every system's own included.
        parents, permitted: Cached verdicts.
    """

    own: frozenset[bytes]
    shared: frozenset[bytes]
    above: frozenset[bytes] = field(init=False)
    whole: frozenset[bytes] = field(init=False)
    parents: tuple[dict[bytes, bytes], ...] = field(init=False, default_factory=lambda: tuple({} for _ in Kind))
    permitted: dict[bytes, bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        above = {parent for path in self.own for parent in ancestors(path)}
        object.__setattr__(self, "above", frozenset(above | self.own))
        object.__setattr__(self, "whole", self.above | _SYSTEM_OWN.union(*map(ancestors, _SYSTEM_OWN)))
        object.__setattr__(self, "own", self.own | _SYSTEM_OWN)
        object.__setattr__(self, "shared", self.shared | _SYSTEM_SHARED)

    def parent(self, path: bytes, kind: Kind) -> bytes:
        """The directory that an entry is in.

        Raises:
            PathError: no client entry may have this path.
        """
        remembered = self.parents[kind]
        parent = remembered.get(path)
        if parent is None:
            parent = self._judge(path, kind)
            _make_room(remembered)
            remembered[path] = parent
        return parent

    def _judge(self, path: bytes, kind: Kind) -> bytes:
        check_path(path)
        parent = path.rpartition(b"/")[0] or b"/"
        if kind is Kind.DIRECTORY or (kind is Kind.LINK and path in MERGED):
            return parent
        if kind is Kind.SHARED_TREE:
            if path == b"/" or path in self.whole:
                reject(path, "is a shared tree over the toolchain's own directories")
            if not self._allows(path, path):
                reject(path, "is a shared tree among the toolchain's own files")
            return parent
        if path == b"/" or path in self.above or path in self.shared:
            reject(path, "is where the toolchain has a directory")
        if not self._allows(path, path[: path.rfind(b"/")]) and not self.is_tolerated(path, kind):
            reject(path, "lies among the toolchain's own files")
        return parent

    def allows(self, directory: bytes) -> bool:
        """Whether a client's file may be directly in this directory: outside the toolchain's directories, at or below
        one of its include directories, or below another package's `include` there (``/usr/lib/glib-2.0/include``).
        """
        known = self.permitted.get(directory)
        if known is None:
            known = self._allows(directory, directory)
            _make_room(self.permitted)
            self.permitted[directory] = known
        return known

    def is_tolerated(self, path: bytes, kind: Kind) -> bool:
        """Whether a client may have this among a toolchain's own files, though in none of its directories: a link to
        headers (Debian's ``/usr/lib/clang/14/include``), or the directory of another gcc's installation and the file by
        which clang finds it.
        """
        if path.rpartition(b"/")[0] in self.own:
            return False
        if kind is Kind.LINK:
            return path.endswith(_HEADERS)
        probed = {Kind.FILE: path, Kind.DIRECTORY: path + b"/crtbegin.o"}.get(kind, b"")
        return _PROBED.fullmatch(probed) is not None

    def _allows(self, path: bytes, directory: bytes) -> bool:
        for parent in (path, *ancestors(path)):
            if parent in self.shared:
                return True
            if parent in self.own:
                below = directory[len(parent) + 1 :].split(b"/")
                return any(name.startswith(b"include") or name == b"c++" for name in below)
        return True


def _make_room(verdicts: dict[bytes, Any]) -> None:
    """Drops the older half of a full memory; a hit, one per entry of a job, stays a plain lookup."""
    if len(verdicts) >= _VERDICTS:
        for path in list(islice(verdicts, _VERDICTS // 2)):
            del verdicts[path]


@lru_cache(maxsize=_TOOLCHAINS)
def path_rules_of(own: frozenset[bytes], shared: frozenset[bytes]) -> PathRules:
    """The rules for a toolchain; arguments as for `securecc.compiler.tree.manifest_check.check_manifest`."""
    return PathRules(own, shared)


def check_path(path: bytes) -> None:
    """Checks the form of a path, and its first component.

    Raises:
        PathError: it is not absolute, not normalised, over a limit, or where no client file may be.
    """
    if path == b"/":
        return
    if path[:1] != b"/" or len(path) > limits.PATH:
        reject(path, "is not absolute" if path[:1] != b"/" else f"has {len(path)} bytes")
    names = path[1:].split(b"/")
    if len(names) > limits.PATH_DEPTH:
        reject(path, f"has {len(names)} components; at most {limits.PATH_DEPTH}")
    for name in names:
        if name in {b"", b".", b".."}:
            reject(path, "is not normalised")
        if len(name) > limits.PATH_COMPONENT:
            reject(path, f"has a component of {len(name)} bytes; at most {limits.PATH_COMPONENT}")
    if not CONTROL.isdisjoint(path):
        reject(path, "has a control character")
    if b"/" + names[0] in FORBIDDEN:
        reject(path, "lies where no client's file may")


def ancestors(path: bytes) -> list[bytes]:
    """The directories above, nearest first, without the root."""
    found = []
    end = path.rfind(b"/")
    while end > 0:
        found.append(path[:end])
        end = path.rfind(b"/", 0, end)
    return found


def reject(path: bytes, why: str) -> NoReturn:
    """Refuses a path.

    Raises:
        PathError: always; the message names the path.
    """
    raise PathError(f"path {quote(path)} {why}")
