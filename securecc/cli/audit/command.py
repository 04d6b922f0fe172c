"""`securecctl audit`: its actions, and which of them was asked for."""

import argparse

from securecc.cli.audit import export, follow, key, show, summary, trace, verify


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `audit` to the tool."""
    parser = subparsers.add_parser("audit", help="read, follow, verify and export a server's audit log")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for action in (show, follow, summary, trace, verify, export, key):
        action.add_arguments(actions)
