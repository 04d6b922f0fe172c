"""Slots and fairness."""

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.server.admission import Admission, Stage
from securecc.words.grant import Grant

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
        admission = Admission(1, 10)
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
        admission = Admission(1, 0.01)
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
        admission = Admission(1, 10)
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
        admission = Admission(1, 10)
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
        admission = Admission(4, 10)
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
        admission = Admission(1, 10)
        ticket = admission.ask(ALICE, nothing)
        ticket.leave()
        ticket.leave()
        assert admission.taken == 0

    in_loop(test)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ask", "run", "leave", "lapse"]), st.integers(0, 7)), max_size=60))
def test_slots_are_never_oversold_nor_lost(steps):
    async def body():
        admission = Admission(3, 60)
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
            held = [t for t in tickets if t.stage in (Stage.LEASED, Stage.RUNNING)]
            assert admission.taken == len(held) <= 3
            for principal in {t.grant.principal for t in held}:
                assert sum(t.grant.principal == principal for t in held) <= 2
        for ticket in tickets:
            ticket.leave()
        assert (admission.taken, admission.waiting) == (0, 0)
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(body())
