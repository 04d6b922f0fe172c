"""`securecctl toolchain`: the compilers that a daemon offers or an agent has used, and whether they have changed."""

import argparse
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from securecc.cli.printing import as_json, columns, plain, size
from securecc.client.host import wrapper_lists
from securecc.client.state import journal
from securecc.compiler.toolchain import discovery, toolchain_list, wrapper_scripts
from securecc.compiler.toolchain.closest_match import difference
from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure, describe
from securecc.compiler.toolchain.program_queries import is_program
from securecc.compiler.toolchain.toolchain_list import KnownToolchain, ToolchainList
from securecc.daemon.config_edit import add_compiler
from securecc.daemon.settings import DaemonSettings, read_settings
from securecc.model.errors import ConfigError, ToolchainError
from securecc.model.manifest import Kind
from securecc.system.atomic_file import replace_file

CONFIG = Path("/etc/securecc/config.yaml")
SEARCH_PATH = b"/usr/local/bin:/usr/bin:/bin"
"""The runner's PATH, unless the toolchain list has another."""

DIFFERS_STATUS = 3
_SHORT = 16  # hexadecimal digits of a digest that are shown
_CALLS = 3  # paths shown on a line
_LEAST = 4  # hexadecimal digits that are enough to name one
_WITNESS = {True: "yes", False: "no", None: "unknown"}


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the `toolchain` command."""
    parser = subparsers.add_parser(
        "toolchain",
        help="show the compilers that are offered or known, and their files",
        description="On a machine with /etc/securecc/config.yaml: those of its daemon; elsewhere, or with --client:"
        " those of your agent. Exit status: 0, 1 if something cannot be read, found or changed, 3 if verify finds a"
        " difference.",
    )
    parser.set_defaults(run=run)
    commands = parser.add_subparsers(dest="toolchain_command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list the compilers that are offered, or were used")
    show = commands.add_parser(
        "show", help="show one compiler: by its name or digest in the list, or by its path on this machine"
    )
    show.add_argument("which", metavar="NAME|DIGEST|PATH")
    add = commands.add_parser("add", help="let the daemon offer a compiler, or the agent trust a script that runs one")
    add.add_argument("path", type=Path, metavar="PATH")
    add.add_argument("--print", action="store_true", help="only print the change")
    verify = commands.add_parser("verify", help="compute all digests again, and name the files that differ")
    verify.add_argument("which", nargs="?", default="", metavar="NAME|DIGEST")
    for command in (listing, show, add, verify):
        whose = command.add_mutually_exclusive_group()
        whose.add_argument("--config", type=Path, default=None, metavar="FILE", help="the daemon's configuration")
        whose.add_argument("--client", action="store_true", help="your own agent, also on a server")
    for command in (listing, show):
        command.add_argument("--format", choices=("text", "json"), default="text")


def run(options: argparse.Namespace) -> int:
    """Runs the command and returns its exit status."""
    actions = {"list": _list, "show": _show, "add": _add, "verify": _verify}
    return actions[options.toolchain_command](options)


def _list(options: argparse.Namespace) -> int:
    known = _known_toolchains(options).toolchains
    if options.format == "json":
        print(as_json([_as_value(one) for one in known], indent=2))
        return 0
    if not known:
        print("no toolchains are known yet")
        return 0
    tried = any(one.witnessed is not None for one in known)
    rows = [("NAME", "VERSION", "TARGET", "DIGEST", *(("WITNESS",) if tried else ()), "CALLED BY")]
    for one in known:
        told = one.description
        called = " ".join(_text(path) for path in one.called_by[:_CALLS]) + " ..." * (len(one.called_by) > _CALLS)
        witness = (_WITNESS[one.witnessed],) if tried else ()
        rows.append((plain(told.name), plain(told.version), plain(told.target), _digest(one.digest), *witness, called))
    print(columns(rows))
    return 0


def _show(options: argparse.Namespace) -> int:
    if options.which.startswith("/"):
        closure = _discover(os.fsencode(options.which), os.fsencode(os.environ.get("PATH", "")))
        print(as_json(_closure_value(closure), indent=2) if options.format == "json" else _closure_text(closure))
        return 0
    for one in _chosen(_known_toolchains(options), options.which):
        print(as_json(_as_value(one), indent=2) if options.format == "json" else _known_text(one))
    return 0


def _verify(options: argparse.Namespace) -> int:
    status = 0
    for one in _chosen(_known_toolchains(options), options.which):
        said = _difference(one)
        status = status if not said else DIFFERS_STATUS
        print(f"{plain(one.description.name)} {_digest(one.digest)}: {plain(said) if said else 'unchanged'}")
    return status


def _difference(one: KnownToolchain) -> str:
    """How the compiler has changed; empty if it has not."""
    try:
        now = _discover(one.called_by[0], one.search_path or SEARCH_PATH)
    except ToolchainError as error:
        return str(error)
    return "" if now.digest == one.digest else difference(one.description, describe(now))


def _add(options: argparse.Namespace) -> int:
    path = Path(os.path.abspath(options.path))
    config = _config(options)
    if config is None:
        return _vouch(path, only_print=options.print)
    settings = read_settings(config)
    real = os.fsencode(os.path.realpath(path))
    called = os.fsencode(path) if is_program(real) else wrapper_scripts.compiler_of(real)
    closure = discovery.discover(called, SEARCH_PATH)
    if closure.family == "other":
        raise ToolchainError(f"{path} is neither a gcc nor a clang")
    before = _read(config)
    text = add_compiler(before, os.fsdecode(called), config)
    print(f"{_text(called)}: {closure.name} {closure.version} for {closure.target}, {_digest(closure.digest)}")
    if options.print:
        print(text, end="")
        return 0
    if text != before:
        _replace(config, text)
    print(_reload(settings))
    return 0


def _vouch(script: Path, *, only_print: bool) -> int:
    """Adds a script to the user's own list; a compiler that is not a script needs no entry.

    Raises:
        ToolchainError: it is not a script.
    """
    path = os.fsencode(os.path.realpath(script))
    if is_program(path):
        raise ToolchainError(
            f"{script} is a compiler, not a script: your agent uses it as it is",
            "let servers offer it: run securecctl toolchain add on each",
        )
    digest = wrapper_scripts.script_digest(path)
    program = wrapper_scripts.compiler_of(path)
    print(f"{plain(str(script))} runs {_text(program)}; let the servers offer that compiler")
    where = wrapper_lists.default_paths()[0]
    if only_print:
        print(f"{digest.hex()}  {_text(path)}")
    elif digest not in wrapper_lists.vouched((where,)):
        wrapper_lists.vouch(where, path, digest)
        print(f"added to {where}")
    return 0


def _discover(path: bytes, search_path: bytes) -> ToolchainClosure:
    """The compiler at a path; scripts on the user's and the site's lists are followed."""
    return discovery.discover(path, search_path, None, wrapper_lists.vouched(wrapper_lists.default_paths()))


def _read(config: Path) -> str:
    try:
        return config.read_text()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {config}: {error}") from error


def _replace(config: Path, text: str) -> None:
    """Replaces the file; owner and mode stay.

    Raises:
        ConfigError: the file cannot be replaced.
    """
    try:
        replace_file(config, text.encode(), like=config.stat(), durable=True)
    except OSError as error:
        raise ConfigError(f"cannot change {config}: {error.strerror}", "run this as root") from error


def _reload(settings: DaemonSettings) -> str:
    """Reloads the daemon if it runs and we may; what was done, as text."""
    by_hand = "reload the daemon: systemctl reload secureccd"
    try:
        pid = toolchain_list.read(settings.state / toolchain_list.NAME).pid
        command = Path(f"/proc/{pid}/cmdline").read_bytes() if pid else b""
        if b"securecc" not in command:  # the number may be another process's by now
            return by_hand
        os.kill(pid, signal.SIGHUP)
    except (OSError, ConfigError):
        return by_hand
    return f"reloading the daemon (process {pid}); `securecctl toolchain list` shows what it offers"


def _known_toolchains(options: argparse.Namespace) -> ToolchainList:
    config = _config(options)
    if config is None:
        return toolchain_list.read(journal.default_path().with_name(toolchain_list.NAME))
    return toolchain_list.read(read_settings(config).state / toolchain_list.NAME)


def _config(options: argparse.Namespace) -> Path | None:
    """The daemon's configuration; None if the agent is meant."""
    if options.config is not None:
        return Path(os.path.abspath(options.config))
    return CONFIG if CONFIG.exists() and not options.client else None


