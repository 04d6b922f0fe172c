"""How audit lines are chained, and how a chain is checked. Pure: bytes in, values out. docs/audit.md is normative.

A line is ``BODY,"hash":"H"}`` and a newline: H is the SHA-256 of BODY, and BODY begins with the record's number and
`prev`, the SHA-256 of the whole line before it, newline included.
"""

import datetime as dt
import hashlib
import re
from dataclasses import dataclass

import msgspec

from securecc.audit.events import Repair
from securecc.audit.record import Record
from securecc.words import limits
from securecc.words.errors import AuditError

GENESIS = "0" * 64  # `prev` of record 1

_LINE = re.compile(
    rb'(\{"seq":([1-9][0-9]{0,17}),"prev":"([0-9a-f]{64})",'
    rb'"time":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)",[^\n]*)'
    rb',"hash":"([0-9a-f]{64})"\}\n'
)
_HEAD = re.compile(rb"([0-9]{18}) ([0-9a-f]{64})\n")
_NOTES = 100  # repairs named one by one
_encode = msgspec.json.Encoder().encode
_decode_repair = msgspec.json.Decoder(Repair).decode


@dataclass(frozen=True, slots=True)
class Link:
    """A record's place: its number and the digest of its whole line, which the next record states."""

    seq: int = 0
    digest: str = GENESIS


