"""The files of a clang, as clang itself names them (clang(1); Clang's "Command Line Argument Reference")."""

import os
import re
from dataclasses import dataclass

from securecc.compiler.toolchain.closure_builder import ClosureBuilder
from securecc.compiler.toolchain.gcc import folders
from securecc.compiler.toolchain.program_queries import libraries, search_directories, stderr_of, stdout_of
from securecc.model.errors import ToolchainError

_BANNER = re.compile(rb"clang version (\d+(?:\.\d+){0,3})")
_TARGET = re.compile(rb"^Target: ([a-z0-9_.]+(?:-[a-z0-9_.]+){1,3})$", re.MULTILINE)
_SELECTED = re.compile(rb"^Selected GCC installation: (/.+)$", re.MULTILINE)
_CONFIGURATION = re.compile(rb"^Configuration file: (/.+)$", re.MULTILINE)
TERMINALS = b"/lib/terminfo"
"""Where clang learns whether a terminal has colours; other places of terminfo(5) may differ on a server."""

_MULTILIBS = (b"", b"/32", b"/x32", b"/64", b"/n32")  # where clang looks for crtbegin.o of another word size


@dataclass(frozen=True, slots=True)
class Clang:
    """What a clang driver says about itself. `resources` is the directory of its own headers and lists; `gcc` that of
    the gcc whose headers and libraries it uses, empty if it found none.
    """

    target: str
    version: str
    resources: bytes
    gcc: bytes
    configurations: tuple[bytes, ...]

    @property
    def major(self) -> str:
        """The number that Debian appends to the names of its programs."""
        return self.version.split(".")[0]

    @property
    def name(self) -> str:
        """``clang-14``."""
        return f"clang-{self.major}"


def identify(driver: bytes) -> Clang | None:
    """What the driver says about itself; None if it does not answer like clang."""
    said = stderr_of(driver, b"-v")
    version, target, gcc = _BANNER.search(said), _TARGET.search(said), _SELECTED.search(said)
    if version is None or target is None:
        return None
    try:
        resources = stdout_of(driver, b"-print-resource-dir").strip()
    except ToolchainError:
        return None
    return Clang(
        target=target[1].decode("ascii"),
        version=version[1].decode("ascii"),
        resources=os.path.realpath(resources),
        gcc=os.path.realpath(gcc[1]) if gcc else b"",
        configurations=tuple(_CONFIGURATION.findall(said)),
    )


def collect(driver: bytes, identity: Clang, closure: ClosureBuilder) -> None:
    """Adds all that `clang -c` needs to `closure`. Clang has its own assembler, and finds a gcc by its crtbegin.o.

    Raises:
        ToolchainError: a file is missing, or cannot be read.
    """
    for library in libraries(closure.add_file(driver)):
        closure.add_file(library)
    closure.add_folder(identity.resources + b"/share")  # sanitizers' ignore lists
    for place in _MULTILIBS:
        if identity.gcc and os.path.isfile(identity.gcc + place + b"/crtbegin.o"):
            closure.add_file(identity.gcc + place + b"/crtbegin.o")
    for path in identity.configurations:
        closure.add_file(path)
    closure.add_folder(TERMINALS)


def drivers(compiler: bytes, driver: bytes, identity: Clang) -> dict[bytes, bytes]:
    """Paths by which this clang is called, each with its real path: they are one program."""
    suffix = b"-" + os.fsencode(identity.major)
    names = [base + s for base in (b"clang", b"clang++") for s in (b"", suffix)]
    paths = [folder + b"/" + name for folder in folders(compiler, driver) for name in (*names, b"cc", b"c++")]
    return {path: driver for path in sorted(paths) if os.path.realpath(path) == driver}


def searched(compiler: bytes, driver: bytes, identity: Clang) -> set[bytes]:
    """Where clang looks for its programs, libraries and other files, beginning where it was called."""
    return search_directories(compiler) | {os.path.dirname(driver), identity.resources}
