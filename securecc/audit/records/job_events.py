"""Records of jobs: refused, started, ended; with their arguments, inputs and outputs."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import msgspec

from securecc.audit.records.escaped_text import rendered, text
from securecc.audit.records.record import Decision, Record
from securecc.model import limits
from securecc.model.messages import LimitName, Output, RefuseCode, Usage
from securecc.model.redaction import Redact, silenced, unredacted

Outcome = Literal["done", "cancelled", "failed"]


class JobRefused(Record, frozen=True, tag="job-refused"):
    """A job was refused; `code` is what the client is told."""

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

    @property
    def permits(self) -> bool:
        """No job runs without its record."""
        return True


class Made(msgspec.Struct, frozen=True):
    """An output of a job: its size in bytes and its digest in hexadecimal digits."""

    path: str
    size: int
    sha256: str


class Used(msgspec.Struct, frozen=True):
    """What a job used, in seconds and bytes."""

    wall_s: float
    user_s: float
    system_s: float
    memory: int
    tree_s: float


class JobEnd(Record, frozen=True, tag="job-end"):
    """A job has ended; repeats what its start said, so that each record can be read by itself."""

    pressing: ClassVar[bool] = True
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


def job_refused(
    *,
    redact: Redact = unredacted,
    peer: str,
    principal: str,
    rule: str,
    reference: str,
    job: int,
    code: RefuseCode,
    reason: str,
    toolchain: str = "",
    arguments: Sequence[bytes] = (),
) -> JobRefused:
    """The record of a job that was refused."""
    shown = redact(arguments)
    return JobRefused(
        "denied",
        text(peer),
        rendered(principal),
        text(rule),
        text(reference),
        job,
        code,
        text(silenced(reason, arguments, shown, redact)),
        text(toolchain),
        *_arguments(shown),
    )


def job_start(
    *,
    peer: str,
    principal: str,
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
    redact: Redact = unredacted,
) -> JobStart:
    """The record of a job that is about to run with these `arguments`. `layers` are the sandbox's; `trees` are the
    digests of the shared trees that it reads.
    """
    *given, cwd = redact([*arguments, cwd])
    shown, count, digest = _arguments(given)
    return JobStart(
        "allowed",
        text(peer),
        rendered(principal),
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
    redact: Redact = unredacted,
) -> JobEnd:
    """The record of a job's end. `status` is the exit status, or minus the signal, or None if there was neither."""
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
        *_outputs(outputs, redact([output.path for output in outputs])),
        Used(used.wall_s, used.user_s, used.system_s, used.memory, used.tree_s),
        text(silenced(reason, (), (), redact)),
    )


def _arguments(arguments: Sequence[bytes]) -> tuple[tuple[str, ...], int, str]:
    """At most `limits.AUDIT_ARGUMENTS` bytes of them, their count, and SHA-256 over each followed by a zero byte."""
    shown: list[str] = []
    room = limits.AUDIT_ARGUMENTS
    for argument in arguments:
        if room <= 0:
            break
        shown.append(text(argument, room))
        room -= len(argument) + 1
    whole = b"".join([argument + b"\0" for argument in arguments])
    return tuple(shown), len(arguments), hashlib.sha256(whole).hexdigest()


def _outputs(outputs: Sequence[Output], paths: Sequence[bytes]) -> tuple[tuple[Made, ...], int, str]:
    """The outputs, their count, and SHA-256 over digest, path and a zero byte of each. Every output is listed by its
    digest; paths are cut once they are too long together.
    """
    shown: list[Made] = []
    room = limits.AUDIT_OUTPUTS
    for output, path in zip(outputs, paths, strict=True):
        shown.append(Made(text(path, max(0, room)), output.size, output.digest.hex()))
        room -= len(path) + 1
    whole = b"".join([output.digest + path + b"\0" for output, path in zip(outputs, paths, strict=True)])
    return tuple(shown), len(outputs), hashlib.sha256(whole).hexdigest()
