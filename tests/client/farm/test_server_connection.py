"""One channel and the jobs on it."""

import asyncio
import errno
import gc
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.farm.remote_job import RemoteJob
from securecc.client.farm.server_connection import MANIFESTS, ServerConnection
from securecc.client.spool import IN_MEMORY
from securecc.model import limits
from securecc.model.errors import AgentError, ChannelError, ProtocolError
from securecc.model.messages import (
    Ask,
    Cancel,
    Forget,
    Goodbye,
    Hello,
    Invite,
    Need,
    Output,
    Pong,
    Refuse,
    Submit,
    Terminal,
    Wait,
)
from securecc.wire.session import State
from tests.client.farm_stub import GCC, GOODBYE, WELCOME, ServerChannel, result

Body = Callable[[ServerChannel, ServerConnection, list[ServerConnection]], Awaitable[None]]


def in_loop(body: Body, **options: Any) -> None:
    async def run() -> None:
        channel = ServerChannel(**options)
        ended: list[ServerConnection] = []
        connection = ServerConnection(channel, ended.append)
        await body(channel, connection, ended)

    asyncio.run(run())


def submit(job: int) -> Submit:
    return Submit(job, GCC.digest, (b"gcc",), b"/", {}, 0, Terminal(), b"d")


async def submitted(channel: ServerChannel, connection: ServerConnection) -> RemoteJob:
    await connection.welcomed()
    job = connection.ask(b"key", GCC.digest, 10)
    channel.hear(Invite(job.number, 250))
    assert isinstance(await job.answer(), Invite)
    channel.send(submit(job.number))
    return job


def test_a_greeting_says_what_the_server_offers() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        assert isinstance(channel.said[0], Hello)
        await connection.welcomed()
        assert connection.toolchains == {GCC.digest: GCC}
        assert (connection.slots, connection.name, connection.jobs) == (4, "farm1:3643", 0)
        connection.on_message(WELCOME)  # a second one changes nothing
        connection.on_message(Pong(1))

    in_loop(body)


def test_a_server_that_ends_before_it_greets() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        channel.lose(ChannelError("reset"))
        with pytest.raises(ChannelError, match="reset"):
            await connection.welcomed()
        assert ended == [connection]

    in_loop(body, welcome=None)


def test_a_job_is_asked_for_and_answered_in_order() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        await connection.welcomed()
        job = connection.ask(b"key", GCC.digest, 10)
        assert channel.said[-1] == Ask(1, b"key", GCC.digest, 10)
        assert connection.load == 0.25
        channel.hear(Wait(1, 3), Invite(1, 250))
        assert [await job.answer(), await job.answer()] == [Wait(1, 3), Invite(1, 250)]
        waiting = asyncio.create_task(job.answer())
        await asyncio.sleep(0)
        channel.hear(Refuse(1, "busy", "no"))
        assert await waiting == Refuse(1, "busy", "no")
        job.close()
        assert not isinstance(channel.said[-1], Cancel)
        assert connection.jobs == 0

    in_loop(body)


def test_a_server_whose_jobs_wait_is_busy_with_more_than_is_known_here() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        await connection.welcomed()
        job = connection.ask(b"key", GCC.digest, 10)
        channel.hear(Wait(job.number, 3))
        assert (job.queued, connection.load, connection.has_room) == (3, 2.0, False)  # 4 slots, and 4 jobs that wait

    in_loop(body)


@pytest.mark.parametrize(("lease_ms", "expired"), [(0, True), (600_000, False)])
def test_an_invitation_lapses_with_its_lease(lease_ms: int, expired: bool) -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        await connection.welcomed()
        job = connection.ask(b"key", GCC.digest, 10)
        assert not job.lease_expired
        channel.hear(Invite(job.number, lease_ms))
        assert job.lease_expired is expired

    in_loop(body)


