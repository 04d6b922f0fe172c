"""The connections of a front together: admitted, judged again, drained."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securecc.model import limits
from securecc.model.errors import AuditError, ChannelError, Denied, FrameError
from securecc.model.grant import Grant, Quota
from securecc.model.messages import Goodbye
from securecc.server.connections.audit_events import AuditEvents
from securecc.server.connections.connection_registry import ConnectionRegistry
from tests.server.frontside import Front as Side
from tests.server.frontside import FrontChannel

GRANT = Grant("alice@EXAMPLE.COM", "committers", "r1")


class Policy:
    """Says yes with a grant, or no."""

    grant: Grant | None = GRANT

    def judge(self, principal: bytes, address: str, indicators: Collection[str]) -> Grant:
        self.asked = (principal, address, indicators)
        if self.grant is None:
            raise Denied("you may not compile here", rule="leavers")
        return self.grant


class Rig:
    """A registry over a policy of the test's, and what it records."""

    def __init__(self, folder: Path) -> None:
        self.policy = Policy()
        self.records: list[Any] = []
        self.side = Side(folder / "store")
        self.registry = ConnectionRegistry(self.policy.judge, AuditEvents(self.append, lambda: "r2"))
        self.trouble: AuditError | None = None
        self.service = self.side.service

    def append(self, record: Any) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.records.append(record)

    async def come(self, lifetime_end: float = 1e9) -> Any:
        channel = FrontChannel()
        channel.lifetime_end = lifetime_end
        channel.grant = await self.registry.judge(b"alice@EXAMPLE.COM", channel.peer, ("pkinit",))
        connection = self.registry.open(channel, self.service)
        channel.attach(connection)
        return channel, connection


@pytest.fixture
def rig(tmp_path: Path) -> Any:
    return lambda: Rig(tmp_path)


def run(body: Any) -> None:
    asyncio.run(body)


def test_channels_are_judged_by_name_address_and_indicators(rig: Any) -> None:
    async def body() -> None:
        some = rig()
        _, connection = await some.come()
        assert some.policy.asked == (b"alice@EXAMPLE.COM", "192.0.2.1", ("pkinit",))
        assert list(some.registry) == [connection]
        assert [record.decision for record in some.records] == ["allowed"]
        some.side.close()

    run(body())


def test_who_is_denied_now_is_sent_away_and_on_record(rig: Any) -> None:
    async def body() -> None:
        some = rig()
        channel, _ = await some.come()
        some.policy.grant = None
        some.registry.judge_again()
        assert some.policy.asked == (b"alice@EXAMPLE.COM", "192.0.2.1", ("pkinit",))
        assert channel.said[-1] == Goodbye("denied", "the policy has changed", "ref")
        assert channel.closed
        assert not some.registry
        assert [(record.decision, record.rule if record.decision == "denied" else "") for record in some.records] == [
            ("allowed", ""),
            ("denied", "leavers"),
        ]
        some.side.close()

    run(body())


def test_who_is_still_admitted_goes_on_under_the_new_grant(rig: Any) -> None:
    async def body() -> None:
        some = rig()
        channel, connection = await some.come()
        some.policy.grant = Grant("alice@EXAMPLE.COM", "newer", "r2")
        some.registry.judge_again()
        assert connection.grant.rule == "newer"
        assert not channel.closed
        some.side.close()

    run(body())


def test_a_ticket_that_ends_ends_its_channel_alone(rig: Any) -> None:
    async def body() -> None:
        some = rig()
        short, _ = await some.come(lifetime_end=10.0)
        long, _ = await some.come(lifetime_end=20.0)
        some.registry.end_tickets(9.0)
        assert not short.closed
        some.registry.end_tickets(10.0)
        some.registry.end_tickets(11.0)
        assert [said.code for said in short.said if isinstance(said, Goodbye)] == ["ticket"]
        assert (short.closed, long.closed) == (True, False)
        some.side.close()

    run(body())


def test_a_channel_that_cannot_be_recorded_is_not_opened(rig: Any) -> None:
    async def body() -> None:
        some = rig()
        some.trouble = AuditError("the disk is full")
        with pytest.raises(AuditError):
            await some.come()
        assert len(some.registry) == 0
        some.side.close()

    run(body())


def test_a_principal_has_so_many_channels_and_no_more(rig: Any) -> None:
    async def body() -> None:
        some = rig()
        some.policy.grant = replace(GRANT, quota=Quota(connections=2))
        first, second = [(await some.come())[0] for _ in range(2)]
        third, _ = await some.come()
        assert third.closed
        assert third.said[-1].code == "limit"
        assert "2 connections of alice@EXAMPLE.COM are open already" in third.said[-1].reason
        assert [record.decision for record in some.records] == ["allowed"] * 3 + ["denied"]
        assert len(some.registry) == 2
        first.lose(ChannelError("leaves"))
        assert not (await some.come())[0].closed
        assert not second.closed
        some.side.close()

    run(body())


def test_what_a_channel_takes_of_the_fronts_time_is_its_principals(rig: Any) -> None:
    async def body() -> None:
        some = rig()
        first, second = [(await some.come())[0] for _ in range(2)]
        assert first.pace(limits.TURNS_BURST_S) == 0.0
        assert second.pace(1.0) > 0.0
        some.side.close()

    run(body())


def test_the_end_of_all_says_so(rig: Any) -> None:
    async def body() -> None:
        some = rig()
        channels = [(await some.come())[0] for _ in range(3)]
        await some.registry.end("told to stop", some.service.running, 5.0)
        assert not some.registry
        for channel in channels:
            assert channel.said[-1] == Goodbye("draining", "the server stops: told to stop", "ref")
        some.side.close()

    run(body())


def test_who_breaks_the_protocol_is_on_record_and_who_just_goes_is_not(rig: Any) -> None:
    async def body() -> None:
        some = rig()
        _, first = await some.come()
        _, second = await some.come()
        first.on_lost(ChannelError("closed"))
        second.on_lost(FrameError("a frame of kind 77"))
        assert not some.registry
        (denied,) = (record for record in some.records if record.decision == "denied")
        assert denied.reason == "broke the protocol: a frame of kind 77"
        assert denied.principal == "alice@EXAMPLE.COM"
        some.side.close()

    run(body())
