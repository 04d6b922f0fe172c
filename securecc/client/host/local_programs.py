"""What of a user's environment would make other programs or libraries run here than the toolchain's own.

The dynamic loader reads its variables itself (ld.so(8)), and the driver looks for programs along PATH: a run on a
server tells nothing of either.
"""

import errno
import os
from collections.abc import Mapping

from securecc.compiler.toolchain import gcc
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model.errors import StaysLocal
from securecc.model.printable import plain_path, quote

_HARMLESS = frozenset((b"LD_RUN_PATH", b"LD_BIND_NOW", b"LD_BIND_NOT", b"LD_WARN", b"LD_LIBRARY_PATH", b"LD_PRELOAD"))
"""Variables that change nothing of what a compiler makes, or whose value is looked at here."""
_GO_ON = (errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)  # as glibc's execvpe
_FAKEROOT = b"libfakeroot"  # says who owns files, which no compiler writes down
_VARIANTS = (b"glibc-hwcaps", b"tls", b"haswell")  # directories in which the loader looks as well


def check(environment: Mapping[bytes, bytes], cwd: bytes, toolchain: ToolchainClosure) -> None:
    """Checks that the toolchain's own programs and libraries would run here.

    Raises:
        StaysLocal: others would, or that cannot be told.
    """
    for name in environment:
        if name.startswith(b"LD_") and name not in _HARMLESS and environment[name]:
            raise StaysLocal("environment", f"{quote(name)} is set, and tells the dynamic loader what a server cannot")
    for word in environment.get(b"LD_PRELOAD", b"").replace(b":", b" ").split():
        if not os.path.basename(word).startswith(_FAKEROOT):
            raise StaysLocal("environment", f"LD_PRELOAD names {quote(word)}, which a server does not have")
    libraries = environment.get(b"LD_LIBRARY_PATH", b"")
    if libraries:
        _check_libraries(libraries, cwd, toolchain)
    _check_path(environment.get(b"PATH", b""), cwd)


def _check_libraries(search_path: bytes, cwd: bytes, toolchain: ToolchainClosure) -> None:
    """Checks that no directory of LD_LIBRARY_PATH has a library of the compiler's.

    Raises:
        StaysLocal: one has, or may have.
    """
    own = {os.path.basename(file.path) for file in toolchain.files if b".so" in os.path.basename(file.path)}
    for directory in search_path.replace(b";", b":").split(b":"):
        try:
            names = set(map(os.fsencode, os.listdir(os.path.join(cwd, directory))))
        except OSError:
            continue
        found = names & own or names.intersection(_VARIANTS)
        if found:
            where = f"{plain_path(directory)} of LD_LIBRARY_PATH has {quote(min(found))}"
            raise StaysLocal("environment", f"{where}, which the compiler would load here")


def _check_path(search_path: bytes, cwd: bytes) -> None:
    """Checks that no relative directory of PATH, the empty one among them, has a program that a driver runs, or ends
    the search for one.

    Raises:
        StaysLocal: one has, or does.
    """
    relative = [directory for directory in search_path.split(b":") if not directory.startswith(b"/")]
    for directory in relative if search_path else ():
        place = os.path.join(cwd, directory)
        if stops_search(place):
            raise StaysLocal("program", f"PATH ends at {plain_path(directory)}, which cannot be searched")
        for name in gcc.PROGRAMS:
            if os.path.lexists(os.path.join(place, name)):
                raise StaysLocal(
                    "program", f"PATH leads to {plain_path(os.path.join(directory or b'.', name))} in this directory"
                )


def stops_search(directory: bytes) -> bool:
    """Whether execvp(3) gives up at this directory of PATH, such as a loop of links: it goes on only where there is no
    such program, or none that may be run.
    """
    try:
        os.stat(os.path.join(directory, gcc.PROGRAMS[0]))
    except OSError as error:
        return error.errno not in _GO_ON
    return False
