"""Somebody who may compile and wants all of it: more than a quota is not to be had, and the others go on."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from securecc.model.errors import SecureccError
from securecc.model.manifest import Entry
from securecc.model.messages import PROTOCOL_VERSIONS, Ask, Forget, Goodbye, Hello, Invite, Refuse, Result, Wait
from tests.attacks.health import Health
from tests.attacks.raw import CWD, PREDEF, SMALL, SOURCE, End, Raw, blob, ended, file
from tests.farm.farmside import Farm, until
from tests.waiting import CEILING_S, until_async

POLICY = """\
version: 1
network: {{allow: [127.0.0.0/8]}}
rules:
  - name: greedy
    who: [alice@EXAMPLE.COM, mallory@EXAMPLE.COM]
    limits: {{memory: 512MiB, jobs: 50}}
    quota: {quota}
  - {{name: modest, who: [bob@EXAMPLE.COM]}}
tests:
  - {{principal: alice@EXAMPLE.COM, from: 127.0.0.1, expect: greedy}}
"""
BUSY = b'_Static_assert(sizeof(int[2]), "");\n'


@pytest.fixture
def granted(farm: Farm, health: Health) -> Iterator[Callable[[str], None]]:
    """Puts a policy in force under which alice has this quota; the one before afterwards."""
    before = (farm.server.folder / "policy.yaml").read_text()
    yield lambda quota: farm.server.put_policy(POLICY.format(quota=quota))
    farm.server.put_policy(before)
    until(health.descriptors_are_back, what="the end of the look for compilers that a reload begins")


def listed(content: bytes = SMALL[SOURCE]) -> list[Entry]:
    return [file(SOURCE, content), file(PREDEF, b"\n")]


COMPILE = (b"-c", b"a.c", b"-o", b"a.o")


async def is_refused(farm: Farm) -> bool:
    """Whether one more channel is too many; the server may not have seen the end of the last one yet."""
    raw = Raw(farm)
    await raw.connect()
    raw.tell(Hello(PROTOCOL_VERSIONS, "raw"))
    heard = await raw.hear()
    raw.channel.close()
    await raw.lost
    return isinstance(heard, Goodbye)


def test_one_connection_too_many_is_closed_and_said(farm: Farm, health: Health, granted: Callable[[str], None]) -> None:
    granted("{connections: 4}")  # alice's agent has one

    async def go() -> str:
        some = [Raw(farm) for _ in range(4)]
        for raw in some[:3]:
            await raw.__aenter__()
        await some[3].connect()
        said = await ended(some[3])
        assert (await some[0].run()).how == "result"
        some[0].channel.close()
        await some[0].lost
        async with asyncio.timeout(CEILING_S):
            while await is_refused(farm):
                pass
        async with Raw(farm.as_principal("bob")) as bob:
            assert (await bob.run()).how == "result"
        for raw in some[1:3]:
            raw.channel.close()
            await raw.lost
        return said

    assert asyncio.run(go()) == "limit: 4 connections of alice@EXAMPLE.COM are open already: rule greedy grants no more"
    (denied,) = health.records(kind="connection", decision="denied")
    assert (denied["principal"], denied["rule"]) == ("alice@EXAMPLE.COM", "greedy")


def test_no_more_jobs_begin_than_the_rate_allows(farm: Farm, granted: Callable[[str], None]) -> None:
    granted("{rate: 4/s, burst: 2}")

    async def go() -> float:
        async with Raw(farm) as raw:
            began = time.monotonic()
            for _ in range(8):
                assert (await raw.run()).how == "result"
            return time.monotonic() - began

    assert asyncio.run(go()) >= (8 - 2) / 4 - 0.1


def test_new_connections_bring_no_new_rate(farm: Farm, granted: Callable[[str], None]) -> None:
    granted("{rate: 4/s, burst: 2}")

    async def go() -> float:
        began = time.monotonic()
        for _ in range(8):
            async with Raw(farm) as raw:
                assert (await raw.run()).how == "result"
        return time.monotonic() - began

    assert asyncio.run(go()) >= (8 - 2) / 4 - 0.1


def test_asking_and_not_coming_uses_the_rate_of_nobody(farm: Farm, granted: Callable[[str], None]) -> None:
    """Invitations that are given back are no jobs: who asks two servers for each compile is not charged twice."""
    granted("{rate: 2/h, burst: 2}")

    async def go() -> object:
        async with Raw(farm.as_principal("mallory")) as raw:
            for _ in range(20):
                raw.tell(Forget(await raw.invited()))
            for _ in range(2):
                assert (await raw.run()).how == "result"
            job = raw.ask()
            return await raw.hear_of(job, Invite, Wait)

    assert isinstance(asyncio.run(go()), Wait)


def test_who_has_used_an_hours_rate_up_holds_up_nobody_else(farm: Farm, granted: Callable[[str], None]) -> None:
    slow = "bob@EXAMPLE.COM], quota: {rate: 1/h, burst: 1}"
    farm.server.put_policy(POLICY.format(quota="{rate: 4/s, burst: 1}").replace("bob@EXAMPLE.COM]", slow))

    async def go() -> None:
        async with Raw(farm.as_principal("bob")) as bob, Raw(farm) as alice:
            assert (await bob.run()).how == "result"
            assert isinstance(await bob.hear_of(bob.ask(), Invite, Wait), Wait)
            for _ in range(3):
                assert (await alice.run()).how == "result"

    asyncio.run(go())


def test_memory_is_not_promised_twice(farm: Farm, granted: Callable[[str], None]) -> None:
    """Two slots are free, and one job's limit is all that the quota leaves room for."""
    granted("{memory: 600MiB}")

    async def go() -> object:
        async with Raw(farm) as raw:
            first, second = raw.ask(), raw.ask()  # in one go: the first slot is leased for a moment only
            assert isinstance(await raw.hear_of(second, Invite, Wait), Wait)
            async with Raw(farm.as_principal("bob")) as bob:
                assert (await bob.run()).how == "result"
            raw.tell(Forget(first))
            return await raw.hear_of(second, Invite)

    assert isinstance(asyncio.run(go()), Invite)


