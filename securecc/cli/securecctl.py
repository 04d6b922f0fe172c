"""`securecctl`: everything but compiling and serving. Each subcommand is a module of its own."""

import argparse
import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from securecc import __version__
from securecc.model.errors import SecureccError
from securecc.model.printable import PrintableStream

SUBCOMMANDS = {
    "agent": "show or stop your agent",
    "audit": "read, follow, verify and export a server's audit log",
    "doctor": "find out why compiles are not remote",
    "hosts": "list the servers and their answers",
    "masquerade": "make a directory of compiler names that link to securecc",
    "policy": "check a policy, or explain what it decides",
    "stats": "count remote and local compiles",
    "toolchain": "show the compilers that are offered or known, and their files",
    "top": "watch running compiles",
    "why": "say why recent compiles stayed local",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Exit status: 0, 1 for a finding or failure, 2 for a wrong command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    out, err = PrintableStream(sys.stdout), PrintableStream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):  # type: ignore[type-var]
        return _ended(arguments)


def _ended(arguments: list[str]) -> int:
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except SecureccError as error:
        print(f"securecctl: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's own flush finds no broken pipe
        return 0
    except KeyboardInterrupt:
        return 130
    return status


def _run(arguments: list[str]) -> int:
    parser, parsers = _parser()
    name = next((word for word in arguments if not word.startswith("-")), "")
    for command in present():
        # Only the subcommand asked for is imported, so that starting stays quick.
        if command == name:
            importlib.import_module(f"securecc.cli.{command}").add_arguments(parsers)
        else:
            parsers.add_parser(command, help=SUBCOMMANDS[command])
    options = parser.parse_args(arguments)
    run = getattr(options, "run", None)
    if run is None:
        parser.print_help(sys.stderr)
        return 2
    status = run(options)
    return int(status or 0)


def present() -> tuple[str, ...]:
    """The subcommands that this installation has."""
    return tuple(name for name in SUBCOMMANDS if importlib.util.find_spec(f"securecc.cli.{name}") is not None)


def _parser() -> tuple[argparse.ArgumentParser, "argparse._SubParsersAction[argparse.ArgumentParser]"]:
    parser = argparse.ArgumentParser(
        prog="securecctl", description="Manages securecc: clients, servers, policies and audit logs."
    )
    parser.add_argument("--version", action="version", version=f"securecc {__version__}")
    return parser, parser.add_subparsers(title="commands", metavar="COMMAND")


if __name__ == "__main__":
    sys.exit(main())
