"""One job at the front, step by step: what lacks, what arrives, what ends it."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.audit.records.job_events import JobEnd, JobRefused, JobStart
from securecc.model import limits
from securecc.model.errors import AuditError, ChannelError, Denied, ProtocolError, Refused, SandboxError, StoreError
from securecc.model.grant import Quota
from securecc.model.manifest import Entry, Kind
from securecc.model.messages import Cancel, Forget, Goodbye, Invite, Need, Refuse, Result, SharedTree, Supply, Wait
from securecc.server.jobs import job_session
from tests.server.frontside import CWD, ENTRIES, GCC, GRANT, HEADER, SOURCE, Front, ask, file_entry, outcome, submit
from tests.waiting import CEILING_S


def with_front(folder: Path, body: Any, *answers: Any, **options: Any) -> None:
    async def run() -> None:
        front = Front(folder / "store", *answers, **options)
        try:
            await body(front, front.channel)
            front.channel.lose(ChannelError("the test has ended"))
            assert await front.all_given_back()
        finally:
            front.close()

    asyncio.run(run())


def supply(channel: Any, job: int = 1, contents: Any = (SOURCE, HEADER)) -> None:
    channel.hear(Supply(job))
    for content in contents:
        channel.hear_bulk(job, content)


def test_what_was_uploaded_once_is_not_asked_for_again(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        supply(channel)
        await channel.until(Result)
        channel.hear(ask(2), submit(2, manifest=b""))
        await channel.until(Result)
        assert not [said for said in channel.said if isinstance(said, Need)]

    with_front(tmp_path, body)


def test_knowing_a_digest_is_no_way_to_somebody_elses_file(tmp_path: Path) -> None:
    """Attack: bob names the digests that alice has uploaded."""

    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        supply(channel)
        await channel.until(Result)
        bobs, _ = front.connect(replace(GRANT, principal="bob@EXAMPLE.COM"))
        bobs.hear(ask(), submit())
        assert bobs.said[-1] == Need(1, manifest=False, blobs=(0, 1))
        bobs.hear(ask(2), submit(2, manifest=b""), Supply(1))
        assert not bobs.closed
        bobs.lose(ChannelError("bob leaves"))

    with_front(tmp_path, body)


def test_another_principals_manifest_is_not_known_here(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        same, _ = front.connect()
        same.hear(ask(), submit(manifest=b""))
        assert same.said[-1] == Need(1, manifest=False, blobs=(0, 1))
        same.lose(ChannelError("leaves"))
        other, _ = front.connect(replace(GRANT, principal="bob@EXAMPLE.COM"))
        other.hear(ask(), submit(manifest=b""))
        assert other.said[-1] == Need(1, manifest=True, blobs=())
        other.hear(Supply(1, submit().manifest))
        assert other.said[-1] == Need(1, manifest=False, blobs=(0, 1))
        other.lose(ChannelError("leaves"))

    with_front(tmp_path, body)


INCLUDE = SharedTree(b"/usr/include", b"i" * 32)


@pytest.mark.parametrize("path", [b"/usr/include", b"/opt/site"])
def test_a_shared_tree_that_is_not_here_is_refused_before_anything_is_asked_for(tmp_path: Path, path: bytes) -> None:
    """Attack: a digest that was heard of, for another path; or any other digest."""

    async def body(front: Front, channel: Any) -> None:
        for digest in (b"x" * 32, INCLUDE.digest) if path != INCLUDE.path else (b"x" * 32, b"s" * 32):
            entries = sorted([*ENTRIES, Entry(path, Kind.SHARED_TREE, digest)], key=lambda entry: entry.path)
            channel.hear(ask(), submit(entries=entries))
            refused = channel.said[-1]
            assert (refused.code, refused.job) == ("layer", 1)
            assert not [said for said in channel.said if isinstance(said, Need)]
            assert front.records[-1].code == "layer"

    with_front(tmp_path, body, shared_trees={INCLUDE})


def test_a_shared_tree_needs_nothing_to_be_sent(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        entries = (*ENTRIES, Entry(b"/usr/include", Kind.SHARED_TREE, INCLUDE.digest))
        channel.hear(ask(), submit(entries=entries))
        assert channel.said[-1] == Need(1, manifest=False, blobs=(0, 1))
        supply(channel)
        await channel.until(Result)
        [(job, _)] = front.executor.jobs
        assert job.manifest.shared_trees == entries[2:]

    with_front(tmp_path, body, shared_trees={INCLUDE})


def test_each_content_is_asked_for_once(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        entries = (*ENTRIES, file_entry(CWD + b"/b.h", HEADER), file_entry(CWD + b"/empty.h", b""))
        channel.hear(ask(), submit(entries=entries))
        assert channel.said[-1] == Need(1, manifest=False, blobs=(0, 1, 3))
        supply(channel)
        await channel.until(Result)

    with_front(tmp_path, body)


def test_blobs_come_in_any_pieces(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit(), Supply(1))
        for byte in SOURCE + HEADER:
            channel.hear_bulk(1, bytes((byte,)))
        await channel.until(Result)

    with_front(tmp_path, body)


def test_one_digest_with_two_sizes_is_refused(tmp_path: Path) -> None:
    """Attack: the smaller size passes the limits, the larger one is uploaded."""

    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit(entries=(file_entry(CWD + b"/a.c", SOURCE), file_entry(b"/x", SOURCE, size=0))))
        assert (channel.said[-1].code, channel.said[-1].reason) == ("tree", "one content of 7 and of 0 bytes")

    with_front(tmp_path, body)


def test_more_source_than_granted_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        assert (channel.said[-1].code, channel.said[-1].reason) == ("limit", "more than 5 bytes of source")

    with_front(tmp_path, body, grant=replace(GRANT, limits=replace(GRANT.limits, source=5)))


def test_another_toolchain_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit(toolchain=b"c" * 32))
        assert channel.said[-1].code == "toolchain"

    with_front(tmp_path, body)


@pytest.mark.parametrize(
    ("contents", "code"),
    [
        ([b"x" * len(SOURCE)], "limit"),  # other bytes than the digest names
        ([SOURCE + b"?"], "limit"),  # more bytes than announced
        ([SOURCE, HEADER, b"?"], "protocol"),  # bytes that nobody asked for
    ],
)
def test_bytes_that_are_not_what_was_asked_for_end_the_job_alone(tmp_path: Path, contents: Any, code: str) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        supply(channel, contents=contents)
        assert channel.said[-1].code == code
        assert not channel.closed

    with_front(tmp_path, body, None)


@pytest.mark.parametrize("early", [lambda front: front.on_message(Supply(1)), lambda front: front.on_bulk(1, b"?")])
def test_files_before_the_job_itself_are_refused(tmp_path: Path, early: Any) -> None:
    """The session table lets none through; a job does not rely on it."""

    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask())
        early(front.connection)
        assert channel.said[-1].code == "protocol"

    with_front(tmp_path, body)


def test_files_that_never_arrive_end_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SUBMIT_S", 0.01)

    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        refusal = await channel.until(Refuse)
        assert (refusal.code, front.queue.taken) == ("limit", 0)

    with_front(tmp_path, body)


def test_a_slot_is_not_kept_for_files_that_dawdle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_session, "UPLOAD_HOLDS_S", 0.01)

    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        lapsed = asyncio.Event()
        front.queue.slots = 1
        waiting = front.queue.ask(1, GRANT, lapsed.set)
        await asyncio.wait_for(lapsed.wait(), CEILING_S)
        waiting.leave()
        supply(channel)
        await channel.until(Result)

    with_front(tmp_path, body)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Denied("no", rule="r"), "denied"),
        (Refused("limit", "too much"), "limit"),
        (Refused("unheard-of", "what"), "server"),
        (AuditError("disk full at /secret"), "server"),
        (SandboxError("no sandbox below /secret"), "server"),
        (StoreError("a blob is lost"), "server"),
        (KeyError("a defect"), "server"),
    ],
)
def test_a_job_that_cannot_run_is_refused_and_gives_all_back(
    tmp_path: Path, error: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        supply(channel)
        refusal = await channel.until(Refuse)
        assert refusal.code == code
        assert refusal.reason
        assert "/secret" not in refusal.reason
        assert not channel.closed
        (record,) = [each for each in front.records if isinstance(each, JobRefused)]
        assert record.code == code
        if isinstance(error, SandboxError):
            assert record.reason == error.message
            assert channel.reference in refusal.reason

    with_front(tmp_path, body, error)


@pytest.mark.parametrize("stage", range(5))
def test_a_cancelled_job_gives_all_back_at_every_stage(tmp_path: Path, stage: Any) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), *([submit(), Supply(1)][:stage]))
        if stage > 2:
            channel.hear_bulk(1, SOURCE)
            channel.hear_bulk(1, HEADER)
        if stage > 3:
            await asyncio.sleep(0)
        channel.hear(Cancel(1))
        assert await front.all_given_back()
        assert not [said for said in channel.said if isinstance(said, Refuse | Result)]

    with_front(tmp_path, body, None)


def test_a_client_that_stops_reading_its_result_loses_it_with_the_channel(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.room.clear()
        channel.hear(ask(), submit())
        supply(channel)
        await channel.until(Result)
        channel.lose(ChannelError("gone"))

    with_front(tmp_path, body, outcome(b"o" * 10, b"", made=((CWD + b"/a.o", b"object"),)))


def test_the_slot_is_free_while_the_result_is_delivered_but_not_for_who_does_not_take_it(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.room.clear()
        channel.hear(ask(), submit())
        supply(channel)
        await channel.until(Result)
        assert front.queue.taken == 0
        assert front.service.backlog.total == len(b"object")
        channel.hear(ask(2))
        assert isinstance(channel.said[-1], Wait)
        other, _ = front.connect(replace(GRANT, principal="bob@EXAMPLE.COM"))
        other.hear(ask())
        assert isinstance(other.said[-1], Invite)
        other.lose(ChannelError("leaves"))
        channel.room.set()
        await channel.until(Invite)
        assert front.service.backlog.total == 0
        channel.hear(Forget(2))

    with_front(tmp_path, body, slots=1, grant=replace(GRANT, jobs=1))


def test_a_result_for_a_channel_that_is_closing_is_no_refusal(tmp_path: Path) -> None:
    """A channel whose client broke the protocol is lost only once the client has read why."""

    async def body(front: Front, channel: Any) -> None:
        channel.room.clear()
        channel.hear(ask(), submit())
        supply(channel)
        await channel.until(Result)
        channel.closed, channel.error = True, ProtocolError("a second Hello")
        channel.room.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert [type(record) for record in front.records] == [JobStart, JobEnd]
        assert not front.connection.jobs
        front.connection.on_lost(channel.error)

    with_front(tmp_path, body)


def test_an_invitation_that_is_not_used_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SUBMIT_S", 0.05)

    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask())
        assert isinstance(channel.said[-1], Invite)
        refusal = await channel.until(Refuse)
        assert (refusal.code, refusal.reason) == ("busy", "the invitation was not used within 0 s")
        assert not front.connection.jobs

    with_front(tmp_path, body)


def test_a_job_that_waits_for_its_slot_has_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock begins with the invitation, also where that comes later."""
    monkeypatch.setattr(limits, "SUBMIT_S", 0.1)

    async def body(front: Front, channel: Any) -> None:
        front.queue.slots = 0
        channel.hear(ask())
        await asyncio.sleep(0.2)
        assert isinstance(channel.said[-1], Wait)
        front.queue.slots = 1
        front.queue.serve()
        await channel.until(Invite)
        refusal = await channel.until(Refuse)
        assert refusal.code == "busy"

    with_front(tmp_path, body)


