"""`securecctl why`: why recent compiles stayed local, and what to do about it."""

import argparse
import datetime as dt
import time
from pathlib import Path

import msgspec

from securecc.cli.printing import ago, as_json, columns, moment, plain
from securecc.client.state.journal import default_path, load
from securecc.client.state.journal_record import DISAGREEMENT, Disagreement, JournalRecord

NOTHING = "nothing to do: such a compile belongs on this machine"

ADVICE = {
    "assembler": NOTHING,
    "authentication": "the server could not prove its identity, or your ticket is not for it: run `securecctl doctor`",
    "backend": "leave the option out of remote builds: options of the code generator itself are not supported",
    "changed": "a file changed while it was being sent: nothing to do, unless a generator runs beside the compile",
    "compiler": "only gcc and clang go to servers, under these names (or gcc-12); with ccache, set CCACHE_PREFIX",
    "computed-line": "write the file's name in #line itself, not in a macro",
    "conftest": NOTHING,
    "denied": "you proved who you are, but the server's policy does not let you in: ask its admin, with the reference",
    "dependencies": "rename files whose names hold newlines, backslashes or the like",
    "dependencies-only": NOTHING,
    "dependency-pragma": NOTHING,
    DISAGREEMENT: "a server failed or read other files than your compiler: report the command below to the admin",
    "does-not-preprocess": "the compile fails here too: correct the source",
    "dump": "leave the option out of remote builds: the files that it writes would stay on the server",
    "environment": "unset the variable that is named",
    "error": "see the detail; `securecctl doctor` tells more",
    "fails": "the compile fails here too: correct the source",
    "information": NOTHING,
    "input": "see the detail: a file of this kind cannot be sent",
    "input-file": "leave the option out of remote builds: the file that it names does not travel",
    "internal": "an internal error of the agent: report it with the .log beside its socket",
    "kdc": "the KDC issued no ticket for the server: see the detail; `securecctl doctor` tells more",
    "language": "only C, C++, Objective-C and assembly go to servers",
    "layer": "the shared tree cannot be used in place of its files: see the detail",
    "limit": "ask the admin for higher limits for this kind of compile, or leave it local",
    "line": "see the detail: #line names a file that cannot be sent",
    "link": NOTHING,
    "locale": "install the compiler's messages in your language on the servers as well, or build with LC_ALL=C.UTF-8",
    "modules": "modules are built and used locally: leave them out of remote builds",
    "native": "replace -march=native with the processor that you mean, such as -march=x86-64-v3",
    "no-hosts": "set SECURECC_HOSTS, or list the servers in ~/.config/securecc/hosts",
    "no-source": NOTHING,
    "no-ticket": "get a ticket: kinit",
    "option": "leave the option out of remote builds, or ask for it to be supported",
    "option-value": "see the detail: this value is understood by the local compiler only",
    "output": "see the detail: an output like this is written by the compiler itself",
    "precompiled-header": "precompiled headers are built and used locally: leave them out of remote builds",
    "preprocess-only": NOTHING,
    "profile": "profiles belong to the machine that made them: leave them out of remote builds",
    "program": "leave the option out: it names a program to run, and servers run their own compilers only",
    "reach": "see the detail: the includes can reach too many files",
    "refused-busy": "the servers are full: add servers, or build with a lower -j",
    "refused-denied": "the server's policy does not grant this job: ask its admin, with the reference",
    "refused-draining": "nothing to do: a server is about to restart",
    "refused-limit": "the job exceeds what the policy grants: ask the admin for higher limits",
    "refused-option": "the server does not accept this option: is it older than the client?",
    "refused-protocol": "client and server do not understand each other: upgrade the older one",
    "refused-server": "the server has a problem: tell its admin",
    "refused-toolchain": "no server has your compiler: install the same package on both sides",
    "refused-tree": "the server will not build this tree of files: see the detail",
    "response-file": "give the arguments themselves instead of @FILE",
    "search": "name the directories with -I, -isystem or -iquote instead",
    "settings": "correct the setting that is named; it was ignored",
    "several-sources": "compile one source at a time",
    "standard-input": NOTHING,
    "special-taken": "write it to a file first: the compile failed, because a FIFO can be read only once",
    "special": "write it to a file first: what a FIFO, a device or <(command) gives can be read only once",
    "syntax-only": NOTHING,
    "target": "see the detail: call the compiler of that target by its own name",
    "temporary-file": NOTHING,
    "terminal": "install tput (ncurses), or set TERM to a kind that every machine knows, such as xterm-256color",
    "time": "set SOURCE_DATE_EPOCH, or leave __TIME__ and its like out of most files",
    "toolchain": "the compiler could not be examined: see the detail",
    "witness": "see the detail: the compiler asked for something that differs on the server; make both sides alike",
    "working-directory": 'something was mounted over it after it was entered: cd "$PWD" enters what is mounted there',
    "unreachable": "is the server up, and its port open? `securecctl doctor` checks",
    "watch": "see the detail: raise fs.inotify.max_user_watches where that is the limit",
}


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `why` to the tool."""
    parser = subparsers.add_parser("why", help="say why recent compiles stayed local")
    parser.add_argument("--since", metavar="T", help="only reasons that occurred since then: 10min, 2h, 2026-11-21")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--file", type=Path, default=None, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the reasons, the most frequent first."""
    now = time.time()
    found = load(options.file or default_path())
    if options.since is not None:
        found = _since(found, moment(options.since, dt.datetime.fromtimestamp(now, tz=dt.UTC)).timestamp())
    print(as_json(_as_values(found), indent=2) if options.format == "json" else as_text(found, now))
    return 0


