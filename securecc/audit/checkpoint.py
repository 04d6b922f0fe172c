"""Checkpoints: what a signature over the chain states, and the line in which it is sent to collectors. Pure;
docs/audit.md is normative.

A checkpoint names a record by number and digest, and thereby all records before it. The same statement is signed
whether it stands in the log itself or in a line that a collector has kept: an anchor.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from securecc.audit.chain import Link
from securecc.audit.records.daemon_events import Checkpoint

NAME = "securecc-audit-checkpoint"
"""An anchor begins with this word, whatever a collector writes before it."""

Verify = Callable[[str, bytes, str], bool]
"""Whether a public key (the first argument) made a signature (the last) over some bytes."""

_ANCHOR = re.compile(
    NAME + r" seq=([0-9]{1,18}) hash=([0-9a-f]{64}) time=([0-9TZ:.-]{20,27}) every=([0-9]{1,9})"
    r" host=([A-Za-z0-9._:-]{1,255})"
    r" key=(ed25519:[A-Za-z0-9+/]{43}=) signature=([A-Za-z0-9+/]{86}==)(?![A-Za-z0-9+/=])",
    re.ASCII,
)
_ODD = re.compile(r"[^A-Za-z0-9._:-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint as a collector has kept it; `line` is its line number in the collector's file, from 1."""

    link: Link
    time: str
    host: str
    key: str
    signature: str
    every: int
    line: int = 0


def statement(link: Link, time: str, every: int, host: str) -> bytes:
    """The bytes that are signed."""
    return f"{NAME}\n{link.seq} {link.digest} {time} {every} {host}\n".encode("ascii")


def make(link: Link, time: str, *, every: int, host: str, key: str, sign: Callable[[bytes], str]) -> Checkpoint:
    """The signed record that states that the chain has reached `link`."""
    host = host_name(host)
    return Checkpoint(link.seq, link.digest, time, every, host, key, sign(statement(link, time, every, host)))


def host_name(name: str) -> str:
    """A host's name with only the characters that a statement may have."""
    return _ODD.sub("_", name)[:255] or "unknown"


def proven(record: Checkpoint, proves: Verify) -> bool:
    """Whether the signature of a checkpoint was made by the key that it names."""
    return _proven(Link(record.signed_seq, record.signed_hash), record.signed_time, record, proves)


def anchor_proven(anchor: Anchor, proves: Verify) -> bool:
    """Whether the signature of an anchor was made by the key that it names."""
    return _proven(anchor.link, anchor.time, anchor, proves)


def _proven(link: Link, time: str, said: Checkpoint | Anchor, proves: Verify) -> bool:
    try:
        return proves(said.key, statement(link, time, said.every, said.host), said.signature)
    except UnicodeEncodeError:
        return False


def anchor_line(record: Checkpoint) -> str:
    """The checkpoint as one line of printable ASCII, some 350 bytes."""
    return (
        f"{NAME} seq={record.signed_seq} hash={record.signed_hash} time={record.signed_time} every={record.every}"
        f" host={record.host} key={record.key} signature={record.signature}"
    )


def parse_anchor(text: str, line: int = 0) -> Anchor | None:
    """The anchor in a line; None if there is none."""
    match = _ANCHOR.search(text)
    if match is None:
        return None
    seq, digest, time, every, host, key, signature = match.groups()
    return Anchor(Link(int(seq), digest), time, host, key, signature, int(every), line)
