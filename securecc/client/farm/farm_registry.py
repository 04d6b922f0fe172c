"""The farms of one agent: one for each host list and credential cache that its launchers bring.

A farm's channels belong to one ticket. The ticket is checked while the farm is in use: when it is gone or replaced, the
channels close, and the next compile opens new ones.
"""

import asyncio
import os
import time

from securecc.channel import kerberos
from securecc.channel.channel import Channel
from securecc.channel.deadline import within
from securecc.channel.dialer import dial
from securecc.client.farm.farm import Farm
from securecc.client.ipc.frames import Request
from securecc.client.state.host_list import Host
from securecc.client.state.settings import Settings
from securecc.model import limits
from securecc.model.errors import CredentialError, SecureccError
from securecc.system.stat_key import StatKey, path_stat_key

FARMS = 32
"""How many farms are kept, not counting those with jobs."""

RENEWED_S = 2.0
"""Tickets whose expiry times differ by more than this many seconds are different tickets."""

_Ticket = tuple[bytes, float]
"""The principal, and the expiry time on time.monotonic()'s clock."""


class _TicketedFarm:
    """One farm and the ticket that its channels belong to."""

    def __init__(self, settings: Settings, cache: str | None) -> None:
        self.farm = Farm(settings.hosts, self._dial)
        self._cache = cache
        self._ticket: _Ticket | None = None
        self._no_ticket: SecureccError | None = None
        self._cache_state: StatKey | None = None
        self._service = settings.service
        self._ca = settings.ca or None
        self._checking: asyncio.Task[None] | None = None

    def check_soon(self) -> None:
        """Checks the ticket if it may have changed: with a file cache, only when the file changes or the ticket
        expires.
        """
        now = _state_of(self._cache)
        alive = self._ticket is not None and self._ticket[1] >= time.monotonic()
        if alive and now is not None and now == self._cache_state:
            return
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check())

    def close(self, reason: str) -> None:
        """Ends all channels."""
        if self._checking is not None:
            self._checking.cancel()
        self.farm.close(reason)

    async def _dial(self, host: Host) -> Channel:
        # The ticket must be known before there is a channel, or its first change would go unnoticed.
        await self._check()
        if self._no_ticket is not None:
            raise self._no_ticket
        principal = host.principal or f"{self._service}@{host.name}"
        return await dial(host.name, host.port, principal, self._cache, ca_file=self._ca)

    async def _check(self) -> None:
        self._cache_state = _state_of(self._cache)
        ticket: _Ticket | None = None
        try:
            late = CredentialError("the credential cache does not answer")
            principal, left = await within(limits.GSS_STEP_S, late, kerberos.credentials, self._cache)
            ticket, self._no_ticket = (principal, time.monotonic() + left), None
        except SecureccError as error:
            self._no_ticket = error
        before, self._ticket = self._ticket, ticket
        if _same(before, ticket):
            return
        if before is not None:
            self.farm.close("the ticket is gone" if ticket is None else "there is another ticket")
        if ticket is not None:
            self.farm.retry()


class FarmRegistry:
    """All farms. Needs a running loop."""

    def __init__(self) -> None:
        self._farms: dict[tuple[object, ...], _TicketedFarm] = {}

    def of(self, settings: Settings, request: Request) -> Farm:
        """The farm for a launcher with these settings and this environment."""
        value = request.environment.get(b"KRB5CCNAME")
        cache = os.fsdecode(value) if value else None
        key = (settings.hosts, settings.service, settings.ca, cache)
        known = self._farms.get(key)
        if known is None:
            self._drop_one()
            known = self._farms[key] = _TicketedFarm(settings, cache)
        return known.farm

    def _drop_one(self) -> None:
        """Makes room: each login may have its own credential cache, and an agent may run for weeks."""
        if len(self._farms) >= FARMS:
            oldest = next((key for key, known in self._farms.items() if not known.farm.busy), None)
            if oldest is not None:
                self._farms.pop(oldest).close("not needed any more")

    def close(self, reason: str) -> None:
        """Ends all channels."""
        for known in self._farms.values():
            known.close(reason)

    def check_tickets(self) -> None:
        """Checks the tickets of farms in use; call about once a second."""
        for known in self._farms.values():
            if known.farm.connections or any(server.trouble for server in known.farm.servers):
                known.check_soon()


def _state_of(cache: str | None) -> StatKey | None:
    """The stat key that shows whether a file credential cache has changed; None for any other kind
    (krb5_cc_resolve(3)).
    """
    if cache is None or not cache.startswith(("FILE:", "/")):
        return None
    return path_stat_key(os.fsencode(cache.removeprefix("FILE:")))


def _same(one: _Ticket | None, other: _Ticket | None) -> bool:
    if one is None or other is None:
        return one is other
    return one[0] == other[0] and abs(one[1] - other[1]) <= RENEWED_S
