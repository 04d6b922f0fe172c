import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from securecc.channel import deadline
from securecc.channel.deadline import within
from securecc.model import limits
from securecc.model.errors import ChannelError, CredentialError
from tests.waiting import CEILING_S

LATE = ChannelError("too late")


def test_the_result_comes_back() -> None:
    assert asyncio.run(within(5, LATE, divmod, 7, 2)) == (3, 1)


@pytest.mark.parametrize("error", [CredentialError("no"), TimeoutError("its own"), ValueError("x")])
def test_the_error_comes_back(error: Any) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        asyncio.run(within(5, LATE, fail))
    assert raised.value is error


def test_a_call_that_never_returns_holds_nobody() -> None:
    release = threading.Event()

    async def run() -> Any:
        ticks = 0
        task = asyncio.ensure_future(within(0.2, LATE, release.wait))
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        with pytest.raises(ChannelError, match="too late"):
            await task
        return ticks

    assert asyncio.run(run()) > 1
    release.set()  # answers a loop that is closed: nobody hears it


def test_the_pool_is_bounded_and_a_call_that_is_late_before_its_turn_is_not_begun() -> None:
    release = threading.Event()
    begun: list[Any] = []

    async def run() -> None:
        stuck = [asyncio.ensure_future(within(5, LATE, release.wait)) for _ in range(limits.GSS_THREADS)]
        await asyncio.sleep(0)
        with pytest.raises(ChannelError):
            await within(0.1, LATE, begun.append, 1)
        assert deadline.pool.threads <= limits.GSS_THREADS
        release.set()
        await asyncio.gather(*stuck)
        await within(5, LATE, begun.append, 2)

    asyncio.run(run())
    assert begun == [2]


def test_threads_are_daemons() -> None:
    asyncio.run(within(5, LATE, int))
    threads = [thread for thread in threading.enumerate() if thread.name == "securecc-blocking"]
    assert threads
    assert all(thread.daemon for thread in threads)


def test_cancelling_the_caller_is_no_deadline() -> None:
    release = threading.Event()

    async def run() -> None:
        task = asyncio.ensure_future(within(5, LATE, release.wait))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()

    asyncio.run(run())


class Call:
    """Says on a list what became of it; `wanted` until somebody has gone. Calls `then` once it has run."""

    def __init__(self, name: Any, told: Any, gone: Any = (), then: Any = lambda: None) -> None:
        self.name = name
        self.told = told
        self.gone = gone
        self.then = then

    def run(self) -> None:
        self.told.append(f"ran {self.name}")
        self.then()

    def shed(self) -> None:
        self.told.append(f"shed {self.name}")

    def wanted(self) -> Any:
        return self.name not in self.gone


class Blocking(Call):
    """Runs `block`."""

    def __init__(self, block: Callable[[], object]) -> None:
        super().__init__("blocking", [])
        self.block = block

    def run(self) -> None:
        self.block()


class Blocked:
    """A pool of one thread, which is busy until `release`."""

    def __init__(self, waiting: Any) -> None:
        self.pool = deadline.Pool(1, waiting)
        self.told: list[str] = []
        self.gone: set[str] = set()
        self.released = threading.Event()
        self.begun = threading.Event()
        self.ran = threading.Semaphore(0)
        self.pool.submit(Blocking(self._block), stranger=False)
        assert self.begun.wait(CEILING_S)

    def _block(self) -> None:
        self.begun.set()
        self.released.wait(CEILING_S)

    def submit(self, *names: Any) -> None:
        for name in names:
            call = Call(name, self.told, self.gone, self.ran.release)
            self.pool.submit(call, stranger=name.startswith("stranger"))

    def finish(self, running: int = 0) -> Any:
        """What became of all, once so many have run."""
        self.released.set()
        for _ in range(running):
            assert self.ran.acquire(timeout=CEILING_S)
        return self.told


def test_a_full_pool_sheds_strangers() -> None:
    blocked = Blocked(2)
    blocked.submit("stranger 1", "stranger 2", "stranger 3")
    assert blocked.told == ["shed stranger 3"]
    assert blocked.finish(2)[1:] == ["ran stranger 1", "ran stranger 2"]


def test_a_full_pool_sheds_a_stranger_for_somebody_who_is_none() -> None:
    blocked = Blocked(2)
    blocked.submit("stranger 1", "stranger 2", "alice", "bob", "carol")
    assert blocked.told == ["shed stranger 2", "shed stranger 1"]
    assert blocked.finish(3)[2:] == ["ran alice", "ran bob", "ran carol"]


def test_strangers_wait_behind_the_others() -> None:
    blocked = Blocked(9)
    blocked.submit("stranger 1", "alice", "stranger 2", "bob")
    assert blocked.finish(4) == ["ran alice", "ran bob", "ran stranger 1", "ran stranger 2"]


def test_who_has_gone_makes_room() -> None:
    blocked = Blocked(2)
    blocked.submit("stranger 1", "stranger 2")
    blocked.gone |= {"stranger 1"}
    blocked.submit("stranger 3")
    assert blocked.finish(2) == ["ran stranger 2", "ran stranger 3"]
    assert blocked.pool.threads == 1


def test_a_stranger_who_is_shed_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = Blocked(0)
    monkeypatch.setattr(deadline, "pool", blocked.pool)

    async def run() -> None:
        with pytest.raises(CredentialError, match="too many"):
            await within(5, LATE, int, shed=CredentialError("too many"))

    asyncio.run(run())
    blocked.finish()


def test_threads_are_started_as_they_are_needed() -> None:
    some = deadline.Pool(3, 9)
    released, begun = threading.Event(), threading.Semaphore(0)

    def block() -> None:
        begun.release()
        released.wait(CEILING_S)

    call = Blocking(block)
    for wanted in (1, 2, 3):
        some.submit(call, stranger=True)
        assert begun.acquire(timeout=CEILING_S)
        assert some.threads == wanted
    some.submit(call, stranger=True)
    assert some.threads == 3
    released.set()
    assert begun.acquire(timeout=CEILING_S)
