"""Logs made in memory: plain ones, signed ones, and what somebody makes of them."""

import hashlib
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securecc.audit import checkpoint
from securecc.audit.chain import Link, seal, stamp, unseal
from securecc.audit.records.daemon_events import Checkpoint, Connection, connection
from securecc.audit.records.record import Record
from securecc.audit.signing import Signer

DAEMON = Signer(Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
MALLORY = Signer(Ed25519PrivateKey.from_private_bytes(b"\2" * 32))


def time_of(number: int) -> str:
    return stamp(1_700_000_000_000_000_000 + number * 1_000_000_000)


def event(number: int) -> Connection:
    return connection("allowed", peer="10.0.0.1:5", principal="alice@EXAMPLE.COM", reference=f"r{number}")


def signed(link: Link, signer: Signer = DAEMON, every: int = 3) -> Checkpoint:
    return checkpoint.make(link, time_of(link.seq), every=every, host="farm1", key=signer.public, sign=signer.sign)


def make_log(count: int = 6) -> tuple[Any, ...]:
    link, lines = Link(), []
    for number in range(count):
        line, link = seal(event(number), link, time_of(number))
        lines.append(line)
    return lines, link


def make_signed(count: int = 12, every: int = 3, signer: Signer = DAEMON) -> tuple[Any, ...]:
    """A log that begins with a checkpoint and has one after every `every` records; its lines and its anchors."""
    link, lines = Link(), []
    anchors: list[checkpoint.Anchor | None] = []
    for number in range(count):
        due = number % (every + 1) == 0
        record: Record = event(number)
        if due:
            record = signed(link, signer, every)
            anchors.append(checkpoint.parse_anchor(checkpoint.anchor_line(record), len(anchors) + 1))
        line, link = seal(record, link, time_of(number))
        lines.append(line)
    return lines, anchors


def sealed_anew(lines: list[bytes], signer: Signer | None = None) -> list[bytes]:
    """The same records chained anew, as who may write the file can: checkpoints by `signer`, or as they were."""
    link, made = Link(), []
    for line in lines:
        fields = msgspec.json.decode(line)
        body = line.partition(b',"kind":')[2].rpartition(b',"hash":')[0]
        if signer is not None and fields["kind"] == "checkpoint":
            body = msgspec.json.encode(signed(link, signer, fields["every"]))[len(b'{"kind":') : -1]
        forged, link = resealed(body, link, fields["time"])
        made.append(forged)
    return made


def resealed(body: bytes, after: Link, time: str) -> tuple[Any, ...]:
    """A line of any body that follows `after`."""
    start = f'{{"seq":{after.seq + 1},"prev":"{after.digest}","time":"{time}","kind":'.encode() + body
    line = start + f',"hash":"{hashlib.sha256(start).hexdigest()}"}}\n'.encode()
    return line, unseal(line).link


def lines_of(data: bytes) -> list[Any]:
    """As reading a file gives them: cut at newlines only."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
