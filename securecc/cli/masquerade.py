"""`securecctl masquerade`: directories of links from compiler names to the launcher, for builds that call `gcc`."""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from securecc.cli.printing import columns, plain
from securecc.model.errors import ConfigError

LAUNCHER = "securecc"
STAND_INS = ("buildcache", "ccache", "distcc", "icecc", "sccache", LAUNCHER)
"""Programs installed under compilers' names; the launcher skips them, see client/launcher/compiler/search.c."""

_NUMBER = r"(?:-[0-9]+(?:\.[0-9]+)*)?"
_NAME = re.compile(rf"(?:[A-Za-z0-9_.]+-)*(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+){_NUMBER}", re.ASCII)
_NATIVE = re.compile(rf"(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+){_NUMBER}", re.ASCII)
_CROSS = re.compile(rf"[a-z0-9_]+-(?:[a-z0-9_]+-){{1,2}}(?:gcc|g\+\+){_NUMBER}", re.ASCII)


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the `masquerade` command."""
    parser = subparsers.add_parser(
        "masquerade",
        help="make a directory of compiler names that link to securecc",
        description="With DIR first in PATH, everything that calls gcc compiles on the farm. Exit status: 0, or 1 if"
        " something cannot be done or list finds a link without a compiler.",
    )
    commands = parser.add_subparsers(dest="masquerade_command", required=True, metavar="COMMAND")
    install = commands.add_parser("install", help="make the links in a directory of their own")
    show = commands.add_parser("list", help="show the links, and the compiler that each one runs")
    remove = commands.add_parser("remove", help="remove the links, and the directory if it is then empty")
    for command in (install, remove):
        command.add_argument("directory", type=Path, metavar="DIR")
        command.add_argument("--compilers", nargs="+", default=[], metavar="NAME", help="only these names")
    show.add_argument("directory", type=Path, nargs="?", metavar="DIR", help="(default: those in PATH)")
    for command, run in ((install, _install), (show, _list), (remove, _remove)):
        command.set_defaults(run=run)


def compilers_in(directories: Iterable[str]) -> list[str]:
    """The sorted names of the compilers there, cross compilers too, without the programs of STAND_INS."""
    found = set()
    for directory in directories:
        for name in _names(Path(directory)):
            if (_NATIVE.fullmatch(name) or _CROSS.fullmatch(name)) and is_compiler(Path(directory, name)):
                found.add(name)
    return sorted(found)


def is_compiler(path: Path) -> bool:
    """Whether there is a program that is not one of STAND_INS."""
    return path.is_file() and os.access(path, os.X_OK) and Path(os.path.realpath(path)).name not in STAND_INS


def compiler_behind(directory: Path, name: str, search_path: Sequence[str]) -> Path | None:
    """What the launcher runs if it is called as `name` in `directory`: the next compiler of that name in PATH."""
    places = [Path(place) for place in search_path]
    stands = [at for at, place in enumerate(places) if _is_link(place / name)]
    behind = places[stands[0] + 1 :] if stands else places
    return next((place / name for place in behind if place != directory and is_compiler(place / name)), None)


def _install(options: argparse.Namespace) -> int:
    directory = Path(os.path.abspath(options.directory))
    launcher = _launcher()
    names = _wanted(options.compilers) or compilers_in(_search_path())
    if not names:
        raise ConfigError("there is no compiler in PATH", "install one, or name compilers with --compilers")
    _check_place(directory, names)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in names:
            _link(directory / name, launcher)
    except OSError as error:
        raise ConfigError(f"{error.filename or directory}: {error.strerror}", "choose another directory") from error
    print(f"{directory}: {' '.join(names)}")
    print(f'To use them: export PATH="{directory}:$PATH"')
    return 0


def _list(options: argparse.Namespace) -> int:
    search_path = _search_path()
    directories = search_path if options.directory is None else [os.path.abspath(options.directory)]
    rows, status = [("LINK", "RUNS")], 0
    for directory in dict.fromkeys(directories):
        for name in _links(Path(directory)):
            found = compiler_behind(Path(directory), name, search_path)
            status = status if found else 1
            rows.append((plain(f"{directory}/{name}"), plain(str(found)) if found else "no such compiler in PATH"))
    if len(rows) == 1:
        where = "PATH" if options.directory is None else str(options.directory)
        raise ConfigError(f"{plain(where)} has no links to {LAUNCHER}", "make them: securecctl masquerade install DIR")
    print(columns(rows))
    return status


def _remove(options: argparse.Namespace) -> int:
    directory = Path(os.path.abspath(options.directory))
    wanted = _wanted(options.compilers)
    names = [name for name in _links(directory) if not wanted or name in wanted]
    if not names:
        raise ConfigError(f"{directory} has no such links to {LAUNCHER}", "run securecctl masquerade list DIR")
    try:
        for name in names:
            (directory / name).unlink()
        if not os.listdir(directory):
            directory.rmdir()
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}", "remove the links by hand") from error
    print(f"removed from {directory}: {' '.join(names)}")
    return 0


def _launcher() -> Path:
    """The launcher of this installation: beside the interpreter, else in PATH.

    Raises:
        ConfigError: it is not installed.
    """
    beside = Path(os.path.dirname(sys.executable), LAUNCHER)
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which(LAUNCHER)
    if found is None:
        raise ConfigError(f"{LAUNCHER} is not installed beside {sys.executable}", "install the whole package")
    return Path(os.path.abspath(found))


def _wanted(names: Sequence[str]) -> list[str]:
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is not the name of a gcc or clang", "name compilers like gcc, g++-12 or clang")
    return sorted(set(names))


def _check_place(directory: Path, names: Sequence[str]) -> None:
    """Makes sure that nothing is replaced but links to the launcher.

    Raises:
        ConfigError: the directory is not usable, or has another file of such a name.
    """
    for name in names:
        path = directory / name
        if os.path.lexists(path) and not _is_link(path):
            raise ConfigError(f"{path} exists and is not a link to {LAUNCHER}", "choose a separate directory")
    if ":" in str(directory):
        raise ConfigError(
            f"{plain(str(directory))} cannot be in PATH: its name has a colon", "choose another directory"
        )
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory", "choose another")


def _link(path: Path, launcher: Path) -> None:
    """Replaces the link atomically, so that a build under way always finds a compiler."""
    if path.is_symlink() and os.readlink(path) == str(launcher):
        return
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(launcher)
    new.replace(path)


def _links(directory: Path) -> Iterator[str]:
    return (name for name in _names(directory) if _NAME.fullmatch(name) and _is_link(directory / name))


def _is_link(path: Path) -> bool:
    """Whether this is a link to a launcher, even to one that is gone."""
    return path.is_symlink() and Path(os.path.realpath(path)).name == LAUNCHER


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _search_path() -> list[str]:
    return [place or "." for place in os.environ.get("PATH", os.defpath).split(":")]
