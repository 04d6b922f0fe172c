"""All open channels of a front: let in, judged again after each change of the policy, sent away in the end."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from securecc.channel.channel import Channel
from securecc.channel.server_handshake import Peer
from securecc.model.errors import Denied, ProtocolError, SecureccError
from securecc.model.grant import Grant
from securecc.model.principal import Principal
from securecc.policy.policy_in_force import PolicyInForce
from securecc.server.connections.audit_events import AuditEvents
from securecc.server.connections.client_connection import ClientConnection
from securecc.server.jobs.job_session import Service
from securecc.server.jobs.principal_accounts import PrincipalAccounts

DRAIN_S = 5.0
"""How long running jobs may still take when the server stops."""

_KILL_S = 2.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the judge gave a channel, and the indicators of its ticket, for when it is judged again."""

    grant: Grant
    indicators: tuple[str, ...]


class ConnectionRegistry:
    """One attendant for each channel."""

    def __init__(self, policy: PolicyInForce, accounting: AuditEvents) -> None:
        self._policy = policy
        self._accounting = accounting
        self._accounts = PrincipalAccounts()
        self._attendants: set[ClientConnection] = set()
        self.ended = 0  # channels, since the daemon began

    def __iter__(self) -> Iterator[ClientConnection]:
        return iter(tuple(self._attendants))

    def __len__(self) -> int:
        return len(self._attendants)

    async def judge(self, principal: bytes, peer: Peer, indicators: tuple[str, ...]) -> Admitted:
        """The policy's word on somebody who has proven a name. Raises Denied."""
        return Admitted(self._policy.judge(principal, peer[0], indicators), indicators)

    def open(self, channel: Channel, service: Service) -> ClientConnection:
        """The attendant of a channel that `judge` let in; one beyond its principal's quota is closed at once.

        Raises AuditError.
        """
        admitted: Admitted = channel.grant
        grant = admitted.grant
        self._accounting.admitted(channel, grant)
        account = self._accounts.open(grant.principal)
        channel.pace = account.pace
        attendant = ClientConnection(channel, grant, service, account)
        self._attendants.add(attendant)
        most = grant.quota.connections
        if account.channels > most:
            why = f"{most} connections of {grant.principal} are open already: rule {grant.rule} grants no more"
            self._accounting.notice("denied", channel.peer, _refusal(channel, grant.rule, why))
            attendant.end("limit", why)
        return attendant

    def gone(self, attendant: ClientConnection, error: SecureccError) -> None:
        """Its channel has ended. Who has proven a name and then broken the protocol is on record."""
        if isinstance(error, ProtocolError):
            why = f"broke the protocol: {error.message}"
            self._accounting.notice(
                "illegal", attendant.channel.peer, _refusal(attendant.channel, attendant.grant.rule, why)
            )
        if attendant in self._attendants:
            self.ended += 1
            self._attendants.discard(attendant)
            self._accounts.close(attendant.account)

    def judge_again(self) -> None:
        """After every change of the policy or of a group's members: channels that are denied now are closed, the others
        go on under their new grant.
        """
        for attendant in self:
            channel = attendant.channel
            try:
                attendant.grant = self._policy.judge(channel.principal, channel.peer[0], channel.grant.indicators)
            except Denied as error:
                why = "denied by the policy that is in force now"
                self._accounting.notice("denied", channel.peer, _refusal(channel, error.rule, why))
                attendant.end("denied", "the policy has changed")

    def end_tickets(self, now: float) -> None:
        """Channels whose ticket has ended by `now` (time.monotonic) take no new jobs and close after the last."""
        for attendant in self:
            if now >= attendant.channel.lifetime_end and not attendant.draining:
                attendant.drain("ticket", "the ticket has ended")

    def drain(self, reason: str) -> None:
        """No channel takes new jobs; each closes when the running ones have ended."""
        for attendant in self:
            attendant.drain("draining", reason)

    async def end(self, why: str, running: "Collection[asyncio.Task[None]]", patience_s: float) -> None:
        """Jobs that run may end, for `patience_s`; then all are killed. The end of each is on record."""
        channels = [attendant.channel for attendant in self]
        self.drain(f"the server stops: {why}")
        if channels and patience_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(channel.wait_closed() for channel in channels)), patience_s)
        for attendant in self:
            attendant.end("draining", why)
        if running:
            await asyncio.wait(set(running), timeout=_KILL_S)


def _refusal(channel: Channel, rule: str, why: str) -> dict[str, str]:
    return {
        "principal": Principal.display(channel.principal),
        "reference": channel.reference,
        "rule": rule,
        "why": why,
    }