def _chosen(known: ToolchainList, which: str) -> Sequence[KnownToolchain]:
    """The toolchains of that name or whose digest begins so; all for an empty word.

    Raises:
        ConfigError: there is none.
    """
    found = [one for one in known.toolchains if which in ("", one.description.name) or _named(one, which)]
    if not found:
        what = f"no toolchain {plain(which)[:80]} is known" if which else "no toolchains are known yet"
        raise ConfigError(what, "run securecctl toolchain list")
    return found


def _named(one: KnownToolchain, which: str) -> bool:
    return len(which) >= _LEAST and one.digest.hex().startswith(which.lower())


def _known_text(one: KnownToolchain) -> str:
    rows = _heading(one.description.name, one.description.version, one.description.target, one.digest)
    rows += [("called by", " ".join(_text(path) for path in one.called_by))]
    if one.witnessed is not None:
        rows += [("witness", _WITNESS[one.witnessed] if one.witnessed else "no: its programs do not load it")]
    parts = [(f"{part.digest.hex()}", _text(part.path)) for part in one.description.parts]
    return "\n".join([columns(rows), "", columns(parts)])


def _closure_text(closure: ToolchainClosure) -> str:
    rows = _heading(closure.name, closure.version, closure.target, closure.digest)
    rows += [("called by", " ".join(_text(path) for path in closure.called_by))]
    if closure.program:
        rows += [("runs", _text(closure.program))]
    rows += [("files", f"{len(closure.files)}, {size(sum(file.size for file in closure.files))}")]
    return "\n".join([columns(rows), "", columns([_row(file) for file in closure.files])])


