"""Which server a job goes to, and what happens when one cannot be had."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.channel.channel import Channel
from securecc.client.farm.farm import Farm, SlotRequest
from securecc.client.farm.remote_job import RemoteJob
from securecc.client.farm.server import BACKOFF_S, Server
from securecc.client.farm.server_connection import ServerConnection
from securecc.client.state.host_list import Host
from securecc.compiler.toolchain.closure import ToolchainClosure
from securecc.model import limits
from securecc.model.errors import AuthenticationError, ChannelError, CredentialError, Denied, Refused, SecureccError
from securecc.model.messages import Ask, Forget, Invite, Need, Refuse, Toolchain, Wait, Welcome
from tests.client.farm_stub import GCC, GOODBYE, HOST, WELCOME, Answer, ServerChannel, farm_of

Answering = Callable[[int], Any]
"""What a server answers to an Ask, by the job's number."""

REQUEST = SlotRequest(b"key", GCC.digest, 10)
OTHER = Toolchain(b"o" * 32, "gcc-13", "x86_64-linux-gnu")


def answering(*kinds: Answering | None) -> Answer:
    """A server that answers the n-th Ask with the n-th of these, then with the last."""
    left = list(kinds)

    def answer(channel: ServerChannel, message: Any) -> None:
        if isinstance(message, Ask):
            kind = left.pop(0) if len(left) > 1 else left[0]
            if kind is not None:
                channel.hear(kind(message.job))

    return answer


def invite(job: int) -> Invite:
    return Invite(job, 250)


def busy(job: int) -> Refuse:
    return Refuse(job, "busy", "no slot")


def test_a_job_goes_to_the_server_that_invites() -> None:
    async def body() -> None:
        channel = ServerChannel(answer=answering(invite))
        farm = farm_of(channel)
        (await farm.place(REQUEST)).mark_busy()
        job = await farm.place(REQUEST)
        assert (job.number, job.server) == (1, "farm1")
        assert len(farm.connections) == 1
        again = await farm.place(REQUEST)
        assert again.server == job.server

    asyncio.run(body())


def test_one_server_with_room_need_not_be_asked() -> None:
    async def body() -> None:
        channel = ServerChannel(answer=answering(invite))
        farm = farm_of(channel)
        jobs = [await farm.place(REQUEST) for _ in range(WELCOME.slots)]
        numbers = [job.enter() for job in jobs]
        assert numbers == [1, 2, 3, 4]
        assert not [said for said in channel.said if isinstance(said, Ask)]
        assert (await farm.place(REQUEST)).number == 5
        assert [said for said in channel.said if isinstance(said, Ask)]

    asyncio.run(body())


def test_the_first_of_two_to_invite_gets_it_and_the_other_is_told() -> None:
    async def body() -> None:
        slow, fast = ServerChannel("slow", answer=answering(lambda job: Wait(job, 5))), ServerChannel("fast")
        fast.answer = answering(invite)
        farm = farm_of(slow, fast)
        job = await farm.place(REQUEST)
        assert job.connection.channel is fast
        await slow.until(Forget)
        assert [connection.jobs for connection in farm.connections] == [0, 1]

    asyncio.run(body())


def test_a_second_invite_at_the_same_moment_is_given_back() -> None:
    async def body() -> None:
        channels = [ServerChannel(name, answer=answering(invite)) for name in ("one", "two")]
        farm = farm_of(*channels)
        await farm.place(REQUEST)
        assert sorted(connection.jobs for connection in farm.connections) == [0, 1]
        assert sum(isinstance(said, Forget) for channel in channels for said in channel.said) == 1

    asyncio.run(body())


