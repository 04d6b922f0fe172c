"""One channel at the front: who is let in with what, and that a job's end gives everything back."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.audit.records import job_events
from securecc.model import limits
from securecc.model.errors import AuditError, ChannelError, SandboxError
from securecc.model.messages import (
    Ask,
    Cancel,
    Description,
    Forget,
    Goodbye,
    Hello,
    Invite,
    Need,
    Part,
    Ping,
    Refuse,
    Result,
    SharedTree,
    Supply,
    Wait,
    Welcome,
)
from tests.server.frontside import (
    CLANG,
    ENTRIES,
    FIRST_NUMBER,
    GCC,
    GRANT,
    HEADER,
    SOURCE,
    Front,
    ask,
    outcome,
    submit,
    toolchain_of,
)


def with_front(folder: Path, body: Any, *answers: Any, **options: Any) -> None:
    async def run() -> None:
        front = Front(folder / "store", *answers, **options)
        try:
            await body(front)
            front.channel.lose(ChannelError("the test has ended"))
            assert await front.all_given_back()
        finally:
            front.close()

    asyncio.run(run())


def upload(channel: Any, job: int = 1) -> None:
    """Ask, Submit and all blobs of one job."""
    channel.hear(ask(job), submit(job), Supply(job))
    channel.hear_bulk(job, SOURCE)
    channel.hear_bulk(job, HEADER)


def test_a_greeting_offers_what_the_grant_covers(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(Hello((1, 7), "someone"))
        welcome = front.channel.said[0]
        assert isinstance(welcome, Welcome)
        assert (welcome.version, welcome.principal, welcome.reference) == (1, GRANT.principal, "ref")
        assert welcome.toolchains == (toolchain_of(GCC),)
        assert welcome.slots == 2
        assert welcome.shared_trees == (SharedTree(b"/usr/include", b"i" * 32),)

    shared_trees = {SharedTree(b"/usr/include", b"i" * 32)}
    with_front(tmp_path, body, grant=replace(GRANT, toolchains=("gcc-*",)), greeted=False, shared_trees=shared_trees)


def test_versions_that_nobody_speaks_end_the_channel(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(Hello((99,), "someone"))
        assert front.channel.closed
        assert front.gone == [front.connection]

    with_front(tmp_path, body, greeted=False)


def test_a_job_from_ask_to_result(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        channel = front.channel
        channel.hear(ask())
        assert channel.said == [Invite(1, 60000)]
        channel.hear(submit())
        assert channel.said[1] == Need(1, manifest=False, blobs=(0, 1))
        channel.hear(Supply(1))
        channel.hear_bulk(1, SOURCE)
        channel.hear_bulk(1, HEADER)
        result = await channel.until(Result)
        assert (result.stdout, result.stderr, result.outputs[0].path) == (1, 2, b"/home/alice/p/a.o")
        await asyncio.sleep(0)
        assert channel.bulk[1] == b"o" + b"ee" + b"object"
        assert front.queue.taken == 0
        job, grant = front.executor.jobs[0]
        assert (job.origin.principal, job.origin.peer, grant) == (GRANT.principal, "192.0.2.1:4000", GRANT)

    with_front(tmp_path, body, outcome(b"o", b"ee", made=((b"/home/alice/p/a.o", b"object"),)))


def test_the_slots_are_taken_in_turn_and_those_who_wait_are_told(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(ask(1), ask(2), ask(3))
        assert front.channel.said == [Invite(1, 60000), Wait(2, 0), Wait(3, 1)]
        front.channel.hear(Forget(1))
        assert front.channel.said[-1] == Invite(2, 60000)
        front.channel.hear(Cancel(2), Ping(1))
        assert front.channel.said[-1] == Invite(3, 60000)

    with_front(tmp_path, body, slots=1)


def test_what_is_not_here_or_not_granted_is_refused_with_the_reason(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(ask(1, b"?" * 32), ask(2, CLANG.digest))
        assert [(said.code, said.reason) for said in front.channel.said] == [
            ("toolchain", "no such toolchain here"),
            ("denied", "rule committers does not grant clang-14"),
        ]
        assert all(isinstance(record, job_events.JobRefused) for record in front.records)
        assert [(record.principal, record.code) for record in front.records] == [
            (GRANT.principal, "toolchain"),
            (GRANT.principal, "denied"),
        ]

    with_front(tmp_path, body, grant=replace(GRANT, toolchains=("gcc-*",)))


def test_more_source_than_granted_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(ask(1, size=5), ask(2, size=6))
        invited, refused = front.channel.said
        assert isinstance(invited, Invite)
        assert (refused.code, refused.reason) == ("limit", "6 bytes of source; rule committers grants 5")
        assert [(record.code, record.reason) for record in front.records] == [("limit", refused.reason)]

    with_front(tmp_path, body, grant=replace(GRANT, limits=replace(GRANT.limits, source=5)))


def test_a_toolchain_that_lacks_is_compared_with_those_that_are_granted_and_is_on_record_once(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        wanted = Description("clang-14", "clang", "14.0.6", "x86_64-linux-gnu", (Part(b"/usr/bin/clang", b"1"),))
        front.channel.hear(*(Ask(job, b"key", b"?" * 32, description=wanted) for job in (1, 2)))
        reasons = [said.reason for said in front.channel.said]
        assert "nearest is gcc-12 12.2.0" in reasons[0]
        assert "CLANG" not in reasons[0]
        assert reasons[0] == reasons[1]
        [record] = front.records
        assert (record.code, record.toolchain, record.reason) == ("toolchain", "clang-14", reasons[0])
        front.channel.hear(*(Ask(job, b"key", bytes([job]) * 32, description=wanted) for job in range(3, 60)))
        assert len(front.records) == limits.TOOLCHAINS_LACKING

    offers = (msgspec.structs.replace(GCC, description=Description("gcc-12", "gcc", "12.2.0")), CLANG)
    with_front(tmp_path, body, grant=replace(GRANT, toolchains=("gcc-*",)), offers=offers)


def test_too_many_jobs_are_told_to_wait_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(ask(1))
        front.channel.session.received(ask(2))
        monkeypatch.setattr(limits, "JOBS_PER_CHANNEL", 1)
        front.connection.on_message(ask(2))
        assert front.channel.said[-1].code == "busy"

    with_front(tmp_path, body)


def test_a_draining_channel_ends_with_its_last_job(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        channel = front.channel
        channel.hear(ask(1))
        front.connection.drain("draining", "the server stops")
        channel.hear(ask(2))
        assert channel.said[-2:] == [
            Goodbye("draining", "the server stops", "ref"),
            Refuse(2, "draining", "the server stops"),
        ]
        assert not channel.closed
        channel.hear(Forget(1))
        assert channel.closed

    with_front(tmp_path, body)


def test_a_channel_that_is_denied_loses_its_jobs_at_once(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        upload(front.channel)
        await asyncio.sleep(0)
        assert front.executor.running == 1
        front.connection.end("denied", "the policy has changed")
        assert front.channel.said[-1] == Goodbye("denied", "the policy has changed", "ref")
        await front.all_given_back()
        assert front.executor.cancelled == 1

    with_front(tmp_path, body, None)


def test_the_next_job_runs_under_the_new_grant(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.connection.grant = replace(GRANT, rule="newer")
        upload(front.channel)
        await front.channel.until(Result)
        assert front.executor.jobs[0][1].rule == "newer"

    with_front(tmp_path, body)


@pytest.mark.parametrize("job", [0, 2**32, 1])
def test_numbers_that_cannot_be_end_the_channel(tmp_path: Path, job: int) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(ask(1), ask(job))
        assert front.channel.closed

    with_front(tmp_path, body)


def test_messages_for_jobs_that_nobody_asked_for_end_the_channel(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(Supply(5))
        assert front.channel.closed

    with_front(tmp_path, body)


def test_a_job_that_did_not_ask_runs_in_a_slot_that_is_free(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(submit(5))
        await front.channel.until(Need)
        assert not [said for said in front.channel.said if isinstance(said, Invite | Wait)]
        assert front.queue.taken == 1

    with_front(tmp_path, body)


def test_nothing_of_a_job_that_did_not_ask_waits_for_a_slot(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(ask(1), ask(2))
        assert front.queue.taken == front.queue.slots
        front.channel.hear(submit(3))
        assert front.channel.said[-1] == Refuse(3, "busy", "no slot is free: ask for one")
        assert front.queue.waiting == 0
        front.channel.hear(submit(4, toolchain=b"x" * 32))
        assert (front.channel.said[-1].job, front.channel.said[-1].code) == (4, "toolchain")
        front.channel.hear(Forget(1), submit(3))  # its number has been used
        assert front.queue.taken == 1
        assert front.channel.said[-1].job == 4

    with_front(tmp_path, body)


def test_a_refusal_is_on_record_with_the_arguments_and_survives_a_full_log(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(ask(1), submit(1, arguments=(b"/usr/bin/gcc", b"-fplugin=x.so", b"-c", b"a.c")))
        refusal = front.channel.said[-1]
        assert (refusal.job, refusal.code) == (1, "option")
        assert b"-fplugin=x.so" in repr(front.records).encode()
        front.refuses_records = AuditError("full")
        front.channel.hear(ask(2), submit(2, cwd=b"/etc"))
        assert front.channel.said[-1].code == "tree"
        assert front.queue.taken == 0

    with_front(tmp_path, body)


def test_a_store_without_room_refuses_that_job_alone(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        upload(front.channel)
        assert front.channel.said[-1].code == "limit"
        assert not front.channel.closed
        front.channel.hear(ask(2))
        assert isinstance(front.channel.said[-1], Invite)

    with_front(tmp_path, body, limit=limits.STORE_CHARGE, quota=limits.STORE_CHARGE)


def test_bytes_for_a_job_that_has_gone_are_dropped(tmp_path: Path) -> None:
    async def body(front: Front) -> None:
        front.channel.hear(ask(1), submit(1), Cancel(1))
        front.connection.on_bulk(1, b"late")
        front.channel.hear(ask(2))
        assert not front.channel.closed

    with_front(tmp_path, body)


def lapse(front: Front) -> None:
    for number in range(FIRST_NUMBER, next(front.service.numbers)):
        with contextlib.suppress(KeyError):
            front.queue.expire(front.queue.entry(number))


STEPS: dict[str, Any] = {
    "ask": lambda front, _: front.channel.hear(ask(front.channel.session.highest + 1)),
    "submit": lambda front, job: front.channel.hear(submit(job)),
    "short": lambda front, job: front.channel.hear(submit(job, manifest=b"")),
    "odd": lambda front, job: front.channel.hear(submit(job, entries=(*ENTRIES, *ENTRIES))),
    "supply": lambda front, job: front.channel.hear(Supply(job)),
    "manifest": lambda front, job: front.channel.hear(Supply(job, submit().manifest)),
    "source": lambda front, job: front.channel.hear_bulk(job, SOURCE),
    "header": lambda front, job: front.channel.hear_bulk(job, HEADER),
    "whole": lambda front, _: upload(front.channel, front.channel.session.highest + 1),
    "half": lambda front, job: front.channel.hear_bulk(job, SOURCE[:3]),
    "junk": lambda front, job: front.channel.hear_bulk(job, b"?" * 99),
    "forget": lambda front, job: front.channel.hear(Forget(job)),
    "cancel": lambda front, job: front.channel.hear(Cancel(job)),
    "hello": lambda front, _: front.channel.hear(Hello((1,), "again")),
    "lapse": lambda front, _: lapse(front),
    "drain": lambda front, _: front.connection.drain("draining", "drained"),
    "loop": None,
}
OFTEN = ("ask", "ask", "submit", "submit", "whole", "whole", "loop")
steps = st.lists(st.tuples(st.sampled_from((*OFTEN, *STEPS)), st.integers(1, 4)), max_size=40)
answers = st.lists(st.sampled_from(["done", "wait", "broken", "defect"]), max_size=6)


def ending(word: str) -> Any:
    made: dict[str, Callable[[], Any]] = {
        "done": lambda: outcome(b"o", b"e", made=((b"/home/alice/p/a.o", b"object"),)),
        "wait": lambda: None,
        "broken": lambda: SandboxError("no"),
        "defect": lambda: KeyError("a defect"),
    }
    return made[word]()


@settings(max_examples=120)
@given(steps, answers)
def test_whatever_a_client_says_nothing_is_held_once_it_has_gone(
    tmp_path_factory: pytest.TempPathFactory, said: Any, ends: Any
) -> None:
    async def run() -> None:
        front = Front(tmp_path_factory.mktemp("store"), *map(ending, ends), slots=2)
        for step, job in said:
            if step == "loop":
                for _ in range(3):
                    await asyncio.sleep(0)
            else:
                STEPS[step](front, job)
            assert 0 <= front.queue.taken <= 2
        front.channel.lose(ChannelError("gone"))
        try:
            assert await front.all_given_back()
            assert front.gone == [front.connection]
            assert not front.connection.jobs
        finally:
            for left in front.executor.answers:
                if not isinstance(left, Exception) and left is not None:
                    left.close()
            front.close()

    asyncio.run(run())
