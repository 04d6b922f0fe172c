import asyncio
import threading
import time

import pytest

from securecc.channel import deadline
from securecc.channel.deadline import within
from securecc.words import limits
from securecc.words.errors import ChannelError, CredentialError

LATE = ChannelError("too late")


def test_the_result_comes_back():
    assert asyncio.run(within(5, LATE, divmod, 7, 2)) == (3, 1)


@pytest.mark.parametrize("error", [CredentialError("no"), TimeoutError("its own"), ValueError("x")])
def test_the_error_comes_back(error):
    def fail():
        raise error

    with pytest.raises(type(error)) as raised:
        asyncio.run(within(5, LATE, fail))
    assert raised.value is error


def test_a_call_that_never_returns_holds_nobody():
    release = threading.Event()

    async def run():
        ticks = 0
        task = asyncio.ensure_future(within(0.2, LATE, release.wait))
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        with pytest.raises(ChannelError, match="too late"):
            await task
        return ticks

    began = time.monotonic()
    assert asyncio.run(run()) > 5
    assert time.monotonic() - began < 2
    release.set()  # answers a loop that is closed: nobody hears it


def test_the_pool_is_bounded_and_a_call_that_is_late_before_its_turn_is_not_begun():
    release, begun = threading.Event(), []

    async def run():
        stuck = [asyncio.ensure_future(within(5, LATE, release.wait)) for _ in range(limits.GSS_THREADS)]
        await asyncio.sleep(0)
        with pytest.raises(ChannelError):
            await within(0.1, LATE, begun.append, 1)
        assert deadline._threads <= limits.GSS_THREADS
        release.set()
        await asyncio.gather(*stuck)
        await within(5, LATE, begun.append, 2)

    asyncio.run(run())
    assert begun == [2]


def test_threads_are_daemons():
    asyncio.run(within(5, LATE, int))
    threads = [thread for thread in threading.enumerate() if thread.name == "securecc-blocking"]
    assert threads
    assert all(thread.daemon for thread in threads)


def test_cancelling_the_caller_is_no_deadline():
    release = threading.Event()

    async def run():
        task = asyncio.ensure_future(within(5, LATE, release.wait))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()

    asyncio.run(run())