def test_the_host_lists_limits_bound_the_jobs_at_one_time() -> None:
    async def dial(host: Host) -> Channel:
        raise ChannelError("down")

    async def body() -> None:
        farm = Farm((Host("farm1", slots=1), Host("farm2", slots=1)), dial)
        inside = []

        async def job(until: asyncio.Event) -> None:
            async with farm.room():
                inside.append(until)
                await until.wait()

        ends = [asyncio.Event() for _ in range(3)]
        jobs = [asyncio.create_task(job(end)) for end in ends]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(inside) == 2
        for end in ends:
            end.set()
        await asyncio.gather(*jobs)
        assert len(inside) == 3
        unbounded = Farm((Host("farm1", slots=1), Host("farm2")), dial)
        async with unbounded.room(), unbounded.room(), unbounded.room():
            pass

    asyncio.run(body())


def test_a_connection_is_full_at_the_limit_of_its_host() -> None:
    async def body() -> None:
        connection = ServerConnection(ServerChannel(), lambda _: None, 1)
        assert not connection.at_limit
        await connection.welcomed()
        connection.ask(b"k", b"t" * 32, 1)
        assert connection.at_limit
        assert not ServerConnection(ServerChannel(), lambda _: None).at_limit

    asyncio.run(body())


def test_a_busy_server_leaves_the_job_to_the_other() -> None:
    async def body() -> None:
        one, two = ServerChannel("one", answer=answering(busy)), ServerChannel("two")
        farm = farm_of(one, two)
        placing = asyncio.create_task(farm.place(REQUEST))
        asked = await two.until(Ask)
        await asyncio.sleep(0)
        two.hear(Invite(asked.job, 250))
        assert (await placing).connection.channel is two

    asyncio.run(body())


def test_all_refuse() -> None:
    async def body() -> None:
        farm = farm_of(ServerChannel("one", answer=answering(busy)), ServerChannel("two", answer=answering(busy)))
        with pytest.raises(Refused, match="no slot"):
            await farm.place(REQUEST)
        assert [connection.jobs for connection in farm.connections] == [0, 0]

    asyncio.run(body())


def test_a_compile_that_is_given_up_while_it_waits_holds_no_place() -> None:
    async def body() -> None:
        channels = [ServerChannel(name, answer=answering(lambda job: Wait(job, 1))) for name in ("one", "two")]
        farm = farm_of(*channels)
        placing = asyncio.create_task(farm.place(REQUEST))
        for channel in channels:
            await channel.until(Ask)
        await asyncio.sleep(0)
        placing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await placing
        await asyncio.sleep(0)
        assert [connection.jobs for connection in farm.connections] == [0, 0]
        assert all(isinstance(channel.said[-1], Forget) for channel in channels)

    asyncio.run(body())


def test_an_invite_that_comes_with_the_cancel_is_given_back() -> None:
    async def body() -> None:
        channels = [ServerChannel(name) for name in ("one", "two")]
        farm = farm_of(*channels)
        placing = asyncio.create_task(farm.place(REQUEST))
        for channel in channels:
            await channel.until(Ask)
        channels[0].hear(Invite(1, 250))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        placing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await placing
        await asyncio.sleep(0)
        assert [connection.jobs for connection in farm.connections] == [0, 0]

    asyncio.run(body())


def test_a_server_that_answers_with_something_else_is_no_server() -> None:
    async def body() -> None:
        channel = ServerChannel(welcome=Welcome(1, "s", "alice@EXAMPLE.COM", "ref", 0, (GCC,)))
        farm = farm_of(channel)
        placing = asyncio.create_task(farm.place(REQUEST))
        await channel.until(Ask)
        [connection] = farm.connections
        connection.on_message(Need(1, manifest=True, blobs=()))  # a channel would not pass it on
        with pytest.raises(ChannelError, match="answered an Ask with Need"):
            await placing

    asyncio.run(body())


