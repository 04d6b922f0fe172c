"""The files of a gcc, as gcc itself names them (GCC manual, "Developer Options", "Spec Files")."""

import os
import platform
import re
from dataclasses import dataclass

from securecc.compiler.toolchain.closure_builder import ClosureBuilder
from securecc.compiler.toolchain.program_queries import is_program, libraries, search_directories, stdout_of
from securecc.model.errors import ToolchainError

_TRIPLE = re.compile(r"[a-z0-9_]+(-[a-z0-9_.]+){1,3}")
_VERSION = re.compile(r"\d+(\.\d+){0,3}")
_LOCALES = (b"/usr/lib/locale/C.utf8", b"/usr/lib/locale/C.UTF-8")
_CATALOGUES = (b"/usr/lib/locale", b"/usr/share/locale")  # message catalogues are format strings
PROGRAMS = (b"cc1", b"cc1plus", b"cc1obj", b"cc1objplus", b"as", b"objcopy", b"collect2", b"lto-wrapper")
"""What the driver may run for `-c` and `-S`, if it is installed."""

_PLUGIN = b"liblto_plugin.so"


@dataclass(frozen=True, slots=True)
class Gcc:
    """What a gcc driver says about itself."""

    target: str
    version: str
    cc1: bytes

    @property
    def major(self) -> str:
        """The number that Debian appends to the names of its programs."""
        return self.version.split(".")[0]

    @property
    def name(self) -> str:
        """``gcc-12``; followed by the target if that is another kind of machine, ``gcc-12-aarch64-linux-gnu``."""
        native = self.target.partition("-")[0] == platform.machine()
        return f"gcc-{self.major}" if native else f"gcc-{self.major}-{self.target}"


def identify(driver: bytes) -> Gcc | None:
    """What the driver says about itself; None if it does not answer like gcc."""
    try:
        target = stdout_of(driver, b"-dumpmachine").decode("ascii", "replace").strip()
        version = stdout_of(driver, b"-dumpfullversion", b"-dumpversion").decode("ascii", "replace").strip()
        cc1 = stdout_of(driver, b"-print-prog-name=cc1").strip()
    except ToolchainError:
        return None
    if not (_TRIPLE.fullmatch(target) and _VERSION.fullmatch(version) and os.path.isabs(cc1)):
        return None
    return Gcc(target, version, os.path.normpath(cc1))


def collect(driver: bytes, drivers: set[bytes], search_path: bytes, closure: ClosureBuilder) -> None:
    """Adds all that `gcc -c` and `gcc -S` need to `closure`; `as` and similar programs are looked for along
    `search_path`.

    Raises:
        ToolchainError: a file is missing, or cannot be read.
    """
    programs = [*sorted(drivers), *(path for name in PROGRAMS if (path := _program(driver, name, search_path)))]
    loaded: dict[bytes, None] = {}
    for program in programs:
        loaded |= dict.fromkeys(libraries(closure.add_file(program)))
    for library in loaded:
        closure.add_file(library)
    for path in _specs(driver):
        closure.add_file(path)
    for locale in _LOCALES:
        closure.add_folder(locale)
    for folder in {os.path.dirname(os.path.realpath(library)) for library in loaded if b"/libc.so" in library}:
        closure.add_folder(folder + b"/gconv")  # of -finput-charset and -fexec-charset


def drivers(compiler: bytes, driver: bytes, identity: Gcc) -> dict[bytes, bytes]:
    """Paths by which drivers of the same installation are called, each with its real path."""
    prefix, suffix = os.fsencode(identity.target) + b"-", b"-" + os.fsencode(identity.major)
    names = [p + base + s for p in (b"", prefix) for base in (b"gcc", b"g++") for s in (b"", suffix)]
    called = {}
    same: dict[bytes, bool] = {driver: True}
    for path in sorted(
        folder + b"/" + name for folder in folders(compiler, driver) for name in (*names, b"cc", b"c++")
    ):
        if not os.access(path, os.X_OK):
            continue
        real = os.path.realpath(path)
        if real not in same:
            same[real] = is_program(real) and identify(real) == identity
        if same[real]:
            called[path] = real
    return called


def folders(compiler: bytes, driver: bytes) -> set[bytes]:
    """Where the drivers of one installation are; /bin as well, if that is /usr/bin."""
    found = {os.path.dirname(compiler), os.path.dirname(driver)}
    if b"/usr/bin" in found and os.path.realpath(b"/bin") == b"/usr/bin":
        found.add(b"/bin")
    return found


def searched(driver: bytes) -> set[bytes]:
    """Where gcc looks for programs, specs and libraries, and glibc for message catalogues."""
    return search_directories(driver) | set(_CATALOGUES)


def _specs(driver: bytes) -> list[bytes]:
    """Files that change what options mean, and the plugin that the driver names to `collect2`."""
    install = os.path.dirname(_named(driver, b"libgcc.a") or _named(driver, b"crtbegin.o") or b"")
    places = [_named(driver, b"specs"), _named(driver, _PLUGIN)]
    if install:
        places.append(os.path.join(os.path.dirname(install), b"specs"))  # for all versions
    return [path for path in dict.fromkeys(places) if path and os.path.isfile(path)]


def _named(driver: bytes, name: bytes) -> bytes:
    """Where the driver finds a file; empty if it does not."""
    answer = stdout_of(driver, b"-print-file-name=" + name).strip()
    return answer if answer.startswith(b"/") else b""


def _program(driver: bytes, name: bytes, search_path: bytes) -> bytes:
    """Where the driver finds one of its programs; empty if it does not (gcc then searches PATH, and so do we)."""
    answer = stdout_of(driver, b"-print-prog-name=" + name).strip()
    if answer.startswith(b"/"):
        return answer if os.access(answer, os.X_OK) else b""
    for folder in search_path.split(b":"):
        path = os.path.join(folder, answer)
        if folder.startswith(b"/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return b""
