"""Gives each job a slot."""

from securecc.model.grant import Grant
from securecc.server.execution.executor import Executor, Inputs, Job, Outcome
from securecc.server.jobs.fair_queue import FairQueue


class Queued:
    """Runs a job once its entry in the queue has a slot, and frees the slot when it has run.

    The job keeps its entry, which counts against its principal until the result is delivered.
    """

    def __init__(self, inner: Executor, queue: FairQueue) -> None:
        self._inner = inner
        self._queue = queue

    async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        """See Executor."""
        entry = self._queue.entry(job.number)
        await entry.occupy()
        try:
            return await self._inner.run(job, grant, inputs)
        finally:
            entry.free()