def _row(file: ClosureFile) -> tuple[str, str]:
    if file.kind is Kind.FILE:
        return _digest(file.blob), _text(file.path)
    return "link", f"{_text(file.path)} -> {_text(file.blob)}"


def _heading(name: str, version: str, target: str, digest: bytes) -> list[tuple[str, str]]:
    return [("name", plain(name)), ("version", plain(version)), ("target", plain(target)), ("digest", digest.hex())]


def _as_value(one: KnownToolchain) -> dict[str, object]:
    told = one.description
    return {
        "name": told.name,
        "family": told.family,
        "version": told.version,
        "target": told.target,
        "digest": one.digest.hex(),
        "called_by": [_text(path) for path in one.called_by],
        "witnessed": one.witnessed,
        "parts": {_text(part.path): part.digest.hex() for part in told.parts},
    }


def _closure_value(closure: ToolchainClosure) -> dict[str, object]:
    told = _as_value(KnownToolchain(closure.digest, closure.called_by, describe(closure)))
    files = {_text(file.path): file.blob.hex() for file in closure.files if file.kind is Kind.FILE}
    links = {_text(file.path): _text(file.blob) for file in closure.files if file.kind is Kind.LINK}
    return told | {"program": _text(closure.program), "files": files, "links": links}


def _digest(digest: bytes) -> str:
    return digest.hex()[:_SHORT]


def _text(path: bytes) -> str:
    return plain(path.decode("utf-8", "backslashreplace"))
