"""Verification of a chain: in itself, by its signatures, and against what is known from elsewhere. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from securecc.audit.chain import Link, Sealed, unseal
from securecc.audit.checkpoint import Anchor, Verify, anchor_proven, proven
from securecc.audit.records.daemon_events import Checkpoint, Repair
from securecc.model import limits
from securecc.model.errors import AuditError

T = TypeVar("T")

_NOTES = 100  # repairs named one by one
_decode_repair = msgspec.json.Decoder(Repair).decode
_decode_checkpoint = msgspec.json.Decoder(Checkpoint).decode


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a log from elsewhere.

    `head` is the last record according to the file beside the log; `after` is the record that the first line must
    follow; `digest` (or ``SEQ:HASH``) is of a record that must be in the log; one of `keys` must have signed each
    checkpoint (empty: any key may); `anchors` are checkpoints by record number.
    """

    head: Link | None = None
    after: Link | None = None
    digest: str = ""
    keys: frozenset[str] = frozenset()
    anchors: dict[int, Anchor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result. `problem` is empty if the log is complete; otherwise `line` is the first bad line, counted from 1 in
    `file`, and `seq` the record that is or should be there. `notes` are the repairs that the log reports, `lost` is the
    number of records that it reports missing. Signatures cover the records up to `signed`, anchors those up to
    `anchored`.
    """

    records: int
    last: Link
    problem: str = ""
    file: str = ""
    line: int = 0
    seq: int = 0
    notes: tuple[str, ...] = ()
    lost: int = 0
    signed: int = 0
    anchored: int = 0


class ChainVerifier:
    """Verifies lines in order, in constant memory. `proves` verifies a signature; without it signatures are ignored."""

    def __init__(self, known: Expected | None = None, proves: Verify | None = None) -> None:
        self._known = known or Expected()
        self._proves = proves
        self._last = self._known.after or Link()
        self._gap: tuple[Link, str, int] | None = None
        self._fault: tuple[str, int, int, str] | None = None
        self._file, self._line = "", 0
        self._records = 0
        self._notes: list[str] = []
        self._lost = 0
        self._signed = 0
        self._witness: tuple[int, int] | None = None  # the last checkpoint: its record, and how many may follow
        self._anchored = 0
        self._wanted = self._known.digest
        if self._known.after is not None and (trouble := self._compare(self._known.after)):
            self._blame(self._known.after.seq, trouble)

    def new_file(self, name: str = "") -> None:
        """The next line is the first of this file, which continues the file before."""
        self._file, self._line = name, 0

    def feed(self, line: bytes) -> bool:
        """Takes the next line, newline included. False once the verdict is known."""
        if self._fault is not None:
            return False
        self._line += 1
        try:
            sealed = unseal(line)
        except AuditError as error:
            sealed = None
            problem = error.message
        if self._gap is not None:
            self._settle(*self._gap, sealed)
        elif sealed is not None:
            self._follow(sealed, line)
        else:
            self._blame(self._last.seq + 1, _unreadable(line, problem))
        return self._fault is None

    def verdict(self) -> Verdict:
        """The result, after the last line."""
        if self._fault is None:
            self._line += 1
            self._end()
        file, line, seq, problem = self._fault or ("", 0, 0, "")
        return Verdict(
            self._records,
            self._last,
            problem,
            file,
            line,
            seq,
            tuple(self._notes),
            self._lost,
            self._signed,
            self._anchored,
        )

    def _blame(self, seq: int, problem: str, *, before: int = 0) -> None:
        """Names this line, or one before it in its file, and the record there."""
        self._fault = (self._file, max(self._line - before, 1), seq, problem)

    def _end(self) -> None:
        known, last = self._known, self._last
        beyond = [anchor for anchor in known.anchors.values() if anchor.link.seq > last.seq]
        if self._gap is not None:
            self._settle(*self._gap, None)
        elif known.head is not None and known.head.seq > last.seq:
            self._blame(last.seq + 1, f"{_records(last.seq + 1, known.head.seq)} cut off the end")
        elif beyond:
            latest = max(beyond, key=lambda anchor: anchor.link.seq)
            self._blame(last.seq + 1, f"{_records(last.seq + 1, latest.link.seq)} cut off the end{_told(latest)}")
        elif self._wanted:
            self._blame(last.seq, f"no record is {self._wanted}: it was cut off, or the whole log was rewritten")
        elif known.keys and self._witness is None:
            self._blame(last.seq, "the log has no checkpoint: nothing is signed")

    def _follow(self, sealed: Sealed, line: bytes) -> None:
        link, last, head = sealed.link, self._last, self._known.head
        if link.seq > last.seq + 1:
            self._gap = link, self._file, self._line  # the next line tells whether it was moved or others were removed
        elif link.seq <= last.seq:
            self._blame(link.seq, f"record {link.seq} stands after record {last.seq}")
        elif sealed.prev != last.digest:
            self._blame(last.seq, f"record {link.seq} does not follow from the one before it", before=1)
        elif head is not None and head.seq == link.seq and head.digest != link.digest:
            self._blame(link.seq, f"record {link.seq} is not the one that was written")
        elif (trouble := self._compare(link) or self._look(sealed, line)) != "":
            self._blame(link.seq, trouble)
        else:
            self._last = link
            self._records += 1

    def _compare(self, link: Link) -> str:
        """Compares it with what is known from elsewhere."""
        if self._wanted in (link.digest, f"{link.seq}:{link.digest}"):
            self._wanted = ""
        anchor = self._known.anchors.get(link.seq)
        if anchor is None:
            return ""
        self._anchored = link.seq
        return "" if anchor.link == link else f"record {link.seq} is not the one that was anchored{_told(anchor)}"

    def _look(self, sealed: Sealed, line: bytes) -> str:
        if sealed.kind == "checkpoint":
            return self._check(sealed, line)
        if sealed.kind == "repair":
            self._note(line)
        if self._known.keys and self._witness is not None:
            seq, every = self._witness
            if sealed.link.seq - seq > every:
                return f"no checkpoint stands between record {seq} and record {sealed.link.seq}, where one was due"
        return ""

    def _check(self, sealed: Sealed, line: bytes) -> str:
        seq = sealed.link.seq
        record = _decoded(_decode_checkpoint, line)
        if record is None:
            return f"record {seq} is not a checkpoint"
        if (record.signed_seq, record.signed_hash) != (seq - 1, sealed.prev):
            return f"the checkpoint at record {seq} signs another chain"
        if self._proves is None:
            return ""
        if self._known.keys and record.key not in self._known.keys:
            return f"the checkpoint at record {seq} is signed by another key, {record.key[:60]!a}"
        if not proven(record, self._proves):
            return f"the signature of the checkpoint at record {seq} is not valid"
        self._signed, self._witness = seq - 1, (seq, record.every)
        return ""

    def _settle(self, gap: Link, file: str, line: int, following: Sealed | None) -> None:
        expected = self._last.seq + 1
        if following is not None and following.link.seq < gap.seq:
            problem = f"record {gap.seq} stands before record {following.link.seq}"
        else:
            problem = f"{_records(expected, gap.seq - 1)} missing before record {gap.seq}"
            problem += "; their file is not among those given" * (line == 1)
        self._fault = (file, line, expected, problem)

    def _note(self, line: bytes) -> None:
        repair = _decoded(_decode_repair, line)
        if repair is not None and repair.problem == "missing":
            self._lost += repair.count
        if len(self._notes) < _NOTES:
            said = "an unreadable repair record" if repair is None else f"{repair.problem}: {repair.detail}"
            self._notes.append(said)


def choose_anchors(
    anchors: Iterable[Anchor], keys: frozenset[str], proves: Verify
) -> tuple[dict[int, Anchor], list[str], str]:
    """The anchors that belong to this log, by record; notes about the others; and how anchors contradict each other, or
    an empty text. With `keys`, those belong that one of the keys has signed; without, all do.
    """
    chosen: dict[int, Anchor] = {}
    notes: list[str] = []
    others = 0
    for anchor in anchors:
        if keys and anchor.key not in keys:
            others += 1
        elif not anchor_proven(anchor, proves):
            notes.append(f"line {anchor.line} of the anchors is forged: its signature is not valid")
        elif chosen.setdefault(anchor.link.seq, anchor).link != anchor.link:
            first = chosen[anchor.link.seq].line
            return (
                chosen,
                notes,
                f"lines {first} and {anchor.line} of the anchors name two different records {anchor.link.seq}",
            )
    if others:
        notes.append(f"{others} lines of the anchors are signed by other keys")
    return chosen, notes, ""


def _told(anchor: Anchor) -> str:
    return f" (line {anchor.line} of the anchors, {anchor.time})"


def _records(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"


def _unreadable(line: bytes, problem: str) -> str:
    if len(line) > limits.AUDIT_RECORD:
        return "is longer than any record"
    return problem if line.endswith(b"\n") else "is torn: the file ends in the middle of a record"


def _decoded(decode: Callable[[bytes], T], line: bytes) -> T | None:
    try:
        return decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
