"""What the audit says about each event. Pure values; docs/audit.md lists the fields.

Text is what a peer sent, so all of it goes through `text`: no control character, no byte that is not UTF-8, nothing
that a terminal acts upon ever stands in a record as itself.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from securecc.words import limits
from securecc.words.messages import LimitName, Output, RefuseCode, Usage

Decision = Literal["allowed", "denied"]
DaemonEvent = Literal["start", "stop", "reload", "reload-refused", "drain"]
Outcome = Literal["done", "cancelled", "disconnected", "failed"]
Problem = Literal["torn", "missing", "unwritten"]

_plain = re.compile(rb"[ -\[\]-~]*\Z").match
_ODD = re.compile(r"[^ -\[\]-~]")
_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def text(value: str | bytes, limit: int = limits.AUDIT_TEXT) -> str:
    r"""Any bytes as printable text: a backslash becomes ``\\``; bytes that are not UTF-8 or make a character that is
    not printable become ``\xNN``. What is longer than `limit` bytes is cut there and ends with ``\+N``, N bytes more.
    """
    data = value if isinstance(value, bytes) else _bytes(value)
    more = len(data) - limit
    if more > 0:
        data = data[:limit]
    shown = data.decode("ascii") if _plain(data) else _ODD.sub(_escaped, data.decode("utf-8", errors="surrogateescape"))
    return shown if more <= 0 else f"{shown}\\+{more}"


def raw(shown: str) -> bytes:
    """The bytes that `text` was given, if it did not cut them."""
    return _ESCAPE.sub(lambda match: b"\\" if match[1] is None else bytes.fromhex(match[1].decode()), shown.encode())


def _bytes(value: str) -> bytes:
    try:
        return value.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", errors="surrogatepass")


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", errors="surrogateescape"))


class Record(msgspec.Struct, frozen=True, tag_field="kind"):
    """Base of all records. `seq`, `prev`, `time` and `hash` are added when it is written."""


class Connection(Record, frozen=True, tag="connection"):
    """A peer was judged, at its arrival or again at a reload. `reference` is what the peer is told."""

    decision: Decision
    peer: str
    principal: str
    rule: str
    reference: str
    reason: str
    policy: str


class JobRefused(Record, frozen=True, tag="job-refused"):
    """A job was not taken; `code` is the one that the client is told."""

    decision: Decision
    peer: str
    principal: str
    rule: str
    reference: str
    job: int
    code: RefuseCode
    reason: str
    toolchain: str
    arguments: tuple[str, ...]
    arguments_count: int
    arguments_sha256: str


class JobStart(Record, frozen=True, tag="job-start"):
    """A job is about to run; nothing of it runs before this record is written."""

    decision: Decision
    peer: str
    principal: str
    rule: str
    reference: str
    job: int
    attempt: int
    toolchain: str
    toolchain_sha256: str
    arguments: tuple[str, ...]
    arguments_count: int
    arguments_sha256: str
    cwd: str
    input_sha256: str
    layers_sha256: tuple[str, ...]
    sandbox: tuple[str, ...]


class Made(msgspec.Struct, frozen=True):
    """An output."""

    path: str
    size: int
    sha256: str


class Used(msgspec.Struct, frozen=True):
    """What a job used. Seconds and bytes."""

    wall_s: float
    user_s: float
    system_s: float
    memory: int


class JobEnd(Record, frozen=True, tag="job-end"):
    """A job has ended; repeats what its start said, so that each record can be read alone."""

    outcome: Outcome
    peer: str
    principal: str
    rule: str
    reference: str
    job: int
    attempt: int
    toolchain: str
    toolchain_sha256: str
    arguments: tuple[str, ...]
    arguments_count: int
    arguments_sha256: str
    cwd: str
    input_sha256: str
    layers_sha256: tuple[str, ...]
    sandbox: tuple[str, ...]
    exit: int | None
    signal: int | None
    limit: LimitName
    outputs: tuple[Made, ...]
    outputs_count: int
    outputs_sha256: str
    usage: Used
    reason: str


class Daemon(Record, frozen=True, tag="daemon"):
    """The daemon itself: started, stopped, loaded a policy or would not."""

    event: DaemonEvent
    detail: str
    version: str
    policy: str
    sandbox: tuple[str, ...]


class Strangers(Record, frozen=True, tag="strangers"):
    """What unauthenticated peers of one source caused in one minute. `source` is ``others`` for all that had no place
    of their own, `sources` how many they were at least.
    """

    decision: Decision
    source: str
    sources: int
    minute: str
    counts: dict[str, int]


class Repair(Record, frozen=True, tag="repair"):
    """The log itself: a torn tail was cut (`bytes`, `sha256` of it), records are missing, or could not be written."""

    problem: Problem
    count: int
    sha256: str
    detail: str


def connection(
    decision: Decision,
    *,
    peer: str,
    principal: str | bytes,
    reference: str,
    rule: str = "",
    reason: str = "",
    policy: str = "",
) -> Connection:
    """The record of a judged peer; `policy` is the revision that decided."""
    return Connection(decision, text(peer), text(principal), text(rule), text(reference), text(reason), text(policy))


def job_refused(
    *,
    peer: str,
    principal: str | bytes,
    rule: str,
    reference: str,
    job: int,
    code: RefuseCode,
    reason: str,
    toolchain: str = "",
    arguments: Sequence[bytes] = (),
) -> JobRefused:
    """The record of a job that was not taken."""
    return JobRefused(
        "denied",
        text(peer),
        text(principal),
        text(rule),
        text(reference),
        job,
        code,
        text(reason),
        text(toolchain),
        *_arguments(arguments),
    )


def job_start(
    *,
    peer: str,
    principal: str | bytes,
    rule: str,
    reference: str,
    job: int,
    attempt: int,
    toolchain: str,
    toolchain_digest: bytes,
    arguments: Sequence[bytes],
    cwd: bytes,
    manifest_digest: bytes,
    layers: Iterable[str],
    trees: Iterable[bytes] = (),
) -> JobStart:
    """The record of a job that is about to run, `arguments` as they will. `layers` are the sandbox's; `trees` are the
    digests of those that the job reads.
    """
    shown, count, digest = _arguments(arguments)
    return JobStart(
        "allowed",
        text(peer),
        text(principal),
        text(rule),
        text(reference),
        job,
        attempt,
        text(toolchain),
        toolchain_digest.hex(),
        shown,
        count,
        digest,
        text(cwd),
        manifest_digest.hex(),
        tuple(digest.hex() for digest in trees),
        tuple(map(text, layers)),
    )


def job_end(
    start: JobStart,
    outcome: Outcome,
    *,
    status: int | None = None,
    limit: LimitName = "",
    outputs: Sequence[Output] = (),
    usage: Usage | None = None,
    reason: str = "",
) -> JobEnd:
    """The record of a job's end. `status` is an exit status, minus a signal, or None where there was neither."""
    used = usage or Usage()
    return JobEnd(
        outcome,
        start.peer,
        start.principal,
        start.rule,
        start.reference,
        start.job,
        start.attempt,
        start.toolchain,
        start.toolchain_sha256,
        start.arguments,
        start.arguments_count,
        start.arguments_sha256,
        start.cwd,
        start.input_sha256,
        start.layers_sha256,
        start.sandbox,
        status if status is not None and status >= 0 else None,
        -status if status is not None and status < 0 else None,
        limit,
        *_outputs(outputs),
        Used(used.wall_s, used.user_s, used.system_s, used.memory),
        text(reason),
    )


