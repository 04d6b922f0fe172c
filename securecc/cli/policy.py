"""`securecctl policy`: checks a policy before it is put in force, and explains its decisions."""

import argparse
import re
import sys
from collections.abc import Sized
from pathlib import Path

from securecc.config_file.quantities import duration_text, rate_text, size_text
from securecc.model import limits
from securecc.model.errors import SecureccError
from securecc.model.grant import Grant
from securecc.model.principal import Principal
from securecc.policy.decision import Decision, decide
from securecc.policy.files import read_file
from securecc.policy.loading import Loaded, load
from securecc.policy.model import NETWORK, NOTHING, Policy
from securecc.policy.network import parse_address
from securecc.policy.unix_groups import UnixGroups

DENIED_STATUS = 3
_PLACE = re.compile(r"(?P<file>.+?):(?P<line>[0-9]+):(?P<column>[0-9]+): ", re.DOTALL)
_CONTEXT = 160  # characters of a line that are shown around a mistake


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the `policy` command."""
    parser = subparsers.add_parser("policy", help="check a policy, explain its decisions")
    parser.set_defaults(run=run)
    commands = parser.add_subparsers(dest="policy_command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="check that a policy is valid and passes its tests",
        description="Exit status: 0 if the daemon would put it in force, 1 if not.",
    )
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument(
        "--ignore-permissions",
        action="store_true",
        help="only warn about files that others could write (for a working copy)",
    )
    explain = commands.add_parser(
        "explain",
        help="say which rule decides, and why",
        description="Exit status: 0 allowed, 3 denied, 1 if the policy or an argument is not valid.",
    )
    explain.add_argument("file", type=Path, metavar="FILE")
    explain.add_argument("principal", metavar="PRINCIPAL", help="the whole name, as alice@EXAMPLE.COM")
    explain.add_argument("address", metavar="ADDRESS", help="the client's address, as 10.2.3.4")
    explain.add_argument(
        "--indicator",
        action="append",
        default=[],
        metavar="NAME",
        help="an authentication indicator of the ticket (may be repeated)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit status."""
    try:
        if arguments.policy_command == "check":
            return _check(load(arguments.file), ignore=arguments.ignore_permissions)
        return _explain(load(arguments.file).policy, arguments)
    except SecureccError as error:
        _complain(str(error))
        return 1


def _check(loaded: Loaded, *, ignore: bool) -> int:
    policy = loaded.policy
    _, failures = UnixGroups().refresh(policy.unix_groups)
    for warning in (*loaded.warnings, *(f"{policy.document}: {each}" for each in failures)):
        _complain(f"warning: {warning}")
    for distrust in loaded.distrust:
        _complain(f"{'warning: ' if ignore else ''}{distrust}")
    if loaded.distrust and not ignore:
        return 1
    counts = (_count(policy.rules, "rule"), _count(policy.groups, "group"), _count(policy.tests, "test") + " passed")
    print(f"{policy.document}: valid: {', '.join(counts)}; revision {policy.revision}")
    return 0


def _explain(policy: Policy, arguments: argparse.Namespace) -> int:
    principal, address = Principal.parse(arguments.principal), parse_address(arguments.address)
    memberships, failures = UnixGroups().refresh(policy.unix_groups)
    for failure in failures:
        _complain(f"warning: {failure}")
    decision = decide(policy, principal, address, arguments.indicator, memberships)
    print(f"{principal} from {address}: {_outcome(decision)}")
    for verdict in decision.verdicts:
        where = f"{verdict.place.row}: " if verdict.place.line else ""
        print(f"  {where}{verdict.rule}: {'matches' if verdict.matched else 'does not match'}: {verdict.why}")
    if decision.grant is None:
        return DENIED_STATUS
    _show_grant(decision.grant)
    return 0


def _outcome(decision: Decision) -> str:
    said = "allowed" if decision.allowed else "denied"
    if decision.rule == NOTHING:
        return f"{said}, no rule matches"
    return f"{said} by {'the network section' if decision.rule == NETWORK else f'rule {decision.rule}'}"


def _show_grant(grant: Grant) -> None:
    each = grant.limits
    rows = {
        "toolchains": ", ".join(grant.toolchains),
        "wall": duration_text(each.wall_s),
        "cpu": duration_text(each.cpu_s),
        "memory": size_text(each.memory),
        "processes": str(each.processes),
        "output": size_text(each.output),
        "diagnostics": size_text(each.diagnostics),
        "source": size_text(each.source),
        "jobs": f"{grant.jobs} at a time",
        "rate": f"{rate_text(grant.quota.rate)}, {grant.quota.burst} at once" if grant.quota.rate else "no quota",
        "all memory": size_text(grant.quota.memory) if grant.quota.memory else "no quota",
        "all store": size_text(grant.quota.store) if grant.quota.store else "as config.yaml says",
        "connections": str(grant.quota.connections),
        "weight": f"{grant.weight:g}",
        "revision": grant.revision,
    }
    print("granted:")
    for key, value in rows.items():
        print(f"  {key:<12}{value}")


def _count(things: Sized, word: str) -> str:
    count = len(things)
    return f"{count} {word}{'' if count == 1 else 's'}"


def _complain(message: str) -> None:
    """Prints the message on standard error, and below it the line that it is about, with a caret."""
    print(message, file=sys.stderr)
    place = _PLACE.match(message.removeprefix("warning: "))
    if place is not None:
        _point(Path(place["file"]), int(place["line"]), int(place["column"]))


def _point(file: Path, line: int, column: int) -> None:
    try:
        lines = read_file(file, limits.GROUP_FILE).data.split(b"\n")
    except SecureccError:
        return
    if line <= len(lines):
        text = lines[line - 1].decode("utf-8", "replace")
        start = max(0, column - _CONTEXT // 2)
        shown = "".join(char if char.isprintable() else " " for char in text[start : start + _CONTEXT])
        print(f"  {line:>4} | {shown}\n       | {' ' * (column - 1 - start)}^", file=sys.stderr)
