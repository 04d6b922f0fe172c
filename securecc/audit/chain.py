"""How audit lines are chained. Pure: bytes in, values out. docs/audit.md is normative.

A line is ``BODY,"hash":"H"}`` and a newline: H is the SHA-256 of BODY, and BODY begins with the record's number and
`prev`, the SHA-256 of the whole line before it, newline included.
"""

import datetime as dt
import hashlib
import re
from dataclasses import dataclass

import msgspec

from securecc.audit.records.record import Record
from securecc.model import limits
from securecc.model.errors import AuditError

GENESIS = "0" * 64  # `prev` of record 1

_LINE = re.compile(
    rb'(\{"seq":([1-9][0-9]{0,17}),"prev":"([0-9a-f]{64})",'
    rb'"time":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)","kind":"([a-z-]{1,32})"[^\n]*)'
    rb',"hash":"([0-9a-f]{64})"\}\n'
)
_FIRST = re.compile(rb'\{"seq":([1-9][0-9]{0,17}),"prev":"')
_HEAD = re.compile(rb"([0-9]{18}) ([0-9a-f]{64})\n")
_encode = msgspec.json.Encoder().encode


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
    kind: str


def stamp(time_ns: int) -> str:
    """RFC 3339, UTC, microseconds."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    return f"{moment.replace(tzinfo=None).isoformat()}.{rest // 1000:06d}Z"


def seal(record: Record, after: Link, time: str) -> tuple[bytes, Link]:
    """The line of `record` that follows `after`, and its link.

    Raises:
        AuditError: the line is longer than `limits.AUDIT_RECORD` bytes.
    """
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
        raise AuditError(
            f"an audit record of {len(body) + len(end)} bytes is too long: the limit is {limits.AUDIT_RECORD}"
        )
    return body + end, Link(after.seq + 1, digest.hexdigest())


def unseal(line: bytes) -> Sealed:
    """A line's record number, links, time and kind.

    Raises:
        AuditError: the line is not a record, or was changed after it was written; the message continues 'line N'.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise AuditError("is not a complete record")
    digest = hashlib.sha256(match[1])
    if digest.hexdigest().encode() != match[6]:
        raise AuditError(f"record {int(match[2])} was edited")
    digest.update(line[match.end(1) :])
    return Sealed(Link(int(match[2]), digest.hexdigest()), match[3].decode(), match[4].decode(), match[5].decode())


def first_seq(start: bytes) -> int | None:
    """The number of a file's first record, from the file's first bytes; None if it does not begin with a record."""
    match = _FIRST.match(start)
    return None if match is None else int(match[1])


def head_line(link: Link) -> bytes:
    """The content of the file that names the last record; its length is constant."""
    return b"%018d %s\n" % (link.seq, link.digest.encode())


def parse_head(data: bytes) -> Link | None:
    """The link that such a file names; None if it is not complete."""
    match = _HEAD.fullmatch(data)
    return None if match is None else Link(int(match[1]), match[2].decode())


def recover(tail: bytes, *, whole: bool) -> tuple[int, Link | None]:
    """The end of a log after a crash: how many bytes of `tail` have to be cut, and the last record before them (None:
    no record is left).

    `tail` is the end of the file, or the whole file if `whole`. At most one complete line that is not a record is cut:
    a crash cannot have left more.

    Raises:
        AuditError: there is no record where one must be.
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
        raise AuditError("the file is not an audit log", "name another file, or move this one away")
    if end == 0 and whole:
        return len(tail), None
    raise AuditError(
        "the last records of the audit log are damaged", "run `securecctl audit verify`, then move the log away"
    )