@dataclass(frozen=True, slots=True)
class Sealed:
    """A line whose own hash is right."""

    link: Link
    prev: str
    time: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. `problem` is empty for a whole log, else `line` is the first bad one, from 1 within its file,
    and `seq` the record that stands or should stand there. `notes` are the repairs that the log itself reports.
    """

    records: int
    last: Link
    problem: str = ""
    line: int = 0
    seq: int = 0
    notes: tuple[str, ...] = ()


def stamp(time_ns: int) -> str:
    """RFC 3339, UTC, microseconds."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    return f"{moment.replace(tzinfo=None).isoformat()}.{rest // 1000:06d}Z"


def seal(record: Record, after: Link, time: str) -> tuple[bytes, Link]:
    """The line of `record` as the one that follows `after`. Raises AuditError for one over `limits.AUDIT_RECORD`."""
    body = b'{"seq":%d,"prev":"%s","time":"%s",%s' % (
        after.seq + 1,
        after.digest.encode(),
        time.encode(),
        _encode(record)[1:-1],
    )
    digest = hashlib.sha256(body)
    end = b',"hash":"%s"}\n' % digest.hexdigest().encode()
    digest.update(end)
    if len(body) + len(end) > limits.AUDIT_RECORD:
        raise AuditError(f"an audit record of {len(body) + len(end)} bytes; at most {limits.AUDIT_RECORD}")
    return body + end, Link(after.seq + 1, digest.hexdigest())


def unseal(line: bytes) -> Sealed:
    """Raises AuditError, in words that follow 'line N', for what is no record or not what was written."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise AuditError("is not a whole record")
    digest = hashlib.sha256(match[1])
    if digest.hexdigest().encode() != match[5]:
        raise AuditError(f"record {int(match[2])} was edited")
    digest.update(line[match.end(1) :])
    return Sealed(Link(int(match[2]), digest.hexdigest()), match[3].decode(), match[4].decode())


def head_line(link: Link) -> bytes:
    """The content of the file that says which record was written last; always of one length."""
    return b"%018d %s\n" % (link.seq, link.digest.encode())


def parse_head(data: bytes) -> Link | None:
    """None for what is not a whole head."""
    match = _HEAD.fullmatch(data)
    return None if match is None else Link(int(match[1]), match[2].decode())


def recover(tail: bytes, *, whole: bool) -> tuple[int, Link | None]:
    """The end of a log after a crash: how many bytes of `tail` have to go, and the last record before them (None: no
    record is left).

    `tail` is the end of the file, all of it if `whole`. At most one complete line that is no record is cut, for a
    crash can have left no more. Raises AuditError if there is no record where one must be.
    """
    end = tail.rfind(b"\n") + 1
    for _ in range(2):
        if end == 0:
            break
        start = tail.rfind(b"\n", 0, end - 1) + 1
        if start == 0 and not whole:
            break
        try:
            return len(tail) - end, unseal(tail[start:end]).link
        except AuditError:
            end = start
    if end == 0 and whole and not tail.startswith(b'{"seq":') and tail.strip(b"\0"):
        raise AuditError("the file is not an audit log", "name another file, or move it away")
    if end == 0 and whole:
        return len(tail), None
    raise AuditError("the last records of the audit log are damaged", "run `securecctl audit verify`, move it away")


class Chain:
    """Checks lines in order, in constant memory. `head` is the last record known to have been written, if known;
    `after` what the first line must follow.
    """

    def __init__(self, head: Link | None = None, after: Link | None = None) -> None:
        self._head = head
        self._last = after or Link()
        self._gap: Link | None = None
        self._fault: tuple[int, int, str] | None = None
        self._line = 0
        self._records = 0
        self._notes: list[str] = []

    def new_file(self) -> None:
        """The next line is the first of a file that continues the one before."""
        self._line = 0

    def feed(self, line: bytes) -> bool:
        """Takes the next line, newline included. False when enough is known."""
        self._line += 1
        try:
            sealed = unseal(line)
        except AuditError as error:
            sealed = None
            problem = error.message
        if self._gap is not None:
            self._settle(self._gap, sealed)
        elif sealed is not None:
            self._follow(sealed, line)
        else:
            self._blame(self._line, self._last.seq + 1, _unreadable(line, problem))
        return self._fault is None

    def verdict(self) -> Verdict:
        """After the last line."""
        head, last = self._head, self._last
        if self._fault is None and self._gap is not None:
            self._line += 1
            self._settle(self._gap, None)
        elif self._fault is None and head is not None and head.seq > last.seq:
            self._blame(self._line + 1, last.seq + 1, f"{_records(last.seq + 1, head.seq)} cut off the end")
        line, seq, problem = self._fault or (0, 0, "")
        return Verdict(self._records, last, problem, line, seq, tuple(self._notes))

    def _blame(self, line: int, seq: int, problem: str) -> None:
        self._fault = (line, seq, problem)

    def _follow(self, sealed: Sealed, line: bytes) -> None:
        link, last, head = sealed.link, self._last, self._head
        if link.seq > last.seq + 1:
            self._gap = link  # whether it was moved or others were removed, the next line tells
        elif link.seq <= last.seq:
            self._blame(self._line, link.seq, f"record {link.seq} stands after record {last.seq}")
        elif sealed.prev != last.digest:
            self._blame(max(self._line - 1, 1), last.seq, f"record {link.seq} does not follow from the one before it")
        elif head is not None and head.seq == link.seq and head.digest != link.digest:
            self._blame(self._line, link.seq, f"record {link.seq} is not the one that was written")
        else:
            self._last = link
            self._records += 1
            if b',"kind":"repair",' in line and len(self._notes) < _NOTES:
                self._notes.append(_note(line))

    def _settle(self, gap: Link, following: Sealed | None) -> None:
        expected = self._last.seq + 1
        if following is not None and following.link.seq < gap.seq:
            problem = f"record {gap.seq} stands before record {following.link.seq}"
        else:
            problem = f"{_records(expected, gap.seq - 1)} missing before record {gap.seq}"
        self._blame(self._line - 1, expected, problem)


def _records(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"


def _unreadable(line: bytes, problem: str) -> str:
    if len(line) > limits.AUDIT_RECORD:
        return "is longer than any record"
    return problem if line.endswith(b"\n") else "is torn: the file ends in the middle of a record"


def _note(line: bytes) -> str:
    try:
        repair = _decode_repair(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "a repair that cannot be read"
    return f"{repair.problem}: {repair.detail}"
