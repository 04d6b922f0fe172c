"""Measures how long the server has a job."""

import time
from collections.abc import Callable
from dataclasses import replace

from securecc.model.grant import Grant
from securecc.server.execution.executor import Executor, Inputs, Job, Outcome


class Measured:
    """Adds to the outcome how long the wrapped executors took: the wait for a slot, and the run."""

    def __init__(self, inner: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._clock = clock

    async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        """See Executor."""
        began = self._clock()
        outcome = await self._inner.run(job, grant, inputs)
        return replace(outcome, server_s=self._clock() - began)
