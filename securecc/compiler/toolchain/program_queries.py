"""What programs say about themselves: compilers by their options, loaders by `--list`, ELF files by their header."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from securecc.compiler.toolchain.closure import interpreter, is_elf
from securecc.model import limits
from securecc.model.errors import ToolchainError

_LOADED = re.compile(rb"^\s+(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_MISSING = re.compile(rb"^\s+(\S+) => not found$", re.MULTILINE)
_LANGUAGES = ((b"-xc", b"/dev/null"), (b"-xc++", b"/dev/null"))
_HEADER = b"#include <...> search starts here:\n"


def stdout_of(program: bytes, *arguments: bytes) -> bytes:
    """What a program prints on standard output.

    Raises:
        ToolchainError: it does not run, or fails.
    """
    said = _run(program, arguments)
    if said.returncode:
        raise ToolchainError(f"{os.fsdecode(program)} failed: {said.stderr.decode('utf-8', 'replace').strip()[:200]}")
    return said.stdout


def stderr_of(program: bytes, *arguments: bytes) -> bytes:
    """What a program prints on standard error, whatever its exit status.

    Raises:
        ToolchainError: it does not run.
    """
    return _run(program, arguments).stderr


def include_directories(driver: bytes) -> list[bytes]:
    """The directories that are searched for headers by default, C first."""
    found = []
    with ThreadPoolExecutor(len(_LANGUAGES)) as threads:
        answers = threads.map(partial(stderr_of, driver, b"-v", b"-E"), *zip(*_LANGUAGES, strict=True))
        for said in answers:
            listing, _, _ = said.partition(_HEADER)[2].partition(b"End of search list.")
            found += [os.path.normpath(line.strip()) for line in listing.splitlines()]
    return found


def search_directories(driver: bytes) -> set[bytes]:
    """The directories in which a driver looks for programs and libraries (`-print-search-dirs`)."""
    found = set()
    for line in stdout_of(driver, b"-print-search-dirs").splitlines():
        _label, _, places = line.partition(b": ")
        found |= {os.path.realpath(place) for place in places.lstrip(b"=").split(b":") if place.startswith(b"/")}
    return found


def libraries(program: bytes) -> list[bytes]:
    """The loader of a program and the libraries that it would load (ld.so(8)); none for a static one.

    Raises:
        ToolchainError: a library is missing, or the program cannot be read.
    """
    loader = interpreter(head(program))
    if not loader:
        return []
    said = stdout_of(loader, b"--list", program)
    missing = _MISSING.search(said)
    if missing:
        raise ToolchainError(f"{os.fsdecode(program)} needs {os.fsdecode(missing[1])}, which is missing")
    return [loader, *_LOADED.findall(said)]


def is_program(path: bytes) -> bool:
    """Whether this is an ELF file.

    Raises:
        ToolchainError: it cannot be read.
    """
    return is_elf(head(path))


def head(path: bytes) -> bytes:
    """A file's first 16 KiB.

    Raises:
        ToolchainError: it cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(16 * limits.KIB)
    except OSError as error:
        raise ToolchainError(f"cannot read {os.fsdecode(path)}: {error.strerror}") from error


def _run(program: bytes, arguments: tuple[bytes, ...]) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            timeout=limits.PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"{os.fsdecode(program)} does not run: {error}") from error