def test_no_server_has_this_compiler() -> None:
    async def body() -> None:
        channel = ServerChannel(welcome=Welcome(1, "s", "alice@EXAMPLE.COM", "ref", 4, (OTHER,)))
        with pytest.raises(Refused, match="offered: gcc-13") as refused:
            await farm_of(channel).place(REQUEST)
        assert refused.value.code == "toolchain"
        bare = farm_of(ServerChannel(welcome=Welcome(1, "s", "alice@EXAMPLE.COM", "ref", 4, ())))
        with pytest.raises(Refused, match="offered: none"):
            await bare.place(REQUEST)

    asyncio.run(body())


def test_the_server_says_once_what_differs() -> None:
    closure = ToolchainClosure("gcc-13", "", "13.1", (), (), (), (), (), b"", REQUEST.toolchain)

    def refuses(channel: ServerChannel, message: Any) -> None:
        if isinstance(message, Ask):
            channel.hear(
                Refuse(message.job, "toolchain", f"nearest to {message.description and message.description.name}")
            )

    async def body() -> None:
        unlike = ServerChannel("one", welcome=Welcome(1, "s", "alice@EXAMPLE.COM", "ref", 4, ()))
        alike = ServerChannel("two", welcome=Welcome(1, "s", "alice@EXAMPLE.COM", "ref", 4, (OTHER,)), answer=refuses)
        farm = farm_of(unlike, alike)
        for _ in range(2):
            with pytest.raises(Refused, match=r"offered: gcc-13; farm2: nearest to gcc-13"):
                await farm.place(replace(REQUEST, closure=closure))
        assert len([message for message in alike.said if isinstance(message, Ask)]) == 1
        assert not [message for message in unlike.said if isinstance(message, Ask)]

    asyncio.run(body())


def test_the_less_busy_servers_are_asked() -> None:
    async def body() -> None:
        channels = [ServerChannel(name, answer=answering(invite)) for name in ("one", "two", "three")]
        farm = farm_of(*channels)
        for _ in range(9):
            await farm.place(REQUEST)
        assert sorted(connection.jobs for connection in farm.connections) == [3, 3, 3]

    asyncio.run(body())


def test_one_open_channel_is_enough_while_the_others_are_dialled() -> None:
    async def body() -> None:
        one = ServerChannel("one", answer=answering(invite))
        farm = farm_of(one, ChannelError("down"))
        await farm.place(REQUEST)
        farm.servers[1].retry()
        await farm.place(REQUEST)
        for _ in range(3):
            await asyncio.sleep(0)
        assert isinstance(farm.servers[1].trouble, ChannelError)

    asyncio.run(body())


@pytest.mark.parametrize(
    ("errors", "worst"),
    [
        ([ChannelError("a"), CredentialError("b")], CredentialError),
        ([AuthenticationError("a"), Denied("b")], Denied),
        ([ChannelError("a"), AuthenticationError("b")], AuthenticationError),
        ([ChannelError("a"), ChannelError("b")], ChannelError),
        ([], ChannelError),
    ],
)
def test_a_person_is_told_what_can_be_mended(errors: list[SecureccError], worst: type[SecureccError]) -> None:
    async def body() -> None:
        with pytest.raises(worst):
            await farm_of(*errors).place(REQUEST)

    asyncio.run(body())


def test_many_compiles_share_one_attempt() -> None:
    async def body() -> None:
        dials = []

        async def dial(host: Host) -> Channel:
            dials.append(host)
            await asyncio.sleep(0)
            return ServerChannel(answer=answering(invite))

        farm = Farm((HOST,), dial)
        await asyncio.gather(*(farm.place(REQUEST) for _ in range(20)))
        assert dials == [HOST]

    asyncio.run(body())


def test_a_server_that_failed_is_left_alone_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    async def body() -> None:
        dials = []

        async def dial(host: Host) -> Channel:
            dials.append(now[0])
            raise ChannelError("down")

        server = Server(HOST, dial)
        for wait in (*BACKOFF_S, BACKOFF_S[-1]):
            for _ in range(3):
                with pytest.raises(ChannelError):
                    await server.connected()
            now[0] += wait - 0.01
            with pytest.raises(ChannelError):
                await server.connected()
            now[0] += 0.02
        assert len(dials) == len(BACKOFF_S) + 1
        server.retry()
        with pytest.raises(ChannelError):
            await server.connected()
        assert len(dials) == len(BACKOFF_S) + 2

    asyncio.run(body())


