"""All open connections of a front: admitted, judged again after each change of the policy, finally drained."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from securecc.channel.channel import Channel, Peer
from securecc.model.errors import Denied, ProtocolError, SecureccError
from securecc.model.grant import Grant
from securecc.model.principal import Principal
from securecc.server.connections.audit_events import AuditEvents
from securecc.server.connections.client_connection import ClientConnection
from securecc.server.jobs.principal_accounts import PrincipalAccounts
from securecc.server.jobs.service import Service

DRAIN_S = 5.0
"""Seconds that running jobs may still take when the server stops."""

_KILL_S = 2.0


Judge = Callable[[bytes, str, Collection[str]], Grant]
"""Given a principal, its address and its ticket's indicators, returns its grant or raises Denied."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the policy granted a channel, and its ticket's indicators, to judge it again."""

    grant: Grant
    indicators: tuple[str, ...]


class ConnectionRegistry:
    """One ClientConnection for each channel. `ended` counts those that have ended."""

    def __init__(self, judge: Judge, events: AuditEvents) -> None:
        self._judge = judge
        self._events = events
        self._accounts = PrincipalAccounts()
        self._connections: set[ClientConnection] = set()
        self.ended = 0

    def __iter__(self) -> Iterator[ClientConnection]:
        return iter(tuple(self._connections))

    def __len__(self) -> int:
        return len(self._connections)

    async def judge(self, principal: bytes, peer: Peer, indicators: tuple[str, ...]) -> Admitted:
        """What the policy grants an authenticated principal.

        Raises:
            Denied: it grants nothing.
        """
        return Admitted(self._judge(principal, peer[0], indicators), indicators)

    def open(self, channel: Channel, service: Service) -> ClientConnection:
        """The connection of a channel that `judge` admitted; it is closed at once if it exceeds its principal's quota.

        Raises:
            AuditError: it cannot be recorded.
        """
        admitted: Admitted = channel.grant
        grant = admitted.grant
        self._events.admitted(channel, grant)
        account = self._accounts.open(grant.principal)
        channel.pace = account.pace
        connection = ClientConnection(channel, grant, service, account, self._lost)
        self._connections.add(connection)
        most = grant.quota.connections
        if account.channels > most:
            why = f"{most} connections of {grant.principal} are open already: rule {grant.rule} grants no more"
            self._events.notice("denied", channel.peer, _refusal(channel, grant.rule, why))
            connection.end("limit", why)
        return connection

    def _lost(self, connection: ClientConnection, error: SecureccError) -> None:
        """Removes a connection whose channel has ended. An authenticated client that broke the protocol is recorded."""
        if isinstance(error, ProtocolError):
            why = f"broke the protocol: {error.message}"
            self._events.notice(
                "illegal", connection.channel.peer, _refusal(connection.channel, connection.grant.rule, why)
            )
        if connection in self._connections:
            self.ended += 1
            self._connections.discard(connection)
            self._accounts.close(connection.account)

    def judge_again(self) -> None:
        """Call after each change of the policy or of a group's members: connections that are now denied are closed, the
        others continue under their new grant.
        """
        for connection in self:
            channel = connection.channel
            try:
                connection.grant = self._judge(channel.principal, channel.peer[0], channel.grant.indicators)
            except Denied as error:
                why = "denied by the policy that is in force now"
                self._events.notice("denied", channel.peer, _refusal(channel, error.rule, why))
                connection.end("denied", "the policy has changed")

    def end_tickets(self, now: float) -> None:
        """Connections whose ticket expired by `now` (time.monotonic) take no new jobs, and close after their last."""
        for connection in self:
            if now >= connection.channel.lifetime_end and not connection.draining:
                connection.drain("ticket", "the ticket has ended")

    def drain(self, reason: str) -> None:
        """Stops new jobs; each connection closes when its current jobs have ended."""
        for connection in self:
            connection.drain("draining", reason)

    async def end(self, why: str, running: "Collection[asyncio.Task[None]]", patience_s: float) -> None:
        """Gives running jobs `patience_s` seconds to end, then kills them. The end of each is recorded."""
        channels = [connection.channel for connection in self]
        self.drain(f"the server stops: {why}")
        if channels and patience_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(channel.wait_closed() for channel in channels)), patience_s)
        for connection in self:
            connection.end("draining", why)
        if running:
            await asyncio.wait(set(running), timeout=_KILL_S)


def _refusal(channel: Channel, rule: str, why: str) -> dict[str, str]:
    return {
        "principal": Principal.display(channel.principal),
        "reference": channel.reference,
        "rule": rule,
        "why": why,
    }
