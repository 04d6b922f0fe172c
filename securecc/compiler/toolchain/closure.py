"""What a toolchain is to both sides: its files by path and content, and the digest that stands for all of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from securecc.model import limits
from securecc.model.digest import sha256
from securecc.model.manifest import Digest, Kind
from securecc.model.messages import Description, Part

Family = Literal["gcc", "clang", "other"]
"""Whose command line a compiler understands."""

_PT_INTERP = 3
_PART = 8  # bytes of a digest: enough to see a difference, and nothing is decided by it
_FOLDED = 64  # files of one directory are one part from this number on: character sets


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

    `called_by` are the paths by which its drivers are known, `calls` the links that make these work: neither is part
    of the digest. `directories` hold files of the closure, or are where the compiler looks for programs, libraries,
    specs and message catalogues: no client file may stand there. `include_directories` are its own, of C and C++.
    `search_path` is a PATH that finds all its programs, and nothing else that matters. `program` is what to call in the
    place of a script that was asked for; empty where that is the compiler itself. `catalogues` are a server's messages
    in other languages; they are no part of the digest, for a compile in English reads none.
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
    """Of the toolchain and of its catalogues: other ones than before are offered anew."""
    return digest_of((*closure.files, *closure.catalogues)) if closure.catalogues else closure.digest


def describe(closure: ToolchainClosure) -> Description:
    """What it is like, in at most TOOLCHAIN_PARTS parts; links are told by what they lead to."""
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
    """The loader that a 64-bit ELF file asks for; empty for a static program, or where `head` is too short to tell."""
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
