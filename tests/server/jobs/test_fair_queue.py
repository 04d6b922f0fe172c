"""Slots and fairness."""

import asyncio
import itertools
import time
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model.grant import Grant, Quota
from securecc.server.jobs.fair_queue import FairQueue, QueueEntry, Stage
from securecc.server.jobs.token_bucket import TokenBucket
from tests.waiting import CEILING_S

ALICE = Grant(principal="alice@EXAMPLE.COM", rule="committers", revision="r")
BOB = replace(ALICE, principal="bob@EXAMPLE.COM")


NUMBERS = itertools.count(1)


def enter(queue: FairQueue, *words: Any) -> Any:
    return queue.ask(next(NUMBERS), *words)


def stage_of(entry: QueueEntry) -> Stage:
    """Asked for again: a type checker believes that a stage which was seen stays."""
    return entry.stage


def nothing() -> None:
    pass


def in_loop(test: Any) -> Any:
    async def body() -> Any:
        return test()

    return asyncio.run(body())


def test_a_free_slot_is_leased_at_once_and_the_next_entry_waits() -> None:
    def test() -> None:
        queue = FairQueue(1, 10)
        leased = []
        first = enter(queue, ALICE, lambda: leased.append(1))
        second = enter(queue, ALICE, lambda: leased.append(2))
        assert (first.stage, second.stage, leased) == (Stage.LEASED, Stage.WAITING, [1])
        first.leave()
        assert (first.stage, second.stage, leased) == (Stage.DONE, Stage.LEASED, [1, 2])
        second.leave()
        assert queue.taken == 0
        assert queue.waiting == 0

    in_loop(test)


def test_a_lapsed_lease_frees_the_slot_and_its_job_queues_again() -> None:
    async def body() -> None:
        queue = FairQueue(1, 0.01)
        first = enter(queue, ALICE, nothing)
        leased = asyncio.Event()
        second = enter(queue, BOB, leased.set)
        await asyncio.wait_for(leased.wait(), CEILING_S)
        assert stage_of(first) is Stage.LAPSED
        second.hold(60)
        late = asyncio.create_task(first.occupy())
        await asyncio.sleep(0)
        assert stage_of(first) is Stage.WAITING
        second.leave()
        await asyncio.wait_for(late, CEILING_S)
        assert stage_of(first) is Stage.RUNNING
        first.leave()
        assert queue.taken == 0

    asyncio.run(body())


def test_a_principal_that_asked_for_little_is_not_behind_one_that_asked_for_much() -> None:
    def test() -> None:
        queue = FairQueue(1, 10)
        order = []
        entries = [enter(queue, ALICE, lambda: order.append("alice")) for _ in range(6)]
        entries += [enter(queue, BOB, lambda: order.append("bob")) for _ in range(2)]
        while any(entry.stage is Stage.LEASED for entry in entries):
            next(entry for entry in entries if entry.stage is Stage.LEASED).leave()
        assert sorted(order) == ["alice"] * 6 + ["bob"] * 2
        assert order.index("bob") <= 2
        assert order[:5].count("bob") == 2

    in_loop(test)


def test_weight_is_a_share_of_the_slots() -> None:
    def test() -> None:
        queue = FairQueue(1, 10)
        order = []
        heavy = replace(BOB, weight=3.0)
        entries = [enter(queue, ALICE, lambda: order.append("alice")) for _ in range(40)]
        entries += [enter(queue, heavy, lambda: order.append("bob")) for _ in range(40)]
        for _ in range(40):
            next(entry for entry in entries if entry.stage is Stage.LEASED).leave()
        assert 27 <= order[:40].count("bob") <= 31

    in_loop(test)


def test_a_principals_own_bound_leaves_the_other_slots_to_others() -> None:
    def test() -> None:
        queue = FairQueue(4, 10)
        bounded = replace(ALICE, jobs=2)
        mine = [enter(queue, bounded, nothing) for _ in range(5)]
        assert sum(entry.stage is Stage.LEASED for entry in mine) == 2
        other = enter(queue, BOB, nothing)
        assert other.stage is Stage.LEASED
        mine[0].leave()
        assert sum(entry.stage is Stage.LEASED for entry in mine) == 2

    in_loop(test)


def test_leaving_twice_gives_one_slot_back() -> None:
    def test() -> None:
        queue = FairQueue(1, 10)
        entry = enter(queue, ALICE, nothing)
        entry.leave()
        entry.leave()
        assert queue.taken == 0

    in_loop(test)


def check_accounts(queue: FairQueue, entries: Any) -> None:
    held = [t for t in entries if t.stage in (Stage.LEASED, Stage.RUNNING)]
    assert queue.taken == len(held) <= 3
    held += [t for t in entries if t.stage is Stage.OVER]
    for principal in {t.grant.principal for t in held}:
        share = queue.share(principal)
        own = [t for t in held if t.grant.principal == principal]
        assert share.holding == len(own) <= 2
        assert share.memory == sum(t.grant.limits.memory for t in own)
        assert share.leased == sum(t.stage is Stage.LEASED for t in own)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["ask", "run", "free", "leave", "lapse"]), st.integers(0, 7)), max_size=60))
