"""The interface of the server's pipeline: a job, its grant and its inputs go in, an outcome comes out.

Each concern of every job (audit, authorisation, queueing) wraps an Executor and is one itself; the chain is composed in
`securecc.server.execution.pipeline`.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from securecc.compiler.command_line.compile_plan import CompilePlan
from securecc.compiler.tree.manifest_check import CheckedManifest
from securecc.model.grant import Grant
from securecc.model.manifest import Digest
from securecc.model.messages import LimitName, Output, Terminal, Toolchain, Usage
from securecc.runner_protocol.messages import Made


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a job comes from. `peer` is the client's address and port, `reference` names its connection in the audit
    log.
    """

    principal: str
    peer: str
    reference: str


class Inputs(Protocol):
    """The contents of the files that a job reads."""

    def descriptors(self, digests: Iterable[Digest]) -> list[int]:
        """A read-only descriptor for each digest, which the caller passes on at once and does not close.

        Raises:
            StoreError: a blob is not held, or is damaged.
        """
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One checked compile: the server itself parsed `arguments` into the plan, and the manifest has passed every rule.

    `number` is unique in the daemon's life. `key` is computed by the server (`securecc.compiler.compile_key`), not
    taken from the client. `source` is the bytes of all inputs. `attempt` is the client's count of its submissions,
    `questions` as in `messages.Submit`.
    """

    number: int
    key: Digest
    origin: Origin
    toolchain: Toolchain
    arguments: tuple[bytes, ...]
    plan: CompilePlan
    cwd: bytes
    environment: dict[bytes, bytes]
    umask: int
    terminal: Terminal
    manifest: CheckedManifest
    manifest_digest: bytes
    source: int
    attempt: int = 1
    questions: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. `descriptors` are standard output, standard error, the outputs, in the order of `made`, and the
    questions unless `questions` is 0; close them with `close`. `server_s` is how long the whole pipeline took, in
    seconds. `witness` and `questions` are as in `messages.Result`.
    """

    status: int
    limit: LimitName
    made: tuple[Made, ...]
    digests: tuple[bytes, ...]
    descriptors: tuple[int, ...]
    strays: tuple[int, ...]
    usage: Usage
    read: bytes = b""
    server_s: float = 0.0
    witness: bytes = b""
    questions: int = 0

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What was made, as reported to the client and the audit log."""
        pairs = zip(self.made, self.digests, strict=True)
        return tuple(Output(made.path, made.size, made.mode, digest) for made, digest in pairs)

    def close(self) -> None:
        """Closes the descriptors; the job's files vanish with them."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class Executor(Protocol):
    """Runs a job to its end. Cancelling the coroutine kills the job and returns only when none of its processes is
    left.
    """

    async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        """What the job printed and made.

        Raises:
            Denied: the grant does not cover the job.
            Refused: the job cannot run here; its code is for the client.
            AuditError: the job cannot be recorded.
            SandboxError: the job could not be run.
            StoreError: an input is lost.
        """
        ...
