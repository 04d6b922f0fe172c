"""`securecctl audit show`: records, filtered, for people or machines."""

import argparse

from securecc.cli.audit.log_parts import add_files, parts_of
from securecc.cli.audit.rows import Rows
from securecc.cli.audit.selection import Selection, add_filters


def add_arguments(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `show`."""
    parser = actions.add_parser("show", help="print records, filtered")
    add_files(parser, rotated=True)
    add_filters(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the records that pass all filters. Exit status 1 if a line is not a record."""
    selection = Selection(parts_of(options, rotated=options.rotated), options)
    rows = Rows(as_text=options.format == "text")
    for fields in selection:
        rows.put(fields)
    rows.end()
    return 1 if selection.bad else 0
