"""Records each job: before it may begin, when it has ended, and why it was refused."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from securecc.audit.records import job_events
from securecc.audit.records.job_events import JobStart
from securecc.audit.records.record import Record
from securecc.model.errors import AuditError
from securecc.model.grant import Grant
from securecc.model.messages import Usage
from securecc.model.redaction import Redact, unredacted
from securecc.server.execution.executor import Executor, Inputs, Job, Outcome
from securecc.server.execution.refusal import Refusal, refusal_of


class Audited:
    """Runs a job only if its start can be recorded. `append` writes one record; `sandbox` returns the sandbox layers in
    force for a job.
    """

    def __init__(
        self,
        inner: Executor,
        append: Callable[[Record], object],
        sandbox: Callable[[Job], tuple[str, ...]],
        redact: Redact = unredacted,
    ) -> None:
        self._inner = inner
        self._append = append
        self._sandbox = sandbox
        self._redact = redact

    async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        """See Executor.

        Raises:
            AuditError: the start cannot be recorded, so nothing ran; or the end cannot, so the outcome is withheld.
        """
        try:
            return await self._run(job, grant, inputs)
        except Exception as error:
            with contextlib.suppress(AuditError):  # the audit log itself reports that a record could not be written
                self._append(self._refused(job, grant, refusal_of(error)))
            raise

    async def _run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        start = self._start(job, grant)
        self._append(start)
        began = time.monotonic()
        try:
            outcome = await self._inner.run(job, grant, inputs)
        except asyncio.CancelledError:
            with contextlib.suppress(AuditError):
                self._append(job_events.job_end(start, "cancelled", usage=Usage(wall_s=time.monotonic() - began)))
            raise
        except Exception as error:
            self._append(job_events.job_end(start, "failed", reason=refusal_of(error).reason, redact=self._redact))
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
            layers=self._sandbox(job),
            trees=[entry.blob for entry in job.manifest.shared_trees],
            redact=self._redact,
        )

    def _refused(self, job: Job, grant: Grant, refusal: Refusal) -> Record:
        return job_events.job_refused(
            peer=job.origin.peer,
            principal=job.origin.principal,
            rule=grant.rule,
            reference=job.origin.reference,
            job=job.number,
            code=refusal.code,
            reason=refusal.reason,
            toolchain=job.toolchain.name,
            arguments=job.arguments,
            redact=self._redact,
        )


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