@pytest.mark.parametrize(("weight", "least", "most"), [(3, 135, 165), (1, 85, 115)])
def test_who_asks_first_and_for_most_gets_no_more_than_the_share(
    farm: Farm, granted: Callable[[str], None], weight: int, least: int, most: int
) -> None:
    """alice floods before bob asks for anything; of the next 200 slots he gets his weight's share."""
    text = POLICY.format(quota="{}").replace("bob@EXAMPLE.COM]", f"bob@EXAMPLE.COM], weight: {weight}")
    farm.server.put_policy(text)

    async def go() -> list[str]:
        async with Raw(farm) as greedy, Raw(farm.as_principal("bob")) as modest:
            for _ in range(500):
                greedy.ask()
            await greedy.hear()  # the server has begun with them
            for _ in range(500):
                modest.ask()
            await modest.hear()  # the server knows of both; what it said until now does not count
            greedy.messages, modest.messages = asyncio.Queue(), asyncio.Queue()
            order: asyncio.Queue[str] = asyncio.Queue()
            both = [asyncio.ensure_future(_passes_on(raw, name, order)) for raw, name in ((greedy, "a"), (modest, "b"))]
            async with asyncio.timeout(CEILING_S):
                first = [await order.get() for _ in range(200)]
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            return first

    assert least <= asyncio.run(go()).count("b") <= most


async def _passes_on(raw: Raw, name: str, order: asyncio.Queue[str]) -> None:
    """Gives each slot back and remembers who had it."""
    while True:
        heard = await raw.hear()
        if isinstance(heard, Invite):
            order.put_nowait(name)
            raw.tell(Forget(heard.job))


def test_the_store_takes_no_more_than_its_quota(farm: Farm, granted: Callable[[str], None]) -> None:
    granted("{store: 16MiB}")

    async def go() -> End:
        async with Raw(farm) as raw:
            contents = [bytes((number,)) * (3 << 20) for number in range(8)]
            paths = [b"/home/mallory/h%d.h" % number for number in range(8)]
            entries = sorted([*listed(), *map(file, paths, contents)], key=lambda entry: entry.path)
            by_digest = {blob(content): content for content in (*contents, *SMALL.values(), b"\n")}
            job = await raw.invited()
            raw.tell(raw.submission(job, entries, COMPILE))
            return await raw.finish(job, entries, by_digest)

    end = asyncio.run(go())
    assert (end.how, end.code) == ("refused", "limit")
    assert "quota of 16777216 bytes" in end.text


