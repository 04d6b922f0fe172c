"""`securecctl stats`: how many compiles went to each server, and how many were local."""

import argparse
import time
from pathlib import Path

from securecc.cli.printing import ago, as_json, columns, plain, size
from securecc.client.state.journal import clear, default_path, load
from securecc.client.state.journal_record import DISAGREEMENT, JournalRecord


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `stats` to the tool."""
    parser = subparsers.add_parser("stats", help="count remote and local compiles")
    parser.add_argument("-s", "--show", action="store_true", help="print the counts (the default)")
    parser.add_argument("-z", "--zero", action="store_true", help="reset the counts (after printing them, with -s)")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--file", type=Path, default=None, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the counts, or resets them."""
    path = options.file or default_path()
    if options.show or not options.zero:
        found = load(path)
        print(as_json(_as_values(found), indent=2) if options.format == "json" else as_text(found, time.time()))
    if options.zero:
        clear(path)
    return 0


def as_text(found: JournalRecord, now: float) -> str:
    """The counts as tables."""
    if not found.since:
        return "no compiles on record yet"
    total = found.remote + found.local
    rows = [
        ("compiles", f"{total}", f"since {ago(now - found.since)}"),
        ("remote", f"{found.remote}", _share(found.remote, total)),
        ("local", f"{found.local}", _share(found.local, total)),
        ("disagreements", f"{_disagreements(found)}", ""),
        ("sent", size(sum(server.sent for server in found.servers.values())), ""),
        ("received", size(sum(server.received for server in found.servers.values())), ""),
    ]
    parts = [columns(rows)]
    if found.servers:
        table = [("SERVER", "COMPILES", "SENT", "RECEIVED", "LAST")]
        for name, server in sorted(found.servers.items(), key=lambda item: -item[1].count):
            last = ago(now - server.last)
            table.append((plain(name), f"{server.count}", size(server.sent), size(server.received), last))
        parts += ["", columns(table)]
    if found.reasons:
        table_of_reasons = [("WHY LOCAL", "COMPILES")]
        for name, reason in sorted(found.reasons.items(), key=lambda item: -item[1].count):
            table_of_reasons.append((plain(name), f"{reason.count}"))
        parts += ["", columns(table_of_reasons)]
    return "\n".join(parts)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def _disagreements(found: JournalRecord) -> int:
    reason = found.reasons.get(DISAGREEMENT)
    return 0 if reason is None else reason.count


def _as_values(found: JournalRecord) -> dict[str, object]:
    return {
        "since": found.since or None,
        "remote": found.remote,
        "local": found.local,
        "disagreements": _disagreements(found),
        "sent": sum(server.sent for server in found.servers.values()),
        "received": sum(server.received for server in found.servers.values()),
        "servers": {
            name: {
                "count": server.count,
                "sent": server.sent,
                "received": server.received,
                "wall_s": server.wall_s,
                "last": server.last,
            }
            for name, server in found.servers.items()
        },
        "reasons": {name: reason.count for name, reason in found.reasons.items()},
    }
