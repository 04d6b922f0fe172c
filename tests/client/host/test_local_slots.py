"""Places on this machine."""

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.host.local_slots import LocalSlots
from tests.waiting import CEILING_S


def test_no_more_at_one_time_than_there_are_places() -> None:
    async def body() -> None:
        slots = LocalSlots(2)
        await slots.enter()
        await slots.enter()
        third = asyncio.create_task(slots.enter())
        await asyncio.sleep(0)
        assert not third.done()
        slots.leave()
        await asyncio.wait_for(third, CEILING_S)

    asyncio.run(body())


def test_a_user_may_want_other_than_the_machines_own_number() -> None:
    async def body() -> None:
        slots = LocalSlots(1)
        await slots.enter(2)
        await slots.enter(2)
        third = asyncio.create_task(slots.enter(2))
        await asyncio.sleep(0)
        assert not third.done()
        slots.leave()
        await asyncio.wait_for(third, CEILING_S)

    asyncio.run(body())


@pytest.mark.parametrize("count", [0, -3, 1])
def test_there_is_always_one(count: int) -> None:
    async def body() -> None:
        await asyncio.wait_for(LocalSlots(count).enter(), CEILING_S)

    asyncio.run(body())


def test_a_place_is_given_back_when_its_process_ends() -> None:
    async def body() -> None:
        slots = LocalSlots(1)
        await slots.enter()
        before = len(os.listdir("/proc/self/fd"))
        child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
        slots.leave_with(child.pid)
        waiting = asyncio.create_task(slots.enter())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert child.stdin is not None
        child.stdin.close()
        await asyncio.wait_for(waiting, CEILING_S)
        await child.wait()
        await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(body())


def test_a_process_that_is_gone_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_process: object) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "pidfd_open", gone)

    async def body() -> None:
        slots = LocalSlots(1)
        await slots.enter()
        slots.leave_with(1)
        await asyncio.wait_for(slots.enter(), CEILING_S)

    asyncio.run(body())


@settings(max_examples=40)
@given(st.integers(1, 4), st.lists(st.sampled_from(["enter", "leave", "give up"]), max_size=40))
def test_places_are_neither_lost_nor_made(count: int, steps: list[str]) -> None:
    async def body() -> None:
        slots = LocalSlots(count)
        tasks = []
        for step in steps:
            if step == "enter":
                tasks.append(asyncio.create_task(slots.enter()))
            elif step == "leave" and (inside := [task for task in tasks if task.done() and not task.cancelled()]):
                tasks.remove(inside[0])
                slots.leave()
            elif step == "give up" and (outside := [task for task in tasks if not task.done()]):
                outside[0].cancel()
            for _ in range(3):
                await asyncio.sleep(0)
            inside = [task for task in tasks if task.done() and not task.cancelled()]
            waiting = [task for task in tasks if not task.done()]
            assert len(inside) <= count
            assert len(inside) == count or not waiting
        for task in tasks:
            task.cancel()

    asyncio.run(body())
