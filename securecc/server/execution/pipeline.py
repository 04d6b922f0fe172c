"""The chain of executors around every job: measured(audited(authorised(queued(run)))).

Audit wraps authorisation, so that denials are recorded; a job waits for its slot only if it may run. A cache of results
belongs between authorised and queued: its answers need no slot, and are recorded all the same.
"""

from collections.abc import Callable

from securecc.audit.records.record import Record
from securecc.model.redaction import Redact, unredacted
from securecc.server.execution.audited import Audited
from securecc.server.execution.authorised import Authorised
from securecc.server.execution.executor import Executor, Job
from securecc.server.execution.measured import Measured
from securecc.server.execution.queued import Queued
from securecc.server.jobs.fair_queue import FairQueue


def pipeline(
    run: Executor,
    queue: FairQueue,
    append: Callable[[Record], object],
    sandbox: Callable[[Job], tuple[str, ...]],
    redact: Redact = unredacted,
) -> Executor:
    """The server's pipeline around `run`. `append` writes one audit record; `sandbox` returns the sandbox layers in
    force for a job.
    """
    queued = Queued(run, queue)
    # cached(queued) goes here
    return Measured(Audited(Authorised(queued), append, sandbox, redact))