def daemon(
    event: DaemonEvent,
    *,
    detail: str = "",
    version: str = "",
    policy: str = "",
    layers: Iterable[str] = (),
) -> Daemon:
    """The record of something that befell the daemon."""
    return Daemon(event, text(detail), text(version), text(policy), tuple(map(text, layers)))


def strangers(source: str, minute: str, counts: Mapping[str, int], sources: int = 1) -> Strangers:
    """The record of one source's minute."""
    return Strangers("denied", text(source), sources, minute, {text(name): count for name, count in counts.items()})


def _arguments(arguments: Sequence[bytes]) -> tuple[tuple[str, ...], int, str]:
    """As shown (`limits.AUDIT_ARGUMENTS` bytes of them), their count, and SHA-256 over each followed by a zero byte."""
    shown: list[str] = []
    room = limits.AUDIT_ARGUMENTS
    for argument in arguments:
        if room <= 0:
            break
        shown.append(text(argument, room))
        room -= len(argument) + 1
    whole = b"".join([argument + b"\0" for argument in arguments])
    return tuple(shown), len(arguments), hashlib.sha256(whole).hexdigest()


def _outputs(outputs: Sequence[Output]) -> tuple[tuple[Made, ...], int, str]:
    """As shown, their count, and SHA-256 over digest, path and a zero byte of each."""
    shown: list[Made] = []
    room = limits.AUDIT_OUTPUTS
    for output in outputs:
        if room <= 0:
            break
        shown.append(Made(text(output.path, room), output.size, output.digest.hex()))
        room -= len(output.path) + 1
    whole = b"".join([output.digest + output.path + b"\0" for output in outputs])
    return tuple(shown), len(outputs), hashlib.sha256(whole).hexdigest()
