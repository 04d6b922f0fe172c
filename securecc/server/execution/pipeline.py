"""What concerns every job, each as an Executor around an Executor, put together here: audited(authorised(queued(run))).

Audit is outermost, so that what authorisation denies is on record; a job waits for its slot only when it may run.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from fnmatch import fnmatchcase

from securecc.audit.records import job_events
from securecc.audit.records.job_events import JobStart
from securecc.audit.records.record import Record
from securecc.model.errors import AuditError, Denied, Refused, SecureccError
from securecc.model.grant import Grant
from securecc.model.messages import Usage
from securecc.model.redaction import Redact, unredacted
from securecc.server.execution.executor import Executor, Job, Outcome


class Audited:
    """A record before a job may begin and one when it has ended; no record, no job."""

    def __init__(
        self,
        inner: Executor,
        append: Callable[[Record], object],
        layers: Callable[[Job], tuple[str, ...]],
        redact: Redact = unredacted,
    ) -> None:
        self._inner = inner
        self._append = append
        self._layers = layers
        self._redact = redact

    async def run(self, job: Job, grant: Grant) -> Outcome:
        """See Executor. Raises AuditError when the start cannot be written."""
        start = self._start(job, grant)
        self._append(start)
        began = time.monotonic()
        try:
            outcome = await self._inner.run(job, grant)
        except asyncio.CancelledError:
            with contextlib.suppress(AuditError):  # the log says by itself that a record could not be written
                self._append(job_events.job_end(start, "cancelled", usage=Usage(wall_s=time.monotonic() - began)))
            raise
        except Exception as error:
            reason = error.message if isinstance(error, SecureccError) else "the server met an error of its own"
            self._append(job_events.job_end(start, "failed", reason=reason, redact=self._redact))
            raise
        try:
            self._append(_end(start, outcome, self._redact))
        except BaseException:
            outcome.close()
            raise
        return outcome

    def _start(self, job: Job, grant: Grant) -> JobStart:
        return job_events.job_start(
            peer=job.origin.peer,
            principal=job.origin.principal,
            rule=grant.rule,
            reference=job.origin.reference,
            job=job.number,
            attempt=job.attempt,
            toolchain=job.toolchain.name,
            toolchain_digest=job.toolchain.digest,
            arguments=job.arguments,
            cwd=job.cwd,
            manifest_digest=job.manifest_digest,
            layers=self._layers(job),
            trees=[entry.blob for entry in job.manifest.shared_trees],
            redact=self._redact,
        )


class Authorised:
    """The grant's word on this job. The policy has admitted the principal; what it may run is looked at here."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    async def run(self, job: Job, grant: Grant) -> Outcome:
        """See Executor. Raises Denied for a toolchain outside the grant, Refused for too much source."""
        if grant.principal != job.origin.principal:
            raise Denied("the grant is another principal's", rule=grant.rule)
        if not permits(grant, job.toolchain.name):
            raise Denied(f"rule {grant.rule} does not grant {job.toolchain.name}", rule=grant.rule)
        if job.source > grant.limits.source:
            raise Refused("limit", f"{job.source} bytes of source; rule {grant.rule} grants {grant.limits.source}")
        return await self._inner.run(job, grant)


class Queued:
    """Waits for the job's slot. The slot is given back by whoever made the job."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    async def run(self, job: Job, grant: Grant) -> Outcome:
        """See Executor."""
        await job.occupy()
        return await self._inner.run(job, grant)


def pipeline(
    run: Executor,
    append: Callable[[Record], object],
    layers: Callable[[Job], tuple[str, ...]],
    redact: Redact = unredacted,
) -> Executor:
    """The server's pipeline around `run`; `layers` says which sandbox layers are in force for a job."""
    return Audited(Authorised(Queued(run)), append, layers, redact)


def permits(grant: Grant, toolchain: str) -> bool:
    """Whether a grant covers a toolchain of this name."""
    return any(fnmatchcase(toolchain, pattern) for pattern in grant.toolchains)


def _end(start: JobStart, outcome: Outcome, redact: Redact) -> Record:
    return job_events.job_end(
        start,
        "done",
        status=outcome.status,
        limit=outcome.limit,
        outputs=outcome.outputs,
        usage=outcome.usage,
        redact=redact,
    )