def test_a_result_is_given_out_with_its_last_byte() -> None:
    """Whoever was busy sending meanwhile must not find the Result before what it announces."""

    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        job = await submitted(channel, connection)
        announced = result(job.number, 3, 2, [Output(b"/p/a.o", 6, 0o644, b"d")])
        channel.hear(announced)
        waiting = asyncio.create_task(job.answer())
        for piece in (b"out", b"er", b"obj"):
            channel.hear_bulk(job.number, piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not waiting.done()
        channel.hear_bulk(job.number, b"ect")
        assert await waiting == announced
        received = job.received()
        assert received.stdout.read() + received.stderr.read() == b"outer"
        assert received.outputs[0].content.read() == b"object"

    in_loop(body)


def test_an_empty_result_is_given_out_at_once() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        job = await submitted(channel, connection)
        channel.hear(result(job.number))
        assert (await job.answer(), job.received().size) == (result(job.number), 0)

    in_loop(body)


def test_a_manifest_counts_as_known_once_it_was_sent() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        job = await submitted(channel, connection)
        assert [job.knows_manifest(b"d" * 32) for _ in range(2)] == [False, True]
        for number in range(MANIFESTS):
            job.knows_manifest(number.to_bytes(32, "big"))
        assert not job.knows_manifest(b"d" * 32)

    in_loop(body)


def test_a_result_without_room_is_given_up_and_the_channel_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        first, second = await submitted(channel, connection), await submitted(channel, connection)
        monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
        channel.hear(result(first.number, IN_MEMORY + 1))
        channel.hear_bulk(first.number, b"dropped")
        with pytest.raises(AgentError, match="cannot keep a large result"):
            await first.answer()
        first.close()
        assert channel.said[-1] == Cancel(first.number)
        channel.hear(result(second.number, 2))
        channel.hear_bulk(second.number, b"ok")
        await second.answer()
        assert second.received().stdout.read() == b"ok"

    in_loop(body)


def test_a_disk_that_fills_up_while_a_result_comes_ends_that_job_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        job = await submitted(channel, connection)
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        channel.hear(result(job.number, IN_MEMORY + 1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            channel.hear_bulk(job.number, b"some")
        channel.hear_bulk(job.number, b"more")
        with pytest.raises(AgentError, match="No space left"):
            await job.answer()
        assert not ended
        assert not any(str(tmp_path) in path for path in open_files()), "what came before is kept no longer"

    gc.disable()
    try:
        in_loop(body)
    finally:
        gc.enable()


def open_files() -> list[str]:
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return [os.readlink(link) for link in links if os.path.islink(link)]


def test_a_server_that_sends_more_than_it_announced_loses_the_channel() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        job = await submitted(channel, connection)
        channel.hear(result(job.number, 3))
        channel.hear_bulk(job.number, b"more than three")
        with pytest.raises(ProtocolError):
            await job.answer()
        assert ended == [connection]

    in_loop(body)


def test_neither_trusts_the_session_to_have_counted() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        job = await submitted(channel, connection)
        with pytest.raises(ProtocolError, match="no result has announced"):
            connection.on_bulk(job.number, b"unannounced")
        with pytest.raises(ProtocolError, match="over the limit"):
            connection.on_message(result(job.number, limits.RESULT, 1))
        connection.on_bulk(99, b"for nobody")
        connection.on_message(result(99))

    in_loop(body)


@pytest.mark.parametrize(("asked_only", "word"), [(True, Forget), (False, Cancel)])
def test_an_unfinished_job_is_taken_back(asked_only: bool, word: type[Forget] | type[Cancel]) -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        await connection.welcomed()
        job = connection.ask(b"key", GCC.digest, 10)
        connection.forget(job, asked_only=asked_only, ended=False)
        assert channel.said[-1] == word(1)
        connection.forget(job, asked_only=asked_only, ended=False)
        assert len(channel.said) == 3

    in_loop(body)


def test_a_lost_channel_ends_its_jobs() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        await connection.welcomed()
        first, second = (connection.ask(b"key", GCC.digest, 10) for _ in range(2))
        waiting = asyncio.create_task(first.answer())
        await asyncio.sleep(0)
        channel.hear(Wait(2, 0))
        channel.lose(ChannelError("reset"))
        for answer in (waiting, second.answer()):
            with pytest.raises(ChannelError, match="reset"):
                await answer
        assert (connection.jobs, ended) == (0, [connection])
        with pytest.raises(ChannelError, match="reset"):
            connection.ask(b"key", GCC.digest, 10)
        first.close()

    in_loop(body)


def test_a_server_that_says_goodbye_finishes_what_it_has() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        job = await submitted(channel, connection)
        channel.hear(GOODBYE)
        assert ended == [connection]
        with pytest.raises(ChannelError, match="the server stops"):
            connection.ask(b"key", GCC.digest, 10)
        channel.hear(result(job.number, 2))
        channel.hear_bulk(job.number, b"ok")
        await job.answer()
        assert job.received().stdout.read() == b"ok"

    in_loop(body)


def test_a_job_given_up_after_goodbye_is_cancelled_there_as_well() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        job = await submitted(channel, connection)
        channel.hear(GOODBYE)
        job.close()
        assert channel.said[-1] == Cancel(job.number)

    in_loop(body)


def test_a_closed_connection_ends_its_channel_with_its_last_job() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        job = await submitted(channel, connection)
        connection.close("there is another ticket")
        assert not channel.closed
        channel.hear(result(job.number))
        await job.answer()
        job.close()
        assert channel.said[-1] == Goodbye("closing", "there is another ticket", "")
        assert channel.closed
        assert ended == [connection]

    in_loop(body)


def test_an_idle_connection_closes_at_once() -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        await connection.welcomed()
        connection.close("the agent ends")
        assert channel.closed

    in_loop(body)


said = st.lists(
    st.one_of(
        st.builds(Invite, st.integers(1, 3), st.just(250)),
        st.builds(Wait, st.integers(1, 3), st.just(1)),
        st.builds(Refuse, st.integers(1, 3), st.just("busy"), st.just("")),
        st.builds(Need, st.integers(1, 3), st.booleans(), st.just((0,))),
        st.builds(result, st.integers(1, 3), st.integers(-1, 4), st.integers(0, 4)),
        st.tuples(st.integers(1, 3), st.binary(max_size=5)),
        st.just(GOODBYE),
    ),
    max_size=20,
)


@settings(max_examples=100)
@given(said)
def test_whatever_a_server_says_a_result_is_whole_or_there_is_none(messages: list[Any]) -> None:
    async def body(channel: ServerChannel, connection: ServerConnection, ended: list[ServerConnection]) -> None:
        await connection.welcomed()
        jobs = [connection.ask(b"key", GCC.digest, 1) for _ in range(3)]
        waiting = [asyncio.create_task(whole(job)) for job in jobs]
        for message in messages:
            if isinstance(message, tuple):
                channel.hear_bulk(*message)
            else:
                channel.hear(message)
            if isinstance(message, Invite) and channel.session.state(message.job) is State.INVITED:
                channel.send(submit(message.job))
            await asyncio.sleep(0)
        channel.lose(ChannelError("the end"))
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, bool | ChannelError | ProtocolError)
            assert outcome is not False
        assert connection.jobs == 0
        assert len(ended) == 1

    in_loop(body)


async def whole(job: RemoteJob) -> bool:
    while True:
        answer = await job.answer()
        if isinstance(answer, Refuse):
            return True
        if not isinstance(answer, Invite | Wait | Need):
            received = job.received()
            return len(received.stdout.read() + received.stderr.read()) == answer.stdout + answer.stderr
