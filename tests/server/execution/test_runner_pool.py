"""Runners that follow one another, played by the test."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securecc.compiler.toolchain import toolchain_list
from securecc.model import limits
from securecc.model.errors import Refused, SandboxError
from securecc.model.manifest import Entry, Kind
from securecc.model.messages import SharedTree
from securecc.runner_protocol.messages import WorkOrder, WorkReady, WorkRunner
from securecc.runner_protocol.packets import pair
from securecc.server.execution.runner_pool import RunnerPool
from securecc.server.execution.toolchain_catalogue import ToolchainCatalogue
from tests.server.execution.test_runner_client import Contents, Runner, job, report
from tests.server.frontside import CLANG, GCC, GRANT, HEADER, SOURCE, toolchain_of
from tests.waiting import CEILING_S

NEWER = msgspec.structs.replace(GCC, digest=b"n" * 32, whole=b"n" * 32)


class RunnerSpawner:
    """Starts runners as the test wants them; `asked` is what the front said."""

    def __init__(self, end: Any, *ready: Any) -> None:
        self.end = end
        self.ready = list(ready)
        self.asked: list[WorkRunner] = []
        self.runners: list[Runner] = []
        end.setblocking(False)
        asyncio.get_running_loop().add_reader(end, self._readable)

    def _readable(self) -> None:
        packet, descriptors, _, _ = socket.recv_fds(self.end, limits.WORK_PACKET, 1)
        if not packet:
            asyncio.get_running_loop().remove_reader(self.end)
            return
        self.asked.append(msgspec.msgpack.decode(packet, type=WorkRunner))
        runner = Runner(socket.socket(fileno=descriptors[0]))
        ready = self.ready.pop(0)
        if ready is None:
            runner.close()
        elif ready:
            runner.say(ready)
        self.runners.append(runner)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.end)
        self.end.close()
        for runner in self.runners:
            runner.close()


@asynccontextmanager
async def offered(folder: Path, *ready: Any, trees: Any = ()) -> AsyncIterator[Any]:
    """A pool with one runner that has gcc, and a spawner for those after it."""
    (ours, theirs), (front_end, spawner_end) = pair(), pair()
    lost: list[str] = []
    pool = RunnerPool(ours, front_end, ToolchainCatalogue(folder / "toolchains.json"), lost.append)
    first, spawner = Runner(theirs), RunnerSpawner(spawner_end, *ready)
    first.say(WorkReady(("userns",), (GCC,), trees))
    await pool.begin()
    try:
        yield pool, first, spawner, lost
    finally:
        pool.close()
        first.close()
        spawner.close()


def test_new_jobs_go_to_the_new_runner_and_the_old_one_leaves_after_its_last(tmp_path: Path) -> None:
    async def body() -> None:
        inputs = Contents(SOURCE, HEADER)
        async with offered(tmp_path, WorkReady(("userns",), (NEWER, CLANG))) as (pool, first, spawner, lost):
            running = asyncio.create_task(pool.run(job(1), GRANT, inputs))
            await first.until(WorkOrder)
            assert await pool.renew() == "gcc-12, clang-14"
            assert spawner.asked == [WorkRunner((GCC.digest,))]
            assert pool.catalogue.toolchains == (NEWER, CLANG)
            assert [known.digest for known in toolchain_list.read(tmp_path / "toolchains.json").toolchains] == [
                NEWER.digest,
                CLANG.digest,
            ]
            late = asyncio.create_task(pool.run(replace(job(2), toolchain=toolchain_of(CLANG)), GRANT, inputs))
            await spawner.runners[0].until(WorkOrder)
            assert not first.packets.closed
            first.say(report(1), b"", b"")
            spawner.runners[0].say(report(2), b"", b"")
            for outcome in (await running, await late):
                outcome.close()
            await closed(first)
            with pytest.raises(Refused, match="no longer offered"):
                await pool.run(job(3), GRANT, inputs)
            assert lost == []
        inputs.close()

    asyncio.run(body())


async def closed(runner: Runner) -> None:
    async with asyncio.timeout(CEILING_S):
        while not runner.packets.closed:
            runner.news.clear()
            await runner.news.wait()


OLD, NEW = SharedTree(b"/usr/include", b"o" * 32), SharedTree(b"/usr/include", b"n" * 32)


def with_shared_trees(number: int, shared_tree: Any) -> Any:
    plain = job(number)
    entry = Entry(shared_tree.path, Kind.SHARED_TREE, shared_tree.digest)
    return replace(plain, manifest=replace(plain.manifest, shared_trees=(entry,)))


def test_shared_trees_follow_the_runner_and_a_job_goes_where_its_shared_tree_is(tmp_path: Path) -> None:
    async def body() -> None:
        inputs = Contents(SOURCE, HEADER)
        ready = WorkReady(("userns",), (GCC,), (NEW,))
        async with offered(tmp_path, ready, trees=(OLD,)) as (pool, first, spawner, _):
            assert pool.catalogue.shared_trees == {OLD}
            running = asyncio.create_task(pool.run(with_shared_trees(1, OLD), GRANT, inputs))
            await first.until(WorkOrder)
            assert await pool.renew() == "gcc-12"
            assert spawner.asked == [WorkRunner((GCC.digest,), (OLD,))]
            assert pool.catalogue.shared_trees == {NEW}
            more = [with_shared_trees(2, OLD), with_shared_trees(3, NEW)]
            jobs = [asyncio.create_task(pool.run(one, GRANT, inputs)) for one in more]
            second = spawner.runners[0]
            await second.until(WorkOrder)
            async with asyncio.timeout(CEILING_S):
                while [type(message) for message, _ in first.heard].count(WorkOrder) < 2:
                    first.news.clear()
                    await first.news.wait()
            for runner, number in ((first, 1), (first, 2), (second, 3)):
                runner.say(report(number), b"", b"")
            for outcome in [await running, *[await task for task in jobs]]:
                outcome.close()
            await closed(first)
            with pytest.raises(Refused, match="shared tree") as refused:
                await pool.run(with_shared_trees(4, OLD), GRANT, inputs)
            assert refused.value.code == "layer"
        inputs.close()

    asyncio.run(body())


def test_so_many_shared_trees_are_taken_from_a_runner(tmp_path: Path) -> None:
    async def body() -> None:
        crowd = tuple(SharedTree(b"/opt/%d" % number, b"x" * 32) for number in range(limits.SHARED_TREES + 1))
        async with offered(tmp_path, trees=crowd) as (pool, _, _, _):
            assert pool.catalogue.shared_trees == set(crowd[:-1])

    asyncio.run(body())


def test_nothing_new(tmp_path: Path) -> None:
    async def body() -> None:
        async with offered(tmp_path, WorkReady((), ())) as (pool, first, spawner, _):
            assert await pool.renew() == ""
            assert pool.catalogue.toolchains == (GCC,)
            assert not first.packets.closed
            await closed(spawner.runners[0])

    asyncio.run(body())


@pytest.mark.parametrize("ready", [None, ()])
def test_a_new_runner_that_does_not_come_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ready: Any
) -> None:
    monkeypatch.setattr(limits, "RUNNER_START_S", 0.05)

    async def body() -> None:
        async with offered(tmp_path, ready) as (pool, _, _, lost):
            with pytest.raises(SandboxError):
                await pool.renew()
            assert pool.catalogue.toolchains == (GCC,)
            assert lost == []

    asyncio.run(body())


def test_one_look_at_a_time_and_once_more_for_who_asks_meanwhile(tmp_path: Path) -> None:
    async def body() -> None:
        async with offered(tmp_path, WorkReady((), ()), WorkReady(("userns",), (NEWER,))) as (pool, _, spawner, _):
            looking = asyncio.create_task(pool.renew())
            await asyncio.sleep(0)
            assert await pool.renew() == ""
            assert await pool.renew() == ""
            assert await looking == "gcc-12"
            assert len(spawner.asked) == 2
            spawner.end.close()
            with pytest.raises(SandboxError, match="another runner"):
                await pool.renew()

    asyncio.run(body())


def test_the_loss_of_the_runner_for_new_jobs_is_told(tmp_path: Path) -> None:
    async def body() -> None:
        async with offered(tmp_path) as (_, first, _, lost):
            first.packets.close()
            async with asyncio.timeout(CEILING_S):
                while not lost:  # noqa: ASYNC110 - the loop must turn
                    await asyncio.sleep(0)

    asyncio.run(body())


def test_the_sandbox_of_a_job_is_that_of_the_runner_that_has_it(tmp_path: Path) -> None:
    better = WorkReady(("userns", "landlock"), (NEWER,))

    async def body() -> None:
        async with offered(tmp_path, better) as (pool, first, _, _):
            running = asyncio.create_task(pool.run(job(1), GRANT, Contents(SOURCE, HEADER)))
            await first.until(WorkOrder)
            assert pool.sandbox(job()) == ("userns",)
            await pool.renew()
            assert pool.sandbox(job()) == ("userns",)  # it is with the older one
            assert pool.sandbox(replace(job(), toolchain=toolchain_of(NEWER))) == ("userns", "landlock")
            assert pool.sandbox(replace(job(), toolchain=toolchain_of(CLANG))) == ("userns", "landlock")
            first.say(report(1), b"", b"")
            (await running).close()

    asyncio.run(body())


def test_a_new_runner_with_fewer_sandbox_layers_does_not_take_over(tmp_path: Path) -> None:
    async def body() -> None:
        async with offered(tmp_path, WorkReady(("seccomp",), (NEWER,))) as (pool, _, _, _):
            with pytest.raises(SandboxError, match="fewer sandbox layers, without userns; restart to allow it"):
                await pool.renew()
            assert pool.catalogue.toolchains == (GCC,)
            assert pool.sandbox(job()) == ("userns",)

    asyncio.run(body())
