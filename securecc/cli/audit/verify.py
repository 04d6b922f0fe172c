"""`securecctl audit verify`: that no record was changed, moved or removed."""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

from securecc.audit.chain import Link
from securecc.audit.checkpoint import Anchor, parse_anchor
from securecc.audit.signing import PREFIX, parse_public, proves
from securecc.audit.verification import ChainVerifier, Expected, Verdict, choose_anchors
from securecc.cli.audit.log_parts import Part, add_files, head_beside, parts_of, rotated_beside
from securecc.cli.printing import plain
from securecc.model import limits
from securecc.model.errors import AuditError

_LINK = re.compile(r"[0-9]{1,18}:[0-9a-f]{64}", re.ASCII)
_DIGEST = re.compile(r"(?:[0-9]{1,18}:)?[0-9a-f]{64}", re.ASCII)
_KEY_FILE = 64 * limits.KIB  # of public keys; one is 53 bytes


def add_arguments(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `verify`."""
    parser = actions.add_parser("verify", help="check that no record was changed, moved or removed")
    add_files(parser, rotated=True)
    parser.add_argument("--after", metavar="SEQ:HASH", help="the record before the first one, if older parts are gone")
    parser.add_argument("--head", metavar="DIGEST", help="the digest (or SEQ:HASH) of a record that must be in the log")
    parser.add_argument(
        "--key", metavar="PUB", action="append", default=[], help="the server's public key, or a file of such keys"
    )
    parser.add_argument(
        "--anchor", metavar="FILE", action="append", default=[], type=Path, help="checkpoints that a collector has kept"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Verifies the chain and names the first bad line. Exit status 0 if everything is right, else 1."""
    keys = frozenset(key for text in options.key for key in _keys(text))
    after, digest = _matching(options.after, _LINK, "--after"), _matching(options.head, _DIGEST, "--head")
    parts = parts_of(options, rotated=options.rotated or not options.files)
    head = head_beside(parts)
    anchors, notes, trouble = choose_anchors(_anchors(options.anchor), keys, proves)
    for note in notes:
        print(f"note: {plain(note)}")
    if options.anchor and not anchors and not trouble:
        trouble = "none of the given anchors belongs to this log"
    trouble = trouble or _twice(parts)
    if trouble:
        print(f"{trouble}\nnot verified")
        return 1
    known = Expected(head, _link(after), digest, keys, anchors)
    return _say(check(parts, known), known, parts)


def check(parts: Iterable[Part], known: Expected) -> Verdict:
    """Verifies the chain through all files."""
    chain = ChainVerifier(known, proves)
    for part in parts:
        chain.new_file(str(part.path))
        for line in () if part.empty else part.lines():
            if not chain.feed(line):
                return chain.verdict()
    return chain.verdict()


def _say(verdict: Verdict, known: Expected, parts: list[Part]) -> int:
    for note in verdict.notes:
        print(f"note: {plain(note)}")
    if verdict.problem:
        print(f"{plain(verdict.file)}:{verdict.line}: {verdict.problem}")
        print(f"not verified; {_count(verdict.records)} before it in order")
        if verdict.records == 0 and known.after is None and (parts[0].first or 1) > 1:
            print(_where_older_parts_are(parts))
        return 1
    print(f"verified: {_count(verdict.records)}, the last is {verdict.last.seq}:{verdict.last.digest}")
    unsigned = verdict.last.seq - verdict.signed
    if verdict.signed or known.keys:
        whose = "with the given key" if known.keys else "according to the log itself: no --key was given"
        print(f"signed up to record {verdict.signed} {whose}; {_count(unsigned)} after it not signed yet")
    if verdict.anchored:
        print(f"anchored up to record {verdict.anchored}")
    if verdict.lost:
        print(f"but {_count(verdict.lost)} missing, as the log itself reports: see the notes")
    return 1 if verdict.lost else 0


def _where_older_parts_are(parts: list[Part]) -> str:
    given = {part.path for part in parts}
    found = [path for part in parts for path in rotated_beside(part.path) if path not in given]
    more = f" (beside it: {' '.join(plain(str(path)) for path in found[:8])})" if found else ""
    return f"if this log was rotated, name its older parts as well{more}, or give --after SEQ:HASH"


def _twice(parts: list[Part]) -> str:
    """Names two files that begin with the same record, because it is not known which of them is the log."""
    seen: dict[int, Part] = {}
    for part in parts:
        if part.first is not None and (other := seen.setdefault(part.first, part)) is not part:
            return f"{plain(str(other.path))} and {plain(str(part.path))} both begin with record {part.first}"
    return ""


def _keys(text: str) -> list[str]:
    if text.startswith(PREFIX):
        return [parse_public(text)]
    try:
        with Path(text).open("rb") as file:
            lines = file.read(_KEY_FILE).decode("ascii", "replace").split("\n")
    except OSError as error:
        advice = "give a public key (ed25519:...) or a file of public keys"
        raise AuditError(f"--key {plain(text)}: {error.strerror}", advice) from error
    keys = [parse_public(line) for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise AuditError(f"--key {plain(text)}: the file has no key", "`securecctl audit key` on the server prints it")
    return keys


def _anchors(paths: list[Path]) -> Iterable[Anchor]:
    for path in paths:
        try:
            with path.open("rb") as file:
                number = 0
                while line := file.readline(limits.AUDIT_RECORD):
                    number += 1
                    anchor = parse_anchor(line.decode("ascii", "replace"), number)
                    if anchor is not None:
                        yield anchor
        except OSError as error:
            raise AuditError(f"--anchor {plain(str(path))}: {error.strerror}") from error


def _matching(text: str | None, form: re.Pattern[str], option: str) -> str:
    if text and not form.fullmatch(text):
        raise AuditError(f"{option} {plain(text)[:120]}: not SEQ:HASH", "copy it from the output of `audit verify`")
    return text or ""


def _link(text: str) -> Link | None:
    seq, _, digest = text.partition(":")
    return Link(int(seq), digest) if text else None


def _count(records: int) -> str:
    return "1 record" if records == 1 else f"{records} records"
