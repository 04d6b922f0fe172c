"""A compiler's closure: the files that it needs to run, and the digest that client and server match by.

Headers are no part of it: they travel with each compile. What a compiler is, is asked of the compiler itself (gcc(1),
"Overall Options") and of its loader (ld.so(8), --list); nothing is traced.
"""

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass

from securecc.compiler.closure import ClosureFile, ToolchainClosure, digest_of, interpreter, is_elf
from securecc.words import limits
from securecc.words.errors import ToolchainError
from securecc.words.manifest import Digest, Kind

__all__ = ["ClosureFile", "Digests", "StatKey", "ToolchainClosure", "closure_of_programs", "digest_of", "discover"]

StatKey = tuple[int, int, int, int, int]
Digests = MutableMapping[StatKey, Digest]

_LINKS = 40  # MAXSYMLINKS of Linux
_TRIPLE = re.compile(r"[a-z0-9_]+(-[a-z0-9_.]+){1,3}")
_VERSION = re.compile(r"\d+(\.\d+){0,3}")
_LOADED = re.compile(rb"^\s+(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_MISSING = re.compile(rb"^\s+(\S+) => not found$", re.MULTILINE)
_LOCALES = (b"/usr/lib/locale/C.utf8", b"/usr/lib/locale/C.UTF-8")
_CATALOGUES = (b"/usr/lib/locale", b"/usr/share/locale")  # message catalogues are format strings


@dataclass(frozen=True, slots=True)
class _Identity:
    """What a gcc driver says of itself."""

    target: str
    version: str
    cc1: bytes

    @property
    def major(self) -> str:
        return self.version.split(".")[0]


def discover(compiler: bytes, search_path: bytes, digests: Digests | None = None) -> ToolchainClosure:
    """The closure of the compiler at this absolute path; `as` and its like are looked for along `search_path`.

    `digests` remembers what files contained, across calls. Takes some 50 ms, and 1 ms for each 2 MB not yet digested.
    Raises ToolchainError: no such compiler, not a program, a library missing.
    """
    closure = _Closure({} if digests is None else digests)
    driver = closure.real(compiler)
    identity = _identify(driver) if _is_elf(driver) else None
    if not _is_elf(driver):
        raise ToolchainError(f"{os.fsdecode(compiler)} is no ELF program", "name the compiler itself, not a script")
    if identity is None:
        closure.add_program(driver)
        return _generic(compiler, driver, closure)
    return _gcc(compiler, driver, identity, search_path, closure)


def closure_of_programs(programs: Iterable[bytes], digests: Digests | None = None) -> tuple[ClosureFile, ...]:
    """Programs at these absolute paths, with their loaders and libraries. Raises ToolchainError."""
    closure = _Closure({} if digests is None else digests)
    for program in programs:
        closure.add_program(program)
    return closure.listed()


class _Closure:
    """Collects paths, every symlink on the way to them included."""

    def __init__(self, digests: Digests) -> None:
        self._digests = digests
        self._found: dict[bytes, ClosureFile] = {}

    def listed(self) -> tuple[ClosureFile, ...]:
        return tuple(sorted(self._found.values(), key=lambda file: file.path))

    def real(self, path: bytes) -> bytes:
        """Where this path leads; nothing is collected."""
        return _walk(path, {})

    def add_file(self, path: bytes) -> bytes:
        """Collect one file with the links that lead to it; its real path."""
        real = _walk(path, self._found)
        if real not in self._found:
            self._found[real] = self._regular(real)
        return real

    def add_program(self, path: bytes) -> bytes:
        """Collect a program, its loader and its libraries; its real path."""
        real = self.add_file(path)
        for library in _libraries(real):
            self.add_file(library)
        return real

    def add_folder(self, path: bytes) -> None:
        """Collect all files below a directory, if it is there."""
        for folder, _folders, names in os.walk(path):
            for name in names:
                self.add_file(os.path.join(folder, name))

    def _regular(self, path: bytes) -> ClosureFile:
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ToolchainError(f"{os.fsdecode(path)} is no regular file")
                key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                digest = self._digests.get(key)
                if digest is None:
                    digest = self._digests[key] = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            raise ToolchainError(f"cannot read {os.fsdecode(path)}: {error.strerror}") from error
        return ClosureFile(path, Kind.FILE, digest, stat.S_IMODE(status.st_mode), status.st_size)


def _gcc(
    compiler: bytes, driver: bytes, identity: _Identity, search_path: bytes, closure: _Closure
) -> ToolchainClosure:
    called = _drivers(compiler, driver, identity)
    for real in sorted({driver, *called.values()}):
        closure.add_program(real)
    for program in (b"cc1", b"cc1plus", b"as", b"objcopy"):
        path = _program(driver, program, search_path)
        if path:
            closure.add_program(path)
    specs = _ask(driver, b"-print-file-name=specs").strip()
    if specs.startswith(b"/"):
        closure.add_file(specs)
    for locale in _LOCALES:
        closure.add_folder(locale)
    return _finish(
        name=f"gcc-{identity.major}",
        identity=identity,
        called=tuple(sorted({compiler, *called})),
        closure=closure,
        searched=_search_directories(driver),
        includes=_include_directories(driver),
        search_path=search_path,
    )


def _generic(compiler: bytes, driver: bytes, closure: _Closure) -> ToolchainClosure:
    """A program that does not answer as gcc does: itself and its libraries, whatever it is."""
    return _finish(
        name=os.fsdecode(os.path.basename(compiler)),
        identity=_Identity("", "", b""),
        called=tuple(sorted({compiler, driver})),
        closure=closure,
        searched=(),
        includes=(),
        search_path=os.path.dirname(compiler),
    )


def _finish(
    *,
    name: str,
    identity: _Identity,
    called: tuple[bytes, ...],
    closure: _Closure,
    searched: Iterable[bytes],
    includes: Iterable[bytes],
    search_path: bytes,
) -> ToolchainClosure:
    files = closure.listed()
    calls: dict[bytes, ClosureFile] = {}
    for path in called:
        _walk(path, calls)
    callable_in = {os.path.dirname(path) for path in called}
    held = {os.path.dirname(file.path) for file in (*files, *calls.values()) if file.kind is Kind.FILE}
    known = {file.path for file in files}
    return ToolchainClosure(
        name=name,
        target=identity.target,
        version=identity.version,
        called_by=called,
        files=files,
        calls=tuple(call for path, call in sorted(calls.items()) if path not in known),
        directories=tuple(sorted({*held, *searched} - {b"/"})),
        include_directories=tuple(dict.fromkeys(includes)),
        search_path=b":".join(place for place in search_path.split(b":") if place in held | callable_in),
        digest=digest_of(files),
    )


def _identify(driver: bytes) -> _Identity | None:
    """What the driver says of itself; None if it does not answer as gcc does."""
    try:
        target = _ask(driver, b"-dumpmachine").decode("ascii", "replace").strip()
        version = _ask(driver, b"-dumpfullversion", b"-dumpversion").decode("ascii", "replace").strip()
        cc1 = _ask(driver, b"-print-prog-name=cc1").strip()
    except ToolchainError:
        return None
    if not (_TRIPLE.fullmatch(target) and _VERSION.fullmatch(version) and os.path.isabs(cc1)):
        return None
    return _Identity(target, version, os.path.normpath(cc1))


def _drivers(compiler: bytes, driver: bytes, identity: _Identity) -> dict[bytes, bytes]:
    """Paths by which drivers of the same installation are called, each with its real path."""
    prefix, suffix = os.fsencode(identity.target) + b"-", b"-" + os.fsencode(identity.major)
    names = [p + base + s for p in (b"", prefix) for base in (b"gcc", b"g++") for s in (b"", suffix)]
    folders = {os.path.dirname(compiler), os.path.dirname(driver)}
    if b"/usr/bin" in folders and os.path.realpath(b"/bin") == b"/usr/bin":
        folders.add(b"/bin")
    called = {}
    same: dict[bytes, bool] = {driver: True}
    for path in sorted(os.path.join(folder, name) for folder in folders for name in (*names, b"cc", b"c++")):
        if not os.access(path, os.X_OK):
            continue
        real = os.path.realpath(path)
        if real not in same:
            same[real] = _is_elf(real) and _identify(real) == identity
        if same[real]:
            called[path] = real
    return called


def _program(driver: bytes, name: bytes, search_path: bytes) -> bytes:
    """Where the driver finds a program of its own; empty if it does not (gcc then asks PATH, and so do we)."""
    answer = _ask(driver, b"-print-prog-name=" + name).strip()
    if answer.startswith(b"/"):
        return answer if os.access(answer, os.X_OK) else b""
    for folder in search_path.split(b":"):
        path = os.path.join(folder, answer)
        if folder.startswith(b"/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return b""


def _search_directories(driver: bytes) -> set[bytes]:
    """Where the driver looks for programs, specs and libraries, and glibc for message catalogues."""
    found = set(_CATALOGUES)
    for line in _ask(driver, b"-print-search-dirs").splitlines():
        _label, _, places = line.partition(b": ")
        for place in places.lstrip(b"=").split(b":"):
            if place.startswith(b"/"):
                found.add(os.path.realpath(place))
    return found


def _include_directories(driver: bytes) -> list[bytes]:
    """The directories that are searched for headers without any option, C first."""
    found = []
    for language in (b"c", b"c++"):
        said = _ask(driver, b"-v", b"-E", b"-x" + language, b"/dev/null", complain=False)
        _, _, listing = said.partition(b"#include <...> search starts here:\n")
        listing, _, _ = listing.partition(b"End of search list.")
        found += [os.path.normpath(line.strip()) for line in listing.splitlines()]
    return found


def _walk(path: bytes, links: dict[bytes, ClosureFile]) -> bytes:
    """The real path; each symlink crossed is put into `links`. Raises ToolchainError if it leads nowhere."""
    if not path.startswith(b"/"):
        raise ToolchainError(f"{os.fsdecode(path)!r} is no absolute path")
    todo, at, crossed = path.split(b"/")[::-1], b"", 0
    while todo:
        name = todo.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            at = os.path.dirname(at).rstrip(b"/")
            continue
        step = at + b"/" + name
        target = _link_target(step, path)
        if target is None:
            at = step
            continue
        links[step] = ClosureFile(step, Kind.LINK, target)
        crossed += 1
        if crossed > _LINKS:
            raise ToolchainError(f"too many symbolic links at {os.fsdecode(path)}")
        at = b"" if target.startswith(b"/") else at
        todo += target.split(b"/")[::-1]
    return at or b"/"


def _link_target(step: bytes, path: bytes) -> bytes | None:
    try:
        return os.readlink(step) if stat.S_ISLNK(os.lstat(step).st_mode) else None
    except OSError as error:
        raise ToolchainError(
            f"cannot reach {os.fsdecode(path)}: {os.fsdecode(step)}: {error.strerror}", "is the compiler installed?"
        ) from error


def _libraries(program: bytes) -> list[bytes]:
    """The loader of a program and the libraries that it would load; none for a static one."""
    loader = interpreter(_head(program))
    if not loader:
        return []
    said = _ask(loader, b"--list", program)
    missing = _MISSING.search(said)
    if missing:
        raise ToolchainError(f"{os.fsdecode(program)} needs {os.fsdecode(missing[1])}, which is not there")
    return [loader, *_LOADED.findall(said)]


def _is_elf(path: bytes) -> bool:
    return is_elf(_head(path))


def _head(path: bytes) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(16 * limits.KIB)
    except OSError as error:
        raise ToolchainError(f"cannot read {os.fsdecode(path)}: {error.strerror}") from error


def _ask(program: bytes, *arguments: bytes, complain: bool = True) -> bytes:
    """What a program prints: standard output, or with `complain` off standard error, whatever its exit status."""
    try:
        said = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            timeout=limits.PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"{os.fsdecode(program)} does not run: {error}") from error
    if complain and said.returncode:
        raise ToolchainError(f"{os.fsdecode(program)} failed: {said.stderr.decode('utf-8', 'replace').strip()[:200]}")
    return said.stdout if complain else said.stderr
