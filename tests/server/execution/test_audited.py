"""Each job is on record: before it begins, when it has ended, and why it was refused."""

import asyncio
from collections.abc import Callable

import pytest

from securecc.audit.records.job_events import JobEnd, JobRefused, JobStart
from securecc.audit.records.record import Record
from securecc.model.errors import AuditError, Denied, Refused, SandboxError
from securecc.model.grant import Grant
from securecc.server.execution.audited import Audited
from securecc.server.execution.executor import Executor, Inputs, Job, Outcome
from tests.server.execution.chain import SHARED, NoInputs, RecordList, job, run
from tests.server.frontside import CWD, GRANT, SANDBOX, StubExecutor, is_open, outcome


def audited(inner: Executor, append: Callable[[Record], object]) -> Audited:
    return Audited(inner, append, lambda _job: SANDBOX)


class Peeks(StubExecutor):
    """Notes how many records there are when the job begins."""

    def __init__(self, records: RecordList, *answers: Outcome) -> None:
        super().__init__(*answers)
        self.records = records
        self.seen: list[type[Record]] = []

    async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        self.seen += map(type, self.records)
        return await super().run(job, grant, inputs)


def test_a_job_is_on_record_before_it_begins_and_when_it_has_ended() -> None:
    records = RecordList()
    made = outcome(b"", b"", ((CWD + b"/a.o", b"object"),))
    inner = Peeks(records, made)
    found = run(audited(inner, records.append), job(attempt=2))
    assert inner.seen == [JobStart]
    start, end = records
    assert isinstance(start, JobStart)
    assert isinstance(end, JobEnd)
    assert (start.principal, start.rule, tuple(start.sandbox)) == (GRANT.principal, "committers", SANDBOX)
    assert start.layers_sha256 == end.layers_sha256 == (SHARED.hex(),)
    assert (end.outcome, end.job) == ("done", 7)
    assert (start.attempt, end.attempt) == (2, 2)
    assert [each.sha256 for each in end.outputs] == [made.digests[0].hex()]
    found.close()


def test_no_record_no_job() -> None:
    inner = StubExecutor()
    with pytest.raises(AuditError):
        run(audited(inner, RecordList(full_from=0).append))
    assert inner.jobs == []


def test_a_result_that_cannot_be_recorded_is_not_given_out() -> None:
    inner = StubExecutor()
    with pytest.raises(AuditError):
        run(audited(inner, RecordList(full_from=1).append))
    assert inner.given
    assert not any(is_open(descriptor, inode) for descriptor, inode in inner.given)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (Denied("no", rule="r"), "denied", "no"),
        (Refused("toolchain", "gone"), "toolchain", "gone"),
        (SandboxError("no space"), "server", "no space"),
        (OSError(24, "secret words"), "server", "internal error"),
    ],
)
def test_a_refusal_is_on_record_with_its_reason(error: Exception, code: str, reason: str) -> None:
    records = RecordList()
    with pytest.raises(type(error)):
        run(audited(StubExecutor(error), records.append))
    _, end, refused = records
    assert isinstance(end, JobEnd)
    assert isinstance(refused, JobRefused)
    assert (end.outcome, end.reason) == ("failed", reason)
    assert (refused.code, refused.reason, refused.job, refused.arguments) == (code, reason, 7, end.arguments)


def test_an_error_stays_what_it_is_where_its_refusal_cannot_be_recorded() -> None:
    records = RecordList(full_from=2)
    with pytest.raises(SandboxError):
        run(audited(StubExecutor(SandboxError("no space")), records.append))
    assert [type(record) for record in records] == [JobStart, JobEnd]


@pytest.mark.parametrize("full_from", [99, 1])
def test_a_cancelled_job_is_on_record_and_stays_cancelled_when_it_cannot_be(full_from: int) -> None:
    records = RecordList(full_from=full_from)

    async def body() -> None:
        task = asyncio.create_task(audited(StubExecutor(None), records.append).run(job(), GRANT, NoInputs()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())
    ends = [record.outcome for record in records[1:] if isinstance(record, JobEnd)]
    assert ends == (["cancelled"] if full_from > 1 else [])
    assert len(records) == 1 + len(ends)
