"""The one interface of the server's pipeline: a job and a grant in, an outcome out.

What concerns every job (audit, authorisation, queueing) wraps an Executor and is one itself; the chain is composed in
`securecc.server.execution.pipeline`.
"""

import os
from collections.abc import Awaitable, Callable, Iterable
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
    """Who a job comes from: for the audit and for fairness. `reference` names the connection."""

    principal: str
    peer: str
    reference: str


class Inputs(Protocol):
    """The contents that a job reads."""

    def descriptors(self, digests: Iterable[Digest]) -> list[int]:
        """A read-only descriptor for each, borrowed for the time of the call's statement. Raises StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One compile, checked: the plan is the server's own reading of `arguments`, the manifest has passed every rule.

    `number` is unique in the daemon's life. `source` counts the bytes of all inputs, `inputs` gives them. `occupy`
    returns when a slot is the job's. `attempt` is the client's word on how often it has submitted this compile.
    """

    number: int
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
    inputs: Inputs
    occupy: Callable[[], Awaitable[None]]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. `descriptors` are standard output, standard error and the outputs, in the order of `made`; the
    holder closes them with `close`.
    """

    status: int
    limit: LimitName
    made: tuple[Made, ...]
    digests: tuple[bytes, ...]
    descriptors: tuple[int, ...]
    strays: tuple[int, ...]
    usage: Usage
    read: bytes = b""

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What was made, as the client and the audit are told."""
        pairs = zip(self.made, self.digests, strict=True)
        return tuple(Output(made.path, made.size, made.mode, digest) for made, digest in pairs)

    def close(self) -> None:
        """Gives the descriptors back; the job's files vanish with them."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class Executor(Protocol):
    """Runs a job to its end. Cancelling the coroutine kills the job and returns only when nothing of it runs."""

    async def run(self, job: Job, grant: Grant) -> Outcome:
        """Raises Refused (with a code for the client), AuditError, SandboxError or StoreError."""
        ...
