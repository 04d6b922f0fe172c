"""`securecctl audit key`: the public key that verifies a server's checkpoints."""

import argparse
from pathlib import Path

from securecc.audit.signing import parse_public
from securecc.cli.audit.log_parts import CONFIG
from securecc.cli.printing import plain
from securecc.daemon.settings import read_settings
from securecc.model.errors import AuditError

_FILE = 4096  # bytes; a key is 53


def add_arguments(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `key`."""
    parser = actions.add_parser("key", help="print the public key that verifies this server's log")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the server's configuration (default: %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the key, for `audit verify --key` on another machine.

    Raises:
        AuditError: there is no key yet, or it cannot be read.
    """
    settings = read_settings(options.config)
    private = settings.audit.key or settings.state / "audit.key"
    path = private.with_name(private.name + ".pub")
    try:
        with path.open("rb") as file:
            text = file.read(_FILE).decode("ascii", "replace")
    except OSError as error:
        raise AuditError(f"{plain(str(path))}: {error.strerror}", "the daemon makes it when it first starts") from error
    print(parse_public(text))
    return 0
