"""A result's way to the client."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from securecc.model import limits
from securecc.model.errors import ChannelError
from securecc.model.messages import Goodbye, Invite, Output, Result, Welcome
from securecc.server.jobs.delivery_backlog import DeliveryBacklog
from securecc.server.jobs.result_delivery import deliver
from tests.server.frontside import FrontChannel, ask, outcome, submit


class Nobody:
    def on_message(self, message: Any) -> None:
        pass

    on_bulk = on_lost = on_message


def channel_with_a_job() -> Any:
    channel = FrontChannel()
    channel.attach(Nobody())
    channel.send(Welcome(1, "test", "alice@EXAMPLE.COM", "ref", 1, ()))
    channel.hear(ask())
    channel.send(Invite(1, 10))
    channel.hear(submit())
    channel.said.clear()
    return channel


def delivered(result: Any) -> Any:
    async def run() -> Any:
        channel = channel_with_a_job()
        try:
            await deliver(channel, 1, result, DeliveryBacklog())
        finally:
            result.close()
        return channel

    return asyncio.run(run())


def test_the_result_says_all_and_the_bytes_follow_in_its_order() -> None:
    made = ((b"/p/a.o", b"object"), (b"/p/a.d", b""), (b"/p/a.su", b"stack"))
    given = outcome(b"printed", b"said", made, strays=(3,), read=b"\5", server_s=2.0, status=1, limit="cpu")
    digests = given.digests
    channel = delivered(given)
    [result] = channel.said
    assert isinstance(result, Result)
    assert (result.stdout, result.stderr, result.status, result.limit) == (7, 4, 1, "cpu")
    assert result.outputs == tuple(
        Output(path, len(content), 0o644, digest) for (path, content), digest in zip(made, digests, strict=True)
    )
    assert (result.strays, result.read, result.server_s) == ((3,), b"\5", 2.0)
    assert channel.bulk[1] == b"printed" + b"said" + b"object" + b"stack"


def test_a_large_output_goes_in_chunks() -> None:
    content = bytes(range(256)) * (limits.FRAME_BULK // 128)
    assert delivered(outcome(made=((b"/p/a.o", content),))).bulk[1] == content


def test_an_output_that_became_shorter_ends_the_channel() -> None:
    given = outcome(made=((b"/p/a.o", b"object"),))
    [made] = given.made
    channel = delivered(replace(given, made=(type(made)(made.path, 60, made.mode),)))
    assert isinstance(channel.said[-1], Goodbye)
    assert channel.closed


def test_who_does_not_take_a_result_in_time_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELIVERY_S", 0.05)

    async def run() -> None:
        channel, undelivered = channel_with_a_job(), DeliveryBacklog()
        channel.room.clear()
        given = outcome(b"printed")
        sending = asyncio.create_task(deliver(channel, 1, given, undelivered))
        await channel.until(Result)
        assert undelivered.total == 7
        await sending
        assert (channel.said[-1].code, channel.closed, undelivered.total) == ("limit", True, 0)
        given.close()

    asyncio.run(run())


def test_a_slow_reader_is_waited_for_and_a_lost_one_is_not() -> None:
    async def run() -> None:
        channel = channel_with_a_job()
        channel.room.clear()
        given = outcome(b"printed")
        sending = asyncio.create_task(deliver(channel, 1, given, DeliveryBacklog()))
        await channel.until(Result)
        assert not sending.done()
        channel.lose(ChannelError("gone"))
        with pytest.raises(ChannelError):
            await sending
        given.close()

    asyncio.run(run())
