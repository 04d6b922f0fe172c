"""A toolchain as both sides know it: its files by path and content, and their common digest."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from securecc.model import limits
from securecc.model.digest import sha256
from securecc.model.manifest import Digest, Kind
from securecc.model.messages import Description, Part

Family = Literal["gcc", "clang", "other"]
"""Which command line a compiler understands."""

_PT_INTERP = 3
_PART = 8  # bytes of a digest: enough to see a difference; nothing is decided by it
_FOLDED = 64  # from this number on, files of one directory are one part: character sets


@dataclass(frozen=True, slots=True)
class ClosureFile:
    """One path of a closure. `blob` is a file's SHA-256, or a link's target; `mode` its permission bits."""

    path: bytes
    kind: Kind
    blob: bytes
    mode: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class ToolchainClosure:
    """A compiler and all that it needs.

    Attributes:
        name: ``gcc-12``, ``clang-14``.
        target: The triplet that it compiles for.
        called_by: The paths by which its drivers are called; not part of the digest.
        files: Its files, and the links that lead to them.
        calls: The links that lead from `called_by` to its drivers; not part of the digest.
        directories: Those that hold `files`, or where the compiler looks for programs, libraries, specs and message
        catalogues: no client file may be there. include_directories: Its own, for C and C++. search_path: A PATH that
        finds all its programs, and nothing else that matters. program: What to call instead of the wrapper script that
        was asked for; empty without one. catalogues: A server's messages in other languages; not part of the digest,
        since a compile in English reads none.
    """

    name: str
    target: str
    version: str
    called_by: tuple[bytes, ...]
    files: tuple[ClosureFile, ...]
    calls: tuple[ClosureFile, ...]
    directories: tuple[bytes, ...]
    include_directories: tuple[bytes, ...]
    search_path: bytes
    digest: Digest
    family: Family = "gcc"
    program: bytes = b""
    catalogues: tuple[ClosureFile, ...] = ()


def digest_of(files: Iterable[ClosureFile]) -> Digest:
    """SHA-256 over (path, kind, content or target, executable), each with its length, in the order of the paths."""
    whole = [b"securecc toolchain 1\0"]
    for file in sorted(files, key=lambda file: file.path):
        flags = b"%d%d" % (file.kind, bool(file.mode & 0o111))
        for field in (file.path, flags, file.blob):
            whole += (len(field).to_bytes(8, "big"), field)
    return sha256(*whole)


def whole_digest(closure: ToolchainClosure) -> Digest:
    """The digest of the toolchain and its catalogues: a runner with other ones offers the toolchain anew."""
    return digest_of((*closure.files, *closure.catalogues)) if closure.catalogues else closure.digest


def describe(closure: ToolchainClosure) -> Description:
    """What a toolchain consists of, in at most TOOLCHAIN_PARTS parts; links are left out, their targets included."""
    folders: dict[bytes, list[ClosureFile]] = {}
    for file in closure.files:
        if file.kind is Kind.FILE:
            folders.setdefault(file.path[: file.path.rindex(b"/") + 1], []).append(file)
    parts: list[Part] = []
    for folder, files in sorted(folders.items()):
        if len(files) >= _FOLDED:
            parts.append(Part(folder, digest_of(files)[:_PART]))
        else:
            parts += [Part(file.path, file.blob[:_PART]) for file in files]
    return Description(
        closure.name, closure.family, closure.version, closure.target, tuple(parts[: limits.TOOLCHAIN_PARTS])
    )


def is_elf(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an ELF file (elf(5))."""
    return head[:4] == b"\x7fELF"


def interpreter(head: bytes) -> bytes:
    """The loader of a 64-bit ELF file (PT_INTERP, elf(5)); empty for a static program, or if `head` is too short."""
    if head[:5] != b"\x7fELF\x02":
        return b""
    order: Literal["little", "big"] = "little" if head[5:6] == b"\x01" else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(head[start : start + size], order)

    table, width, count = number(32, 8), number(54, 2), number(56, 2)
    for at in range(table, min(table + width * count, len(head)), max(width, 1)):
        if number(at, 4) == _PT_INTERP:
            start, size = number(at + 8, 8), number(at + 32, 8)
            return head[start : start + size].rstrip(b"\0")
    return b""
