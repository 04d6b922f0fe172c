"""`securecctl doctor`: checks this user's or this server's setup."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from securecc.cli.printing import as_json, plain
from securecc.model.finding import Finding, healthy

_CONFIG: Final = Path("/etc/securecc/config.yaml")
_MARKS: Final = {"ok": "ok   ", "note": "note ", "bad": "BAD  "}


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `doctor` to the tool."""
    parser = subparsers.add_parser(
        "doctor",
        help="find out why compiles are not remote",
        description="One line for each thing that must be right, and what to do if it is not. "
        "Exit status: 0 if everything works, 1 if something does not.",
    )
    parser.add_argument(
        "compilers", nargs="*", metavar="COMPILER", help="compilers that servers must have (default: CC, CXX, gcc)"
    )
    parser.add_argument("--server", action="store_true", help="check this machine as a compile server")
    parser.add_argument("--config", type=Path, default=_CONFIG, help="its configuration (default: %(default)s)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="(default: %(default)s)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    findings = _server(options.config) if options.server else _client(options.compilers)
    print(as_json(_rows(findings), indent=2) if options.format == "json" else _told(findings))
    return 0 if healthy(findings) else 1


def _server(config: Path) -> list[Finding]:
    from securecc.cli.doctor import server  # noqa: PLC0415 - a client need not have a server's parts

    return server.examine(config)


def _client(compilers: Sequence[str]) -> list[Finding]:
    from securecc.cli.doctor import client  # noqa: PLC0415 - nor a server a client's

    return client.examine(compilers)


def _told(findings: Sequence[Finding]) -> str:
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.state]} {finding.subject:{width}}  {plain(finding.says)}")
        if finding.advice:
            lines.append(f"{'':{width + 8}}-> {plain(finding.advice)}")
    return "\n".join(lines)


def _rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [
        {"subject": finding.subject, "state": finding.state, "says": finding.says, "advice": finding.advice}
        for finding in findings
    ]
