"""Frames and messages that the protocol does not have, and too many of those that it has: the channel or the job
ends, the server does not.
"""

import asyncio
import time

import msgspec
import pytest
from raw import PREDEF, SMALL, SOURCE, Raw, ended, ending, file

from securecc.words import limits
from securecc.words.messages import (
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
    Result,
    Submit,
    Supply,
    Terminal,
    Usage,
    Wait,
    Welcome,
)

COMPILE = (b"-c", b"a.c", b"-o", b"a.o")


def listed(size=-1):
    fields = {} if size < 0 else {"size": size}
    return [file(SOURCE, SMALL[SOURCE], **fields), file(PREDEF, b"\n")]


def run(coroutine):
    return asyncio.run(coroutine)


CONTROL, BULK = 2, 3
FRAMES = {
    "a handshake again": {"kind": 1, "payload": b"x"},
    "an unknown kind": {"kind": 77, "payload": b"x"},
    "kind zero": {"kind": 0, "payload": b""},
    "a control frame over its limit": {"kind": CONTROL, "payload": b"", "length": limits.FRAME_CONTROL + 1},
    "4 GiB of control": {"kind": CONTROL, "payload": b"", "length": 0xFFFFFFFF},
    "a chunk over its limit": {"kind": BULK, "payload": b"", "job": 1, "length": limits.FRAME_BULK + 1},
    "reserved bytes": {"kind": CONTROL, "payload": b"", "zero": 1},
    "flags on control": {"kind": CONTROL, "payload": b"", "flags": 1},
    "unknown flags": {"kind": BULK, "payload": b"x", "job": 1, "flags": 2},
    "a chunk of job zero": {"kind": BULK, "payload": b"x"},
    "a control frame of a job": {"kind": CONTROL, "payload": b"", "job": 1},
    "empty control": {"kind": CONTROL, "payload": b""},
    "no msgpack": {"kind": CONTROL, "payload": b"\xc1" * 100},
    "another type": {"kind": CONTROL, "payload": msgspec.msgpack.encode({"t": "ask"})},
    "an unknown message": {"kind": CONTROL, "payload": msgspec.msgpack.encode(["sudo", 1])},
    "too few fields": {"kind": CONTROL, "payload": msgspec.msgpack.encode(["ask", 1])},
    "text for bytes": {"kind": CONTROL, "payload": msgspec.msgpack.encode(["ask", 1, 2, 3])},
    "a million nested lists": {"kind": CONTROL, "payload": b"\x91" * 1_000_000},
    "a list of 4 Gi items": {"kind": CONTROL, "payload": b"\xdd\xff\xff\xff\xff"},
    "a string of 4 GiB": {"kind": CONTROL, "payload": b"\x92\xa3ask\xdb\xff\xff\xff\xff"},
    "a chunk for no job": {"kind": BULK, "payload": b"x", "job": 12345},
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_is_none_ends_the_channel(farm, name):
    async def go():
        async with Raw(farm) as raw:
            raw.frame(**FRAMES[name])
            return await ended(raw)

    said = run(go())
    assert said.startswith("protocol: ") or not said


EMPTY = Submit(1, b"", (), b"/", {}, 0, Terminal(), b"")
ORDERS = {
    "Submit without Ask": [EMPTY],
    "Supply without Ask": [Supply(1)],
    "Cancel without Ask": [Cancel(1)],
    "Forget without Ask": [Forget(1)],
    "a second Hello": [Hello((1,), "again")],
    "job zero": [Ask(0, b"", b"")],
    "a negative job": [Ask(-1, b"", b"")],
    "a job beyond 32 bits": [Ask(1 << 32, b"", b"")],
    "a job beyond 64 bits": [Ask(1 << 63, b"", b"")],
    "the same job twice": [Ask(5, b"", b""), Ask(5, b"", b"")],
    "job numbers that fall": [Ask(5, b"", b""), Ask(4, b"", b"")],
    "Supply before Submit": [Ask(1, b"", None), Supply(1)],
    "a server's Welcome": [Welcome(1, "x", "x", "x", 1, ())],
    "a server's Invite": [Ask(1, b"", None), Invite(1, 250)],
    "a server's Result": [Ask(1, b"", None), Result(1, 0, "", 0, 0, (), (), Usage(), 0.0)],
    "a server's Need": [Ask(1, b"", None), Need(1, True, ())],
}


@pytest.mark.parametrize("name", ORDERS)
def test_messages_in_the_wrong_order_end_the_channel(farm, name):
    async def go():
        async with Raw(farm) as raw:
            for message in ORDERS[name]:
                if isinstance(message, Ask) and message.toolchain is None:
                    raw.tell(Ask(message.job, b"", raw.toolchain))
                    await asyncio.sleep(0.02)  # until the Invite is out, where there is one
                else:
                    raw.tell(message)
            return await ended(raw)

    said = run(go())
    assert said.startswith("protocol: ")


@pytest.mark.parametrize("first", [Ask(1, b"", b""), Hello((), "x"), Hello((99,), "x"), Cancel(1), EMPTY])
def test_what_comes_instead_of_a_hello_ends_the_channel(farm, first):
    async def go():
        raw = Raw(farm)
        await raw.connect()
        raw.tell(first)
        return await ended(raw)

    assert run(go()).startswith("protocol: ")


def test_pings_and_goodbyes_are_legal_at_any_time(farm):
    async def go():
        raw = Raw(farm)
        await raw.connect()
        raw.tell(Ping(1), Pong(7), Hello((1,), "x"))
        assert isinstance(await raw.hear(), Welcome)
        raw.tell(Goodbye("x", "\x1b[2J\n", "x"))
        raw.channel.close()
        return await ended(raw)

    run(go())


def test_ten_thousand_asks(farm):
    async def go():
        async with Raw(farm) as raw:
            for number in range(1, 10_001):
                raw.tell(Ask(number, b"", raw.toolchain))
            return await ended(raw)

    assert "more than 1024 jobs" in run(go())


def test_ten_thousand_asks_for_what_is_not_there(farm, health):
    async def go():
        refused = 0
        async with Raw(farm) as raw:
            for number in range(1, 10_001):
                raw.tell(Ask(number, b"", b"no such toolchain"))
            while refused < 10_000:
                assert isinstance(await raw.hear(), Refuse)
                refused += 1

    run(go())
    assert len(health.records(kind="job-refused")) <= 1


def test_a_storm_of_cancels(farm):
    """Jobs are asked for and given up at once, some of them while they run."""

    async def go():
        async with Raw(farm) as raw:
            for number in range(1, 5001):
                raw.tell(Ask(number, b"", raw.toolchain), Cancel(number), Cancel(number), Forget(number))
            for number in range(5001, 5101):
                raw.tell(Ask(number, b"", raw.toolchain), Forget(number))
            raw.numbers = iter(range(6000, 1 << 31))
            for pause in range(20):
                job = await raw.invited()
                raw.tell(raw.submission(job, listed(), COMPILE))
                if isinstance(await raw.hear_of(job), Need):
                    raw.tell(Supply(job))
                    raw.bulk(job, SMALL[SOURCE])
                    raw.bulk(job, b"\n")
                await asyncio.sleep(pause * 0.002)
                raw.tell(Cancel(job))
            return await raw.run()

    assert run(go()).how == "result"


def test_jobs_that_are_begun_and_left_give_their_slots_back(farm):
    """More invitations than slots are taken, none is used; others are served all the same (the health check)."""

    async def go():
        async with Raw(farm) as raw:
            jobs = [raw.ask() for _ in range(100)]
            invited = 0
            deadline = time.monotonic() + 1.0
            while time.monotonic() < deadline:
                heard = await raw.hear()
                invited += isinstance(heard, Invite)
            assert invited >= 4
            assert len(jobs) == 100

    run(go())


def test_more_bytes_than_were_announced(farm, health):
    async def go():
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


def test_bytes_that_are_not_those_of_the_digest(farm, health):
    async def go():
        async with Raw(farm) as raw:
            other = SMALL[SOURCE].replace(b"3", b"4")
            return await raw.run(entries=[file(SOURCE, other.replace(b"4", b"5")), file(PREDEF, b"\n")])

    with pytest.raises(KeyError):  # the raw client itself has no such content
        run(go())

    async def send():
        async with Raw(farm) as raw:
            job = await raw.invited()
            raw.tell(raw.submission(job, [file(SOURCE, b"int told;\n"), file(PREDEF, b"\n")], COMPILE))
            assert isinstance(await raw.hear_of(job), Need)
            raw.tell(Supply(job))
            raw.bulk(job, b"int sent;\n")
            raw.bulk(job, b"\n")
            return ending(await raw.hear_of(job))

    end = run(send())
    assert (end.how, end.code) == ("refused", "limit")
    assert health.records(kind="job-start") == []
    assert len(health.records(kind="job-refused")) == 1


def test_blobs_that_never_come_hold_no_slot(farm):
    """A hundred jobs whose files are announced and not sent; the compile of somebody else is not held up."""

    async def go():
        async with Raw(farm) as raw:
            for number in range(20):
                job = raw.ask()
                content = b"int f%d;\n" % number
                heard = await raw.hear_of(job, Invite)
                if isinstance(heard, Invite):
                    raw.tell(raw.submission(job, [file(SOURCE, content), file(PREDEF, b"\n")], COMPILE))
                if number == 4:
                    break
            before = time.monotonic()
            async with Raw(farm.as_principal("bob")) as bob:
                assert (await bob.run()).how == "result"
            assert time.monotonic() - before < 6

    run(go())


def test_a_client_that_does_not_read(farm):
    """Pings until the answers pile up: it is cut off, or it is served; nobody else notices."""

    async def go():
        async with Raw(farm) as raw:
            raw.channel._link._transport.pause_reading()
            for number in range(20_000):
                raw.tell(Ping(number))
            await asyncio.sleep(0.2)
            raw.channel._link._transport.resume_reading()

    run(go())


def test_a_channel_takes_no_jobs_after_its_ticket(farm):
    """Even if the client goes on asking."""

    async def go():
        async with Raw(farm.as_principal("alice", "-l", "3s")) as raw:
            assert (await raw.run()).how == "result"
            deadline = time.monotonic() + 6
            while time.monotonic() < deadline:
                await asyncio.sleep(0.3)
                job = raw.ask()
                heard = await raw.hear_of(job, Invite, Wait)
                if not isinstance(heard, Invite | Wait):
                    return ending(heard)
                raw.tell(Forget(job))
        raise AssertionError("jobs were still taken")

    end = run(go())
    assert "ticket" in end.text
    assert end.code in {"ticket", "draining"}