def test_a_principals_own_quota_bounds_its_blobs(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        channel.hear(Supply(1))
        channel.hear_bulk(1, SOURCE)
        refusal = await channel.until(Refuse)
        assert refusal.code == "limit"
        assert "quota of 16384 bytes" in refusal.reason

    with_front(tmp_path, body, grant=replace(GRANT, quota=Quota(store=16384)))


def test_the_job_is_what_the_server_read_not_what_the_client_said(tmp_path: Path) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit(umask=0o7777022))
        supply(channel)
        await channel.until(Result)
        [(job, _)] = front.executor.jobs
        assert job.umask == 0o022
        assert job.environment == {b"LC_ALL": b"C", b"PATH": b"/usr/bin:/bin"}
        assert (job.plan.source, job.toolchain.name, job.source) == (b"a.c", GCC.name, len(SOURCE + HEADER))

    with_front(tmp_path, body)


@pytest.mark.parametrize(("said", "attempt"), [(1, 1), (2, 2), (9, 9), (10, 9), (1 << 60, 9), (0, 1), (-7, 1)])
def test_the_attempt_is_the_clients_word_within_bounds(tmp_path: Path, said: Any, attempt: Any) -> None:
    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit(attempt=said))
        supply(channel)
        await channel.until(Result)
        [(job, _)] = front.executor.jobs
        assert job.attempt == attempt

    with_front(tmp_path, body)