def test_who_takes_no_results_gets_no_new_slots_and_others_do(
    farm: Farm, health: Health, granted: Callable[[str], None]
) -> None:
    """Two jobs with 24 MiB of object each are granted; they are made and hardly taken, so no third begins."""
    farm.server.put_policy(POLICY.format(quota="{connections: 9}").replace("jobs: 50", "jobs: 2"))
    contents = {SOURCE: b'__asm__(".incbin \\"big\\"");\n', PREDEF: b"\n", CWD + b"/big": os.urandom(24 << 20)}
    entries = sorted((file(path, content) for path, content in contents.items()), key=lambda entry: entry.path)

    async def go() -> None:
        async with Raw(farm) as raw, Raw(farm) as other, Raw(farm.as_principal("bob")) as bob:
            _keeps_little(raw)
            assert (await raw.run(COMPILE, contents)).how == "result"  # the server lacks no file from now on
            jobs = [await raw.invited() for _ in range(2)]
            slowly = asyncio.ensure_future(_takes_little(raw))  # before there is anything to take
            raw.tell(*(raw.submission(job, entries, COMPILE) for job in jobs))
            await until_async(lambda: len(health.records(kind="job-end")) == 3, what="the end of both jobs")
            assert (await bob.run()).how == "result"
            assert isinstance(await other.hear_of(other.ask(), Invite, Wait), Wait)
            slowly.cancel()
            raw.channel.connection.resume_reading()
            results: set[int] = set()
            while results != set(jobs):
                heard = await raw.hear()
                assert not isinstance(heard, SecureccError | Goodbye | Refuse), heard
                if isinstance(heard, Result):
                    results.add(heard.job)

    asyncio.run(go())


def _keeps_little(raw: Raw) -> None:
    """What the client has not read waits at the server, but for 256 KiB."""
    transport = raw.channel.connection.transport
    assert transport is not None
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)


async def _takes_little(raw: Raw) -> None:
    """Takes some hundred KiB every three seconds, so that 24 MiB last for minutes: who takes nothing for 15 s is cut
    off, and a busy machine may need longer for what is to happen meanwhile.
    """
    link = raw.channel.connection
    while True:
        link.pause_reading()
        await asyncio.sleep(3)
        link.resume_reading()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def test_two_hundred_idle_channels_stay_below_200_mib(farm: Farm, granted: Callable[[str], None]) -> None:
    """Front and runner together; the channels stand, and the last serves as well as the first."""
    granted("{connections: 256}")

    async def go() -> int:
        held = [Raw(farm) for _ in range(200)]
        for raw in held:
            await raw.__aenter__()
        used = sum(farm.server.memory.values())
        assert not [raw for raw in held if raw.lost.done()]
        assert [(await raw.run()).how for raw in (held[0], held[-1])] == ["result", "result"]
        for raw in held:
            raw.channel.close()
        for raw in held:
            await raw.lost
        return used

    assert asyncio.run(go()) < 200 * 1024


def test_sixty_channels_that_flood_do_not_hold_others_up(farm: Farm, health: Health) -> None:
    """Each says thousands of things at once; bob's compile gets its turn all the same."""

    async def flood(raw: Raw, answered: asyncio.Event) -> None:
        try:
            for number in range(1, 20_000, 500):
                raw.tell(*(Ask(number + step, b"", b"no such toolchain") for step in range(500)))
                await asyncio.sleep(0)
                while not isinstance(await raw.hear(), Refuse):
                    pass
                answered.set()
        except (SecureccError, TimeoutError):
            pass

    async def go() -> None:
        floods = [Raw(farm) for _ in range(60)]
        async with Raw(farm.as_principal("bob")) as bob:
            assert (await bob.run()).how == "result"
            for raw in floods:
                await raw.__aenter__()
            answered = asyncio.Event()
            storms = [asyncio.create_task(flood(raw, answered)) for raw in floods]
            await asyncio.wait_for(answered.wait(), CEILING_S)
            assert (await bob.run()).how == "result"
            for storm in storms:
                storm.cancel()
            await asyncio.gather(*storms, return_exceptions=True)
        for raw in floods:
            raw.channel.close()
            await raw.lost

    asyncio.run(go())
