"""Slots and fairness."""

import asyncio
import time
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model.grant import Grant, Quota
from securecc.server.jobs.fair_queue import FairQueue, Stage
from securecc.server.jobs.token_bucket import TokenBucket

ALICE = Grant(principal="alice@EXAMPLE.COM", rule="committers", revision="r")
BOB = replace(ALICE, principal="bob@EXAMPLE.COM")


def nothing():
    pass


def in_loop(test):
    async def body():
        return test()

    return asyncio.run(body())


def test_a_free_slot_is_leased_at_once_and_the_next_ticket_waits():
    def test():
        admission = FairQueue(1, 10)
        leased = []
        first = admission.ask(ALICE, lambda: leased.append(1))
        second = admission.ask(ALICE, lambda: leased.append(2))
        assert (first.stage, second.stage, leased) == (Stage.LEASED, Stage.WAITING, [1])
        first.leave()
        assert (first.stage, second.stage, leased) == (Stage.DONE, Stage.LEASED, [1, 2])
        second.leave()
        assert admission.taken == 0
        assert admission.waiting == 0

    in_loop(test)


def test_a_lapsed_lease_frees_the_slot_and_its_job_queues_again():
    async def body():
        admission = FairQueue(1, 0.01)
        first = admission.ask(ALICE, nothing)
        leased = asyncio.Event()
        second = admission.ask(BOB, leased.set)
        await asyncio.wait_for(leased.wait(), 5)
        assert first.stage is Stage.LAPSED
        second.hold(60)
        late = asyncio.create_task(first.occupy())
        await asyncio.sleep(0)
        assert first.stage is Stage.WAITING
        second.leave()
        await asyncio.wait_for(late, 5)
        assert first.stage is Stage.RUNNING
        first.leave()
        assert admission.taken == 0

    asyncio.run(body())


def test_a_principal_that_asked_for_little_is_not_behind_one_that_asked_for_much():
    def test():
        admission = FairQueue(1, 10)
        order = []
        tickets = [admission.ask(ALICE, lambda: order.append("alice")) for _ in range(6)]
        tickets += [admission.ask(BOB, lambda: order.append("bob")) for _ in range(2)]
        while any(ticket.stage is Stage.LEASED for ticket in tickets):
            next(ticket for ticket in tickets if ticket.stage is Stage.LEASED).leave()
        assert sorted(order) == ["alice"] * 6 + ["bob"] * 2
        assert order.index("bob") <= 2
        assert order[:5].count("bob") == 2

    in_loop(test)


def test_weight_is_a_share_of_the_slots():
    def test():
        admission = FairQueue(1, 10)
        order = []
        heavy = replace(BOB, weight=3.0)
        tickets = [admission.ask(ALICE, lambda: order.append("alice")) for _ in range(40)]
        tickets += [admission.ask(heavy, lambda: order.append("bob")) for _ in range(40)]
        for _ in range(40):
            next(ticket for ticket in tickets if ticket.stage is Stage.LEASED).leave()
        assert 27 <= order[:40].count("bob") <= 31

    in_loop(test)


def test_a_principals_own_bound_leaves_the_other_slots_to_others():
    def test():
        admission = FairQueue(4, 10)
        bounded = replace(ALICE, jobs=2)
        mine = [admission.ask(bounded, nothing) for _ in range(5)]
        assert sum(ticket.stage is Stage.LEASED for ticket in mine) == 2
        other = admission.ask(BOB, nothing)
        assert other.stage is Stage.LEASED
        mine[0].leave()
        assert sum(ticket.stage is Stage.LEASED for ticket in mine) == 2

    in_loop(test)


def test_leaving_twice_gives_one_slot_back():
    def test():
        admission = FairQueue(1, 10)
        ticket = admission.ask(ALICE, nothing)
        ticket.leave()
        ticket.leave()
        assert admission.taken == 0

    in_loop(test)


def check_accounts(admission, tickets):
    held = [t for t in tickets if t.stage in (Stage.LEASED, Stage.RUNNING)]
    assert admission.taken == len(held) <= 3
    held += [t for t in tickets if t.stage is Stage.OVER]
    for principal in {t.grant.principal for t in held}:
        share = admission._shares[principal]
        own = [t for t in held if t.grant.principal == principal]
        assert share.holding == len(own) <= 2
        assert share.memory == sum(t.grant.limits.memory for t in own)
        assert share.leased == sum(t.stage is Stage.LEASED for t in own)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ask", "run", "free", "leave", "lapse"]), st.integers(0, 7)), max_size=60))
