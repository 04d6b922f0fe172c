"""The wrappers in their order."""

import asyncio
from dataclasses import replace

import pytest

from securecc.audit.records.job_events import JobEnd, JobRefused, JobStart
from securecc.model.errors import Denied
from securecc.server.execution.pipeline import pipeline
from securecc.server.jobs.fair_queue import FairQueue, Stage
from tests.server.execution.chain import NoInputs, RecordList, job
from tests.server.frontside import GRANT, SANDBOX, StubExecutor


def test_what_is_denied_is_on_record_and_takes_no_slot() -> None:
    async def body() -> None:
        records, inner, queue = RecordList(), StubExecutor(), FairQueue(1, 60)
        entry = queue.ask(7, GRANT, lambda: None)
        chain = pipeline(inner, queue, records.append, lambda _job: SANDBOX)
        with pytest.raises(Denied):
            await chain.run(job(), replace(GRANT, toolchains=("x",)), NoInputs())
        assert [type(record) for record in records] == [JobStart, JobEnd, JobRefused]
        assert entry.stage is Stage.LEASED
        assert inner.jobs == []
        entry.leave()

    asyncio.run(body())


def test_a_job_that_may_run_is_measured_with_its_wait() -> None:
    async def body() -> None:
        queue = FairQueue(1, 60)
        queue.ask(7, GRANT, lambda: None)
        chain = pipeline(StubExecutor(), queue, RecordList().append, lambda _job: SANDBOX)
        found = await chain.run(job(), GRANT, NoInputs())
        assert found.server_s > 0
        found.close()

    asyncio.run(body())
