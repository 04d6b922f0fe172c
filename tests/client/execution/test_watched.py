"""securecc.client.execution.watched: a remote compile ends with those who wait for it."""

import asyncio
import signal

import pytest

from securecc.client.execution import watched
from securecc.client.execution.executor import Compile, Outcome
from securecc.client.execution.watched import Watched
from securecc.client.ipc.frames import Die
from tests.client.compile.compile_rig import Rig, received, run


class Waiting:
    """An executor that ends when it is told."""

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def run(self, compile_: Compile) -> Outcome:
        await self.end.wait()
        return Outcome(received(), "farm1", 0)


class Ancestry:
    """As ProcessAncestry, of a launcher whose make dies as soon as it is watched."""

    dies = True
    stopped = 0

    def __init__(self, process: int, parent: int, orphaned: watched.Orphaned) -> None:
        self.orphaned = orphaned

    def start(self) -> None:
        if self.dies:
            asyncio.get_running_loop().call_soon(self.orphaned)

    def stop(self) -> None:
        type(self).stopped += 1


@pytest.mark.parametrize("gone", [False, True])
def test_a_compile_whose_make_was_killed_ends(rig: Rig, gone: bool) -> None:
    """The launcher lives on as somebody else's child: it and the remote job end all the same."""

    async def body() -> None:
        invocation, launcher = await rig.prepare(), rig.launcher
        compile_ = Compile(launcher, invocation, await rig.resolve(invocation))
        launcher.gone = gone
        executor = Waiting()
        task = asyncio.create_task(Watched(executor, Ancestry).run(compile_))
        launcher.abandoned = task.cancel
        done, _ = await asyncio.wait({task}, timeout=0.2 if gone else 60)
        assert bool(done) is not gone  # one that has gone is its connection's to end
        executor.end.set()
        await asyncio.wait({task})
        assert task.cancelled() is not gone
        assert launcher.told == ([] if gone else [Die(signal.SIGTERM)])

    run(body())


def test_the_watch_ends_with_the_compile(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ancestry, "dies", False)
    monkeypatch.setattr(Ancestry, "stopped", 0)

    async def body() -> None:
        invocation = await rig.prepare()
        executor = Waiting()
        executor.end.set()
        await Watched(executor, Ancestry).run(Compile(rig.launcher, invocation, await rig.resolve(invocation)))
        assert Ancestry.stopped == 1

    run(body())