def test_a_runner_that_announces_the_impossible_costs_the_job_alone(tmp_path: Path) -> None:
    impossible = outcome(made=((CWD + b"/a.o", b"object"),))
    impossible = replace(impossible, made=(replace_size(impossible.made[0], limits.RESULT + 1),))

    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        supply(channel)
        refusal = await channel.until(Refuse)
        assert (refusal.code, channel.closed) == ("server", False)

    with_front(tmp_path, body, impossible)


def replace_size(made: Any, size: int) -> Any:
    return type(made)(made.path, size, made.mode)


def test_a_result_that_shrinks_on_its_way_ends_the_channel(tmp_path: Path) -> None:
    short = outcome(b"printed", made=((CWD + b"/a.o", b"object"),))
    short = replace(short, made=(replace_size(short.made[0], 99),))

    async def body(front: Front, channel: Any) -> None:
        channel.hear(ask(), submit())
        supply(channel)
        goodbye = await channel.until(Goodbye)
        assert goodbye.code == "server"

    with_front(tmp_path, body, short)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.integers(0, 12))
def test_however_the_bytes_are_cut_the_job_runs_or_gives_back(
    tmp_path_factory: pytest.TempPathFactory, cuts: Any, lost_after: Any
) -> None:
    async def run() -> None:
        front = Front(tmp_path_factory.mktemp("store"))
        front.channel.hear(ask(), submit(), Supply(1))
        rest, number = SOURCE + HEADER, 0
        while rest and number != lost_after:
            size = min(cuts[number % len(cuts)], len(rest))
            front.channel.hear_bulk(1, rest[:size])
            rest, number = rest[size:], number + 1
        if number == lost_after:
            front.channel.lose(ChannelError("gone"))
        front.channel.lose(ChannelError("gone"))
        assert await front.all_given_back()
        front.close()

    asyncio.run(run())
