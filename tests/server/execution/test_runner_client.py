"""The front's end of the runner, with a runner that the test plays, well and badly."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.compiler.tree.manifest_check import CheckedManifest
from securecc.model import manifest
from securecc.model.errors import ProtocolError, SandboxError, StoreError
from securecc.model.grant import JobLimits
from securecc.model.manifest import Entry, Kind
from securecc.model.messages import Usage
from securecc.runner_protocol.messages import Made, WorkBlobs, WorkCancel, WorkOrder, WorkReady, WorkReport
from securecc.runner_protocol.packets import PacketConnection, from_front, memory, pair, read_tree
from securecc.server.execution import runner_client as client_module
from securecc.server.execution.runner_client import RunnerClient
from tests.server.execution import chain
from tests.server.frontside import CWD, ENTRIES, GCC, GRANT, HEADER, SOURCE, file_entry
from tests.waiting import CEILING_S


class Contents:
    """The inputs of a job, as memory files."""

    def __init__(self, *contents: Any, error: Exception | None = None) -> None:
        self.known = {manifest.digest(content): memory(content) for content in contents}
        self.error = error

    def descriptors(self, digests: Any) -> Any:
        if self.error is not None:
            raise self.error
        return [self.known[digest] for digest in digests]

    def close(self) -> None:
        for descriptor in self.known.values():
            os.close(descriptor)


def job(number: int = 1, entries: Any = ENTRIES) -> Any:
    checked = CheckedManifest(tuple(entries), (b"/",), 10)
    return chain.job(number=number, environment={b"LC_ALL": b"C"}, manifest=checked)


def report(number: int = 1, **changes: Any) -> Any:
    values = {"status": 0, "limit": "", "made": (), "strays": (), "usage": Usage(wall_s=1.0), **changes}
    return WorkReport(number, **values)


class Runner:
    """The other end: hears everything, says what the test tells it to."""

    def __init__(self, end: Any) -> None:
        self.end = end
        self.heard: list[tuple[Any, list[int]]] = []
        self.news = asyncio.Event()
        self.packets = PacketConnection(end, from_front, self._receive, lambda _reason: self.news.set())
        self.packets.start()

    def _receive(self, message: Any, descriptors: Any) -> None:
        self.heard.append((message, descriptors))
        self.news.set()

    async def until(self, kind: Any) -> Any:
        async with asyncio.timeout(CEILING_S):
            while True:
                for message, descriptors in self.heard:
                    if isinstance(message, kind):
                        return message, descriptors
                self.news.clear()
                await self.news.wait()

    def say(self, message: Any, *contents: Any) -> None:
        descriptors = [content if isinstance(content, int) else memory(content) for content in contents]
        self.packets.send(message, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def close(self) -> None:
        self.packets.close()
        for _, descriptors in self.heard:
            for descriptor in descriptors:
                os.close(descriptor)


async def reported(client: RunnerClient) -> None:
    """Returns in the very turn of the loop in which the report arrives, before its job goes on."""
    while client.waiting:  # noqa: ASYNC110 - the loop must turn
        await asyncio.sleep(0)


def with_runner(body: Any) -> None:
    async def run() -> None:
        ours, theirs = pair()
        lost: list[str] = []
        client, runner = RunnerClient(ours, lost.append), Runner(theirs)
        inputs = Contents(SOURCE, HEADER)
        try:
            await body(client, runner, inputs, lost)
        finally:
            client.close()
            runner.close()
            inputs.close()

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_runner_says_once_what_it_can() -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        ready = WorkReady(("userns",), (GCC,))
        runner.say(ready)
        assert await client.ready() == ready
        runner.say(WorkReady((), ()), b"with a descriptor that nobody wants")
        runner.say(report(99), b"", b"")
        await asyncio.sleep(0.01)
        assert await client.ready() == ready

    with_runner(body)


def test_a_runner_that_ends_before_it_is_ready() -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        runner.close()
        with pytest.raises(SandboxError, match="the runner has gone"):
            await client.ready()
        assert len(lost) == 1

    with_runner(body)


def test_a_job_goes_with_its_tree_and_comes_back_with_its_files() -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        entries = (*ENTRIES, file_entry(CWD + b"/again.h", HEADER), Entry(CWD + b"/l", Kind.LINK, b"a.h"))
        running = asyncio.create_task(client.run(job(entries=entries), GRANT, inputs))
        order, [tree] = await runner.until(WorkOrder)
        assert (order.toolchain, order.limits, order.blobs, order.cwd) == (GCC.digest, GRANT.limits, 2, CWD)
        assert read_tree(tree).descriptors == (0, 1, 1, -1)
        _, blobs = await runner.until(WorkBlobs)
        assert [os.pread(descriptor, 99, 0) for descriptor in blobs] == [SOURCE, HEADER]
        runner.say(report(made=(Made(CWD + b"/a.o", 6, 0o644),), strays=(1,), read=b"\1"), b"out", b"err", b"object")
        outcome = await running
        assert [os.pread(descriptor, 99, 0) for descriptor in outcome.descriptors] == [b"out", b"err", b"object"]
        assert outcome.digests == (manifest.digest(b"object"),)
        assert (outcome.strays, outcome.read, outcome.usage) == ((1,), b"\1", Usage(wall_s=1.0))
        outcome.close()

    with_runner(body)


def test_a_runner_in_trouble_says_so() -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await runner.until(WorkOrder)
        runner.say(report(failure="no space"))
        with pytest.raises(SandboxError, match="no space"):
            await running

    with_runner(body)


LIES: dict[str, Any] = {
    "too few descriptors": lambda: (report(), b""),
    "too many": lambda: (report(), b"", b"", b""),
    "descriptors beside a failure": lambda: (report(failure="x"), b""),
    "another size": lambda: (report(made=(Made(b"/a", 5, 0o644),)), b"", b"", b"object"),
    "a negative size": lambda: (report(made=(Made(b"/a", -1, 0o644),)), b"", b"", b"object"),
    "a directory": lambda: (report(), b"", os.open("/", os.O_RDONLY)),
    "a pipe": lambda: (report(), b"", half_a_pipe()),
    "a device": lambda: (report(made=(Made(b"/a", 0, 0o644),)), b"", b"", os.open("/dev/zero", os.O_RDONLY)),
}


def half_a_pipe() -> Any:
    ours, theirs = os.pipe()
    os.close(theirs)
    return ours


@pytest.mark.parametrize("lie", LIES)
def test_a_report_that_does_not_fit_what_came_with_it_is_no_result(lie: Any) -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await runner.until(WorkOrder)
        runner.say(*LIES[lie]())
        with pytest.raises(SandboxError, match="does not fit"):
            await running

    with_runner(body)


def test_a_made_file_that_cannot_be_read_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "a.o").write_bytes(b"object")

    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await runner.until(WorkOrder)
        written_only = os.open(tmp_path / "a.o", os.O_WRONLY)
        runner.say(report(made=(Made(b"/a.o", 6, 0o644),)), b"", b"", written_only)
        with pytest.raises(SandboxError, match="cannot be read"):
            await running

    with_runner(body)


def test_more_output_than_the_job_may_make_is_no_result_and_is_not_even_read() -> None:
    grant = replace(GRANT, limits=JobLimits(output=10))

    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), grant, inputs))
        await runner.until(WorkOrder)
        made = tuple(Made(path, 6, 0o644) for path in (b"/a.o", b"/b.o"))
        runner.say(report(made=made), b"", b"", b"object", b"object")
        with pytest.raises(SandboxError, match="more output than the 10 bytes"):
            await running

    with_runner(body)


def test_a_large_output_leaves_others_their_turns() -> None:
    content = os.urandom(5 * client_module.READ + 1)

    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await asyncio.sleep(0)
        runner.say(report(made=(Made(b"/a.o", len(content), 0o644),)), b"", b"", content)
        await reported(client)
        turns = 0
        while not running.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 5
        outcome = await running
        assert outcome.digests == (manifest.digest(content),)
        outcome.close()

    with_runner(body)


def test_a_job_that_is_cancelled_while_its_output_is_read_leaves_nothing_open() -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await asyncio.sleep(0)
        size = 3 * client_module.READ
        runner.say(report(made=(Made(b"/a.o", size, 0o644),)), b"", b"", bytes(size))
        await reported(client)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not running.done()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with_runner(body)


def test_what_is_no_message_is_the_end_of_the_runner() -> None:
    """Whose report it was cannot be known, so no job may go on waiting for it."""

    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await runner.until(WorkOrder)
        runner.end.send(b"\0garbage")
        with pytest.raises(SandboxError, match="invalid message"):
            await running
        assert len(lost) == 1
        with pytest.raises(SandboxError, match="has gone"):
            await client.run(job(2), GRANT, inputs)

    with_runner(body)


def test_a_runner_that_goes_takes_its_jobs_with_it() -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        jobs = [asyncio.create_task(client.run(job(number), GRANT, inputs)) for number in (1, 2)]
        await runner.until(WorkOrder)
        runner.packets.close()
        for running in jobs:
            with pytest.raises(SandboxError, match="the runner has gone"):
                await running
        assert len(lost) == 1

    with_runner(body)


def test_a_runner_that_keeps_no_limit_is_the_end_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "OVERDUE_S", 0.01)
    grant = replace(GRANT, limits=JobLimits(wall_s=0.01))

    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        with pytest.raises(SandboxError, match="did not report on the job in time"):
            await client.run(job(1), grant, inputs)
        assert lost == ["it did not enforce the job's wall-clock limit"]

    with_runner(body)


@pytest.mark.parametrize("error", [StoreError("a blob is lost"), ProtocolError("cannot be sent")])
def test_a_job_that_cannot_be_sent_is_not_waited_for(error: Exception) -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        with pytest.raises(type(error)):
            await client.run(job(), GRANT, Contents(error=error))
        assert client.waiting == 0

    with_runner(body)


def test_a_cancelled_job_ends_only_when_the_runner_has_ended_it() -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await runner.until(WorkOrder)
        running.cancel()
        assert (await runner.until(WorkCancel))[0] == WorkCancel(1)
        assert not running.done()
        runner.say(report(status=-9), b"", b"")
        with pytest.raises(asyncio.CancelledError):
            await running

    with_runner(body)


def test_a_cancelled_job_ends_with_a_runner_that_goes() -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await runner.until(WorkOrder)
        running.cancel()
        await runner.until(WorkCancel)
        runner.packets.close()
        with pytest.raises(asyncio.CancelledError):
            await running

    with_runner(body)


def test_a_runner_that_ends_no_cancelled_job_is_the_end_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "OVERDUE_S", 0.05)

    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        other = asyncio.create_task(client.run(job(2), GRANT, inputs))
        await runner.until(WorkOrder)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert lost == ["it did not end a job that it was told to end"]
        with pytest.raises(SandboxError, match="the runner has gone"):
            await other

    with_runner(body)


def test_a_result_that_comes_with_the_cancel_is_closed() -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await runner.until(WorkOrder)
        runner.say(report(), b"", b"")
        await reported(client)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with_runner(body)


@settings(max_examples=60)
@given(
    st.lists(st.integers(-1, 8), max_size=3),
    st.lists(st.binary(max_size=8), max_size=6),
    st.sampled_from(["", "failed"]),
)
def test_any_report_is_an_outcome_that_fits_or_an_error(sizes: Any, contents: Any, failure: Any) -> None:
    async def body(client: RunnerClient, runner: Runner, inputs: Contents, lost: list[str]) -> None:
        running = asyncio.create_task(client.run(job(), GRANT, inputs))
        await asyncio.sleep(0)
        made = tuple(Made(b"/%d" % number, size, 0o644) for number, size in enumerate(sizes))
        runner.say(report(made=made, failure=failure), *contents)
        try:
            outcome = await running
        except SandboxError:
            return
        assert [len(content) for content in contents[2:]] == sizes
        assert outcome.digests == tuple(map(manifest.digest, contents[2:]))
        outcome.close()

    with_runner(body)
