"""What the wrappers of the executor chain are tried with: one job, records that may fail, inputs that hold nothing."""

import asyncio
from collections.abc import Iterable
from typing import Any

from securecc.audit.records.record import Record
from securecc.compiler.command_line import compile_plan
from securecc.compiler.tree.manifest_check import CheckedManifest
from securecc.model.errors import AuditError
from securecc.model.grant import Grant
from securecc.model.manifest import Digest, Entry, Kind
from securecc.model.messages import Terminal
from securecc.server.execution.executor import Executor, Job, Origin, Outcome
from tests.server.frontside import CWD, GCC, GRANT, submit, toolchain_of

SHARED = b"l" * 32


def job(**changes: Any) -> Job:
    """One checked job with a shared tree and no files; `changes` are fields of it."""
    arguments = submit().arguments
    values: dict[str, Any] = {
        "number": 7,
        "key": b"k" * 32,
        "origin": Origin(GRANT.principal, "192.0.2.1:4", "ref"),
        "toolchain": toolchain_of(GCC),
        "arguments": arguments,
        "plan": compile_plan.parse(arguments, "gcc"),
        "cwd": CWD,
        "environment": {},
        "umask": 0o22,
        "terminal": Terminal(),
        "manifest": CheckedManifest((), (), 0, (Entry(b"/usr/include", Kind.SHARED_TREE, SHARED),)),
        "manifest_digest": b"m" * 32,
        "source": 10,
        **changes,
    }
    return Job(**values)


class NoInputs:
    """The inputs of a job that reads no file."""

    def descriptors(self, digests: Iterable[Digest]) -> list[int]:
        assert not list(digests)
        return []


class RecordList(list[Record]):
    """Audit records; from the n-th on (`full_from`) they cannot be written."""

    def __init__(self, *, full_from: int = 99) -> None:
        super().__init__()
        self.full_from = full_from

    def append(self, record: Record) -> None:
        if len(self) >= self.full_from:
            raise AuditError("full")
        super().append(record)


def run(executor: Executor, given: Job | None = None, grant: Grant = GRANT) -> Outcome:
    """What an executor makes of one job."""
    return asyncio.run(executor.run(given or job(), grant, NoInputs()))
