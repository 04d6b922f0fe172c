"""Too many messages of those that the protocol has, and talk that goes to and fro: the channel or the job ends, the
server does not. What one side says in one go is corpus/protocol.yaml.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from securecc.model import limits
from securecc.model.manifest import Entry
from securecc.model.messages import (
    Ask,
    Cancel,
    Forget,
    Goodbye,
    Hello,
    Invite,
    Need,
    Ping,
    Pong,
    Refuse,
    Supply,
    Wait,
    Welcome,
)
from tests.attacks.health import Health
from tests.attacks.raw import PREDEF, SMALL, SOURCE, End, Raw, blob, ended, ending, file
from tests.farm.farmside import Farm

T = TypeVar("T")
COMPILE = (b"-c", b"a.c", b"-o", b"a.o")


def listed(size: int = -1) -> list[Entry]:
    fields = {} if size < 0 else {"size": size}
    return [file(SOURCE, SMALL[SOURCE], **fields), file(PREDEF, b"\n")]


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def test_pings_and_goodbyes_are_legal_at_any_time(farm: Farm) -> None:
    async def go() -> str:
        raw = Raw(farm)
        await raw.connect()
        raw.tell(Ping(1), Pong(7), Hello((1,), "x"))
        assert isinstance(await raw.hear(), Welcome)
        raw.tell(Goodbye("x", "\x1b[2J\n", "x"))
        raw.channel.close()
        return await ended(raw)

    run(go())


def test_ten_thousand_asks(farm: Farm) -> None:
    async def go() -> str:
        async with Raw(farm) as raw:
            for number in range(1, 10_001):
                raw.tell(Ask(number, b"", raw.toolchain))
            return await ended(raw)

    assert "more than 1024 jobs" in run(go())


def test_ten_thousand_asks_for_what_is_not_there(farm: Farm, health: Health) -> None:
    async def go() -> None:
        refused = 0
        async with Raw(farm) as raw:
            for number in range(1, 10_001):
                raw.tell(Ask(number, b"", b"no such toolchain"))
            while refused < 10_000:
                assert isinstance(await raw.hear(), Refuse)
                refused += 1

    run(go())
    assert len(health.records(kind="job-refused")) <= 1


def test_the_attempt_on_record_is_the_clients_word_and_the_job_is_not(farm: Farm, health: Health) -> None:
    """Who says the same of two jobs, or anything else, makes no two of them one."""

    async def go() -> list[str]:
        async with Raw(farm) as raw:
            return [(await raw.run(attempt=attempt)).how for attempt in (2, 2, -1, 1 << 40)]

    assert run(go()) == ["result"] * 4
    ends = health.records(kind="job-end")
    assert [record["attempt"] for record in ends] == [2, 2, 1, limits.ATTEMPTS]
    assert len({(record["reference"], record["job"]) for record in ends}) == 4


def test_a_storm_of_cancels(farm: Farm) -> None:
    """Jobs are asked for and given up at once, some of them while they run."""

    async def go() -> End:
        async with Raw(farm) as raw:
            for number in range(1, 5001):
                raw.tell(Ask(number, b"", raw.toolchain), Cancel(number), Cancel(number), Forget(number))
            for number in range(5001, 5101):
                raw.tell(Ask(number, b"", raw.toolchain), Forget(number))
            raw.numbers = iter(range(6000, 1 << 31))
            for pause in range(20):
                job = await raw.invited()
                raw.tell(raw.submission(job, listed(), COMPILE))
                if isinstance(need := await raw.hear_of(job), Need):
                    raw.supply(need, listed(), {blob(known): known for known in (SMALL[SOURCE], b"\n")})
                await asyncio.sleep(pause * 0.002)
                raw.tell(Cancel(job))
            return await raw.run()

    assert run(go()).how == "result"


def test_jobs_that_are_begun_and_left_give_their_slots_back(farm: Farm) -> None:
    """More invitations than slots are taken, none is used; others are served all the same (the health check)."""

    async def go() -> None:
        async with Raw(farm) as raw:
            jobs = [raw.ask() for _ in range(100)]
            invited = 0
            while invited < len(jobs):
                invited += isinstance(await raw.hear(), Invite)

    run(go())


def test_more_bytes_than_were_announced(farm: Farm, health: Health) -> None:
    async def go() -> End:
        async with Raw(farm) as raw:
            job = await raw.invited()
            raw.tell(raw.submission(job, [file(SOURCE, b"int longer;\n", size=4), file(PREDEF, b"\n")], COMPILE))
            assert isinstance(await raw.hear_of(job), Need)
            raw.tell(Supply(job))
            raw.bulk(job, b"int longer;\n")
            return ending(await raw.hear_of(job))

    end = run(go())
    assert end.how in {"refused", "goodbye"}
    assert health.records(kind="job-start") == []


def test_bytes_that_are_not_those_of_the_digest(farm: Farm, health: Health) -> None:
    async def go() -> End:
        async with Raw(farm) as raw:
            other = SMALL[SOURCE].replace(b"3", b"4")
            return await raw.run(entries=[file(SOURCE, other.replace(b"4", b"5")), file(PREDEF, b"\n")])

    with pytest.raises(KeyError):  # the raw client itself has no such content
        run(go())

    async def send() -> End:
        async with Raw(farm) as raw:
            job = await raw.invited()
            told = [file(SOURCE, b"int told;\n"), file(PREDEF, b"\n")]
            raw.tell(raw.submission(job, told, COMPILE))
            need = await raw.hear_of(job)
            assert isinstance(need, Need)
            raw.supply(need, told, {blob(b"int told;\n"): b"int sent;\n", blob(b"\n"): b"\n"})
            return ending(await raw.hear_of(job))

    end = run(send())
    assert (end.how, end.code) == ("refused", "limit")
    assert health.records(kind="job-start") == []
    assert len(health.records(kind="job-refused")) == 1


def waiting(raw: Raw) -> Iterator[object]:
    """What was said to `raw` and not heard yet."""
    while not raw.messages.empty():
        yield raw.messages.get_nowait()


def test_blobs_that_never_come_hold_no_slot(farm: Farm) -> None:
    """A hundred jobs whose files are announced and not sent; the compile of somebody else is not held up."""

    async def go() -> None:
        async with Raw(farm.as_principal("bob")) as bob, Raw(farm) as raw:
            for number in range(20):
                job = raw.ask()
                content = b"int f%d;\n" % number
                heard = await raw.hear_of(job, Invite)
                if isinstance(heard, Invite):
                    raw.tell(raw.submission(job, [file(SOURCE, content), file(PREDEF, b"\n")], COMPILE))
                if number == 4:
                    break
            assert (await bob.run()).how == "result"
            assert not any(isinstance(heard, Refuse) for heard in waiting(raw)), "only then was the slot free"

    run(go())


def test_a_client_that_does_not_read(farm: Farm) -> None:
    """Pings until the answers pile up: it is cut off, or it is served; nobody else notices."""

    async def go() -> None:
        async with Raw(farm) as raw:
            transport = raw.channel.connection.transport
            assert transport is not None
            transport.pause_reading()
            for number in range(20_000):
                raw.tell(Ping(number))
            await asyncio.sleep(0.2)
            transport.resume_reading()

    run(go())


def test_a_channel_takes_no_jobs_after_its_ticket(farm: Farm) -> None:
    """Even if the client goes on asking."""

    async def go() -> End:
        async with Raw(farm.as_principal("alice", "-l", "20s")) as raw:
            assert (await raw.run()).how == "result"
            while True:
                await asyncio.sleep(0.3)
                job = raw.ask()
                heard = await raw.hear_of(job, Invite, Wait)
                if not isinstance(heard, Invite | Wait):
                    return ending(heard)
                raw.tell(Forget(job))

    end = run(go())
    assert "ticket" in end.text
    assert end.code in {"ticket", "draining"}