def test_slots_are_never_oversold_nor_lost(steps):
    async def body():
        admission = FairQueue(3, 60)
        tickets = []
        running = []
        for step, number in steps:
            if step == "ask":
                grant = replace(ALICE, principal=f"user{number % 3}@EXAMPLE.COM", jobs=2)
                tickets.append(admission.ask(grant, nothing))
            elif tickets:
                ticket = tickets[number % len(tickets)]
                if step == "run" and not ticket.wanted and ticket.stage is not Stage.DONE:
                    running.append(asyncio.create_task(ticket.occupy()))
                    await asyncio.sleep(0)
                elif step == "lapse":
                    admission.expire(ticket)
                elif step == "leave":
                    ticket.leave()
                elif step == "free":
                    ticket.free()
            check_accounts(admission, tickets)
        for ticket in tickets:
            ticket.leave()
        assert (admission.taken, admission.waiting) == (0, 0)
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(body())


def leased(tickets):
    return sum(ticket.stage is Stage.LEASED for ticket in tickets)


def test_memory_is_reserved_by_each_jobs_limit_until_it_has_left():
    async def body():
        admission = FairQueue(9, 10)
        limits = replace(ALICE.limits, memory=2 << 30)
        alice = replace(ALICE, limits=limits, quota=Quota(memory=5 << 30))
        tickets = [admission.ask(alice, nothing) for _ in range(4)]
        assert leased(tickets) == 2
        await tickets[0].occupy()
        tickets[0].free()
        assert (admission.taken, leased(tickets)) == (1, 1)
        tickets[0].leave()
        assert leased(tickets) == 2
        assert admission.ask(BOB, nothing).stage is Stage.LEASED

    asyncio.run(body())


def test_a_slot_that_is_free_goes_to_others_while_a_result_is_delivered():
    async def body():
        admission = FairQueue(1, 10)
        alice = replace(ALICE, jobs=1)
        first, second = (admission.ask(alice, nothing) for _ in range(2))
        bob = admission.ask(BOB, nothing)
        await first.occupy()
        first.free()
        assert (second.stage, bob.stage) == (Stage.WAITING, Stage.LEASED)
        bob.leave()
        assert second.stage is Stage.WAITING
        first.leave()
        assert second.stage is Stage.LEASED
        first.free()
        assert admission.taken == 1

    asyncio.run(body())


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


PACED = replace(ALICE, quota=Quota(rate=10.0, burst=3))


def test_a_rate_bounds_the_jobs_that_begin_not_those_that_ask():
    async def body():
        clock = Clock()
        admission, starts = FairQueue(9, 60), TokenBucket(clock)
        tickets = [admission.ask(PACED, nothing, starts) for _ in range(9)]
        assert leased(tickets) == 3
        tickets[0].leave()  # it went elsewhere: that was no job
        assert leased(tickets) == 3
        began = [ticket for ticket in tickets if ticket.stage is Stage.LEASED]
        for ticket in began:
            await ticket.occupy()
            ticket.leave()
        assert leased(tickets) == 0
        assert admission.ask(BOB, nothing, TokenBucket(clock)).stage is Stage.LEASED
        clock.now = 0.2
        admission._serve()
        assert leased(tickets) == 2

    asyncio.run(body())


def test_who_waits_for_the_rate_is_served_in_time():
    async def body():
        admission, starts = FairQueue(9, 60), TokenBucket(time.monotonic)
        alice = replace(ALICE, quota=Quota(rate=50.0, burst=1))
        began = time.monotonic()
        for _ in range(6):
            there = asyncio.Event()
            ticket = admission.ask(alice, there.set, starts)
            await asyncio.wait_for(there.wait(), 5)
            await ticket.occupy()
            ticket.leave()
        assert time.monotonic() - began >= 5 / 50

    asyncio.run(body())


def test_who_waits_for_hours_holds_nobody_up_who_waits_for_moments():
    async def body():
        admission = FairQueue(9, 60)
        slow = replace(BOB, quota=Quota(rate=1 / 3600, burst=1))
        soon = replace(ALICE, quota=Quota(rate=50.0, burst=1))
        for grant in (slow, soon):  # both have used up what they may do at once
            ticket = admission.ask(grant, nothing, starts := TokenBucket(time.monotonic))
            await ticket.occupy()
            ticket.leave()
            there = asyncio.Event()
            admission.ask(grant, there.set, starts)
        await asyncio.wait_for(there.wait(), 5)
        assert admission.waits(slow.principal) == 1

    asyncio.run(body())


def test_how_many_wait_is_known_by_principal():
    def test():
        admission = FairQueue(1, 10)
        for _ in range(4):
            admission.ask(ALICE, nothing)
        admission.ask(BOB, nothing)
        assert [admission.waits(grant.principal) for grant in (ALICE, BOB)] == [3, 1]
        assert admission.waits("carol@OTHER.ORG") == 0

    in_loop(test)
