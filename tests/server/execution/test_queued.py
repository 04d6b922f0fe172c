"""The slot is taken before a job runs, and freed when it has run, however it ends."""

import asyncio
from typing import Any

import pytest

from securecc.model.errors import SandboxError
from securecc.model.grant import Grant
from securecc.server.execution.executor import Inputs, Job, Outcome
from securecc.server.execution.queued import Queued
from securecc.server.jobs.fair_queue import FairQueue, QueueEntry, Stage
from tests.server.execution.chain import NoInputs, job
from tests.server.frontside import GRANT, StubExecutor, outcome


def entered(queue: FairQueue, number: int) -> QueueEntry:
    return queue.ask(number, GRANT, lambda: None)


def test_a_job_waits_for_its_slot() -> None:
    async def body() -> None:
        queue, inner = FairQueue(1, 60), StubExecutor()
        before = entered(queue, 1)
        entry = entered(queue, 2)
        task = asyncio.create_task(Queued(inner, queue).run(job(number=2), GRANT, NoInputs()))
        await asyncio.sleep(0)
        assert inner.jobs == []
        before.leave()
        (await task).close()
        assert len(inner.jobs) == 1
        assert (entry.stage, queue.taken) == (Stage.OVER, 0)

    asyncio.run(body())


@pytest.mark.parametrize("answer", [outcome, lambda: SandboxError("no space")], ids=["done", "failed"])
def test_the_slot_is_free_once_the_job_has_run(answer: Any) -> None:
    async def body() -> None:
        queue = FairQueue(1, 60)
        entered(queue, 1)
        given = answer()
        if isinstance(given, Outcome):
            (await Queued(StubExecutor(given), queue).run(job(number=1), GRANT, NoInputs())).close()
        else:
            with pytest.raises(SandboxError):
                await Queued(StubExecutor(given), queue).run(job(number=1), GRANT, NoInputs())
        assert queue.taken == 0

    asyncio.run(body())


def test_the_slot_is_kept_until_a_cancelled_job_has_ended() -> None:
    """A compiler that is being killed still uses the slot."""

    async def body() -> None:
        queue, killed = FairQueue(1, 60), asyncio.Event()
        entered(queue, 1)

        class Slow(StubExecutor):
            async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
                try:
                    return await super().run(job, grant, inputs)
                finally:
                    await killed.wait()

        task = asyncio.create_task(Queued(Slow(None), queue).run(job(number=1), GRANT, NoInputs()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert queue.taken == 1
        killed.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert queue.taken == 0

    asyncio.run(body())


def test_a_job_that_is_cancelled_while_it_waits_takes_no_slot() -> None:
    async def body() -> None:
        queue, inner = FairQueue(1, 60), StubExecutor()
        before, entry = entered(queue, 1), entered(queue, 2)
        task = asyncio.create_task(Queued(inner, queue).run(job(number=2), GRANT, NoInputs()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        entry.leave()
        before.leave()
        assert (inner.jobs, queue.taken, queue.waiting) == ([], 0, 0)

    asyncio.run(body())