def test_slots_are_never_oversold_nor_lost(steps: Any) -> None:
    async def body() -> None:
        queue = FairQueue(3, 60)
        entries = []
        running = []
        for step, number in steps:
            if step == "ask":
                grant = replace(ALICE, principal=f"user{number % 3}@EXAMPLE.COM", jobs=2)
                entries.append(enter(queue, grant, nothing))
            elif entries:
                entry = entries[number % len(entries)]
                if step == "run" and not entry.wanted and entry.stage is not Stage.DONE:
                    running.append(asyncio.create_task(entry.occupy()))
                    await asyncio.sleep(0)
                elif step == "lapse":
                    queue.expire(entry)
                elif step == "leave":
                    entry.leave()
                elif step == "free":
                    entry.free()
            check_accounts(queue, entries)
        for entry in entries:
            entry.leave()
        assert (queue.taken, queue.waiting) == (0, 0)
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(body())


def leased(entries: Any) -> Any:
    return sum(entry.stage is Stage.LEASED for entry in entries)


def test_memory_is_reserved_by_each_jobs_limit_until_it_has_left() -> None:
    async def body() -> None:
        queue = FairQueue(9, 10)
        limits = replace(ALICE.limits, memory=2 << 30)
        alice = replace(ALICE, limits=limits, quota=Quota(memory=5 << 30))
        entries = [enter(queue, alice, nothing) for _ in range(4)]
        assert leased(entries) == 2
        await entries[0].occupy()
        entries[0].free()
        assert (queue.taken, leased(entries)) == (1, 1)
        entries[0].leave()
        assert leased(entries) == 2
        assert enter(queue, BOB, nothing).stage is Stage.LEASED

    asyncio.run(body())


def test_a_slot_that_is_free_goes_to_others_while_a_result_is_delivered() -> None:
    async def body() -> None:
        queue = FairQueue(1, 10)
        alice = replace(ALICE, jobs=1)
        first, second = (enter(queue, alice, nothing) for _ in range(2))
        bob = enter(queue, BOB, nothing)
        await first.occupy()
        first.free()
        assert (second.stage, bob.stage) == (Stage.WAITING, Stage.LEASED)
        bob.leave()
        assert stage_of(second) is Stage.WAITING
        first.leave()
        assert second.stage is Stage.LEASED
        first.free()
        assert queue.taken == 1

    asyncio.run(body())


class Clock:
    now = 0.0

    def __call__(self) -> Any:
        return self.now


PACED = replace(ALICE, quota=Quota(rate=10.0, burst=3))


def test_a_rate_bounds_the_jobs_that_begin_not_those_that_ask() -> None:
    async def body() -> None:
        clock = Clock()
        queue, starts = FairQueue(9, 60), TokenBucket(clock)
        entries = [enter(queue, PACED, nothing, starts) for _ in range(9)]
        assert leased(entries) == 3
        entries[0].leave()  # it went elsewhere: that was no job
        assert leased(entries) == 3
        began = [entry for entry in entries if entry.stage is Stage.LEASED]
        for entry in began:
            await entry.occupy()
            entry.leave()
        assert leased(entries) == 0
        assert enter(queue, BOB, nothing, TokenBucket(clock)).stage is Stage.LEASED
        clock.now = 0.2
        queue.serve()
        assert leased(entries) == 2

    asyncio.run(body())


def test_who_waits_for_the_rate_is_served_in_time() -> None:
    async def body() -> None:
        queue, starts = FairQueue(9, 60), TokenBucket(time.monotonic)
        alice = replace(ALICE, quota=Quota(rate=50.0, burst=1))
        began = time.monotonic()
        for _ in range(6):
            there = asyncio.Event()
            entry = enter(queue, alice, there.set, starts)
            await asyncio.wait_for(there.wait(), CEILING_S)
            await entry.occupy()
            entry.leave()
        assert time.monotonic() - began >= 5 / 50

    asyncio.run(body())


def test_who_waits_for_hours_holds_nobody_up_who_waits_for_moments() -> None:
    async def body() -> None:
        queue = FairQueue(9, 60)
        slow = replace(BOB, quota=Quota(rate=1 / 3600, burst=1))
        soon = replace(ALICE, quota=Quota(rate=50.0, burst=1))
        for grant in (slow, soon):  # both have used up what they may do at once
            entry = enter(queue, grant, nothing, starts := TokenBucket(time.monotonic))
            await entry.occupy()
            entry.leave()
            there = asyncio.Event()
            enter(queue, grant, there.set, starts)
        await asyncio.wait_for(there.wait(), CEILING_S)
        assert queue.waits(slow.principal) == 1

    asyncio.run(body())


def test_how_many_wait_is_known_by_principal() -> None:
    def test() -> None:
        queue = FairQueue(1, 10)
        for _ in range(4):
            enter(queue, ALICE, nothing)
        enter(queue, BOB, nothing)
        assert [queue.waits(grant.principal) for grant in (ALICE, BOB)] == [3, 1]
        assert queue.waits("carol@OTHER.ORG") == 0

    in_loop(test)