def test_a_compile_that_is_given_up_does_not_end_the_attempt_of_others() -> None:
    async def body() -> None:
        admitted = asyncio.Event()

        async def dial(host: Host) -> Channel:
            await admitted.wait()
            return ServerChannel()

        server = Server(HOST, dial)
        first, second = (asyncio.create_task(server.connected()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        admitted.set()
        assert (await second) is server.connection

    asyncio.run(body())


def test_a_server_that_welcomes_and_leaves_in_one_breath_is_dialled_again() -> None:
    async def body() -> None:
        leaving, staying = ServerChannel(welcome=None), ServerChannel()
        waiting = [leaving, staying]

        async def dial(host: Host) -> Channel:
            return waiting.pop(0)

        server = Server(HOST, dial)
        first = asyncio.create_task(server.connected())
        await leaving.until(object)
        leaving.hear(WELCOME, GOODBYE)
        with pytest.raises(ChannelError, match="the server stops"):
            await first
        assert server.connection is None
        server.retry()
        assert (await server.connected()).channel is staying

    asyncio.run(body())


def test_a_server_that_admits_and_says_no_more_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PREAUTH_DEADLINE_S", 0.01)

    async def body() -> None:
        mute = ServerChannel(welcome=None)

        async def dial(host: Host) -> Channel:
            return mute

        with pytest.raises(ChannelError, match="went silent"):
            await Server(HOST, dial).connected()

    asyncio.run(body())


def test_a_lost_channel_is_made_anew() -> None:
    async def body() -> None:
        channels = [ServerChannel(answer=answering(invite)) for _ in range(2)]
        waiting = list(channels)

        async def dial(host: Host) -> Channel:
            return waiting.pop(0)

        farm = Farm((HOST,), dial)
        await farm.place(REQUEST)
        channels[0].lose(ChannelError("the server restarts"))
        assert farm.connections == ()
        assert (await farm.place(REQUEST)).connection.channel is channels[1]

    asyncio.run(body())


def test_closing_and_retrying_reach_every_server() -> None:
    async def body() -> None:
        channel = ServerChannel("one", answer=answering(invite))
        farm = farm_of(channel, ChannelError("down"))
        job = await farm.place(REQUEST)
        await asyncio.sleep(0)
        job.close()
        farm.retry()
        assert farm.servers[1].trouble is None
        farm.close("the ticket is gone")
        assert channel.closed

    asyncio.run(body())


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.sampled_from([invite, busy, lambda job: Wait(job, 1), None]), min_size=1, max_size=3),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 6),
    st.integers(0, 3),
)
def test_whoever_answers_what_a_job_is_at_one_server_or_at_none(
    servers: list[list[Answering]], jobs: int, lost: int
) -> None:
    async def body() -> None:
        channels = [
            ServerChannel(f"s{number}", answer=answering(*(kind for kind in kinds)))
            for number, kinds in enumerate(servers)
        ]
        farm = farm_of(*channels)
        placing = [asyncio.create_task(farm.place(REQUEST)) for _ in range(jobs)]
        for _ in range(30):
            await asyncio.sleep(0)
        if lost < len(channels) and not channels[lost].closed:
            channels[lost].lose(ChannelError("lost"))
        for task in placing:
            if not task.done():
                task.cancel()
        outcomes = await asyncio.gather(*placing, return_exceptions=True)
        placed = [job for job in outcomes if isinstance(job, RemoteJob)]
        for _ in range(5):
            await asyncio.sleep(0)
        alive = [job for job in placed if job.connection.ended is None]
        assert sum(connection.jobs for connection in farm.connections) == sum(job.number > 0 for job in alive)

    asyncio.run(body())