def as_text(found: JournalRecord, now: float) -> str:
    """For people: a table, then advice for each reason, then the disagreements."""
    if not found.since:
        return "no compiles on record yet"
    compiles = "compile" if found.remote == 1 else "compiles"
    total = f"{found.remote} {compiles} on servers, {found.local} local, since {ago(now - found.since)}"
    if not found.reasons:
        return total
    reasons = sorted(found.reasons.items(), key=lambda item: -item[1].count)
    rows = [("COUNT", "LAST", "REASON", "EXAMPLE")]
    for name, reason in reasons:
        example = next((plain(f"{item.source}: {item.detail}".removeprefix(": ")) for item in reason.examples), "")
        rows.append((str(reason.count), ago(now - reason.last), plain(name), example))
    advice = [f"{plain(name)}: {advice_for(name)}" for name, _ in reasons]
    parts = [total, "", columns(rows), "", "What to do:", *advice]
    for item in found.disagreements:
        parts += ["", *_disagreement(item, now)]
    return "\n".join(parts)


def advice_for(reason: str) -> str:
    """What the user can do about it."""
    return ADVICE.get(reason, "see the example")


def _disagreement(item: Disagreement, now: float) -> list[str]:
    ended = f"exit status {item.status}" if item.status >= 0 else f"signal {-item.status}"
    said = [f"    {plain(line)}" for line in item.errors.splitlines()[:5]]
    command = plain(" ".join(item.arguments))
    return [f"{ago(now - item.time)}, {plain(item.server)}: {ended}, but no error here:", f"    {command}", *said]


def _since(found: JournalRecord, start: float) -> JournalRecord:
    """Leaves out what last occurred before `start`. The counts still cover the whole record."""
    return msgspec.structs.replace(
        found,
        reasons={name: reason for name, reason in found.reasons.items() if reason.last >= start},
        disagreements=tuple(item for item in found.disagreements if item.time >= start),
    )


def _as_values(found: JournalRecord) -> dict[str, object]:
    return {
        "since": _stamp(found.since),
        "remote": found.remote,
        "local": found.local,
        "reasons": [
            {
                "reason": name,
                "count": reason.count,
                "last": _stamp(reason.last),
                "advice": advice_for(name),
                "examples": [
                    {"time": _stamp(item.time), "source": item.source, "detail": item.detail}
                    for item in reason.examples
                ],
            }
            for name, reason in sorted(found.reasons.items(), key=lambda item: -item[1].count)
        ],
        "disagreements": [
            {
                "time": _stamp(item.time),
                "server": item.server,
                "status": item.status,
                "arguments": item.arguments,
                "errors": item.errors,
            }
            for item in found.disagreements
        ],
    }


def _stamp(seconds: float) -> str | None:
    if not seconds:
        return None
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
