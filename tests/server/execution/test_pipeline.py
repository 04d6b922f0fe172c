"""The wrappers around every job, each by itself and in their order."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.audit.records import job_events
from securecc.compiler.tree.manifest_check import CheckedManifest
from securecc.model.errors import AuditError, Denied, Refused, SandboxError
from securecc.model.manifest import Entry, Kind
from securecc.model.messages import Terminal
from securecc.server.execution.executor import Job, Origin
from securecc.server.execution.pipeline import Audited, Authorised, Queued, permits, pipeline
from tests.server.frontside import CWD, GCC, GRANT, StubExecutor, is_open, outcome, submit, toolchain_of

LAYERS = ("bubblewrap", "userns")


async def at_once():
    return None


def job(**changes):
    arguments = submit().arguments
    values = {
        "number": 7,
        "origin": Origin(GRANT.principal, "192.0.2.1:4", "ref"),
        "toolchain": toolchain_of(GCC),
        "arguments": arguments,
        "plan": None,
        "cwd": CWD,
        "environment": {},
        "umask": 0o22,
        "terminal": Terminal(),
        "manifest": CheckedManifest((), (), 0, (Entry(b"/usr/include", Kind.SHARED_TREE, b"l" * 32),)),
        "manifest_digest": b"m" * 32,
        "source": 10,
        "inputs": None,
        "occupy": at_once,
        **changes,
    }
    return Job(**values)


class Log(list):
    def __init__(self, *, full_from=99):
        super().__init__()
        self.full_from = full_from

    def append(self, record):
        if len(self) >= self.full_from:
            raise AuditError("full")
        super().append(record)


def run(executor, given=None, grant=GRANT):
    return asyncio.run(executor.run(given or job(), grant))


def test_a_job_is_on_record_before_it_begins_and_when_it_has_ended():
    log = Log()
    seen = []

    class Looks(StubExecutor):
        async def run(self, job, grant):
            seen.append(list(log))
            return await super().run(job, grant)

    made = outcome(b"", b"", ((CWD + b"/a.o", b"object"),))
    found = run(Audited(Looks(made), log.append, lambda _: LAYERS), job(attempt=2))
    assert [[type(record) for record in seen[0]]] == [[job_events.JobStart]]
    start, end = log
    assert (start.principal, start.rule, tuple(start.sandbox)) == (GRANT.principal, "committers", LAYERS)
    assert start.layers_sha256 == end.layers_sha256 == ((b"l" * 32).hex(),)
    assert (end.outcome, end.job) == ("done", 7)
    assert (start.attempt, end.attempt) == (2, 2)
    assert made.digests[0].hex() in repr(end)
    found.close()


def test_no_record_no_job():
    inner = StubExecutor()
    with pytest.raises(AuditError):
        run(Audited(inner, Log(full_from=0).append, lambda _: LAYERS))
    assert inner.jobs == []


def test_a_result_that_cannot_be_recorded_is_not_given_out():
    inner = StubExecutor()
    with pytest.raises(AuditError):
        run(Audited(inner, Log(full_from=1).append, lambda _: LAYERS))
    assert inner.given
    assert not any(is_open(descriptor, inode) for descriptor, inode in inner.given)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(SandboxError("no space"), "no space"), (OSError(24, "secret words"), "the server met an error of its own")],
)
def test_a_failure_is_on_record_with_its_reason(error, reason):
    log = Log()
    with pytest.raises(type(error)):
        run(Audited(StubExecutor(error), log.append, lambda _: LAYERS))
    assert (log[1].outcome, log[1].reason) == ("failed", reason)


@pytest.mark.parametrize("full_from", [99, 1])
def test_a_cancelled_job_is_on_record_and_stays_cancelled_when_it_cannot_be(full_from):
    log = Log(full_from=full_from)

    async def body():
        task = asyncio.create_task(Audited(StubExecutor(None), log.append, lambda _: LAYERS).run(job(), GRANT))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())
    assert [record.outcome for record in log[1:]] == (["cancelled"] if full_from > 1 else [])


@pytest.mark.parametrize(
    ("changes", "grant", "error", "message"),
    [
        ({}, replace(GRANT, principal="bob@EXAMPLE.COM"), Denied, "another principal's"),
        ({}, replace(GRANT, toolchains=("clang-*",)), Denied, "does not grant gcc-12"),
        ({}, replace(GRANT, toolchains=()), Denied, "does not grant gcc-12"),
        ({"source": 11}, replace(GRANT, limits=replace(GRANT.limits, source=10)), Refused, "11 bytes of source"),
    ],
)
def test_what_the_grant_does_not_cover_does_not_run(changes, grant, error, message):
    inner = StubExecutor()
    with pytest.raises(error, match=message):
        run(Authorised(inner), job(**changes), grant)
    assert inner.jobs == []


def test_a_job_waits_for_its_slot():
    async def body():
        free = asyncio.Event()
        inner = StubExecutor()
        task = asyncio.create_task(Queued(inner).run(job(occupy=free.wait), GRANT))
        await asyncio.sleep(0)
        assert inner.jobs == []
        free.set()
        (await task).close()
        assert len(inner.jobs) == 1

    asyncio.run(body())


def test_what_is_denied_is_on_record_and_takes_no_slot():
    log = Log()
    occupied = []

    async def occupy():
        occupied.append(1)

    with pytest.raises(Denied):
        run(
            pipeline(StubExecutor(), log.append, lambda _: LAYERS),
            job(occupy=occupy),
            replace(GRANT, toolchains=("x",)),
        )
    assert [type(record) for record in log] == [job_events.JobStart, job_events.JobEnd]
    assert occupied == []


@given(st.lists(st.text("gc*?-12", max_size=6)), st.text("gc-12", max_size=6))
def test_a_grant_covers_what_one_of_its_patterns_matches(patterns, name):
    grant = replace(GRANT, toolchains=tuple(patterns))
    assert permits(replace(grant, toolchains=(*patterns, name)), name)
    assert permits(replace(grant, toolchains=(*patterns, "*")), name)
    if not patterns:
        assert not permits(grant, name)
