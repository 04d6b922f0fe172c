"""The farms of one agent: one for each set of hosts and credential cache that its launchers bring.

A farm's channels belong to one ticket. The ticket is looked at while there is a farm in use: without it, or with
another, the channels close, and the next compile makes new ones.
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
from securecc.client.state.settings import Host, Settings
from securecc.model import limits
from securecc.model.errors import CredentialError, SecureccError
from securecc.system.stat_key import StatKey, path_stat_key

FARMS = 32
"""Kept at one time, those with jobs aside."""

RENEWED_S = 2.0
"""Tickets whose ends differ by more are different tickets."""


class _Kept:
    """One farm and the ticket that its channels belong to."""

    def __init__(self, settings: Settings, cache: str | None) -> None:
        self.farm = Farm(settings.hosts, self._dial)
        self.cache = cache
        self.ticket: tuple[bytes, float] | None = None
        self.lacking: SecureccError | None = None
        self.seen: StatKey | None = None
        self._service = settings.service
        self._ca = settings.ca or None
        self._checking: asyncio.Task[None] | None = None

    def look(self) -> None:
        """What Kerberos says of a file does not change before the file does, or the ticket ends."""
        now = _stamp(self.cache)
        if now is not None and now == self.seen and self.ticket is not None and self.ticket[1] >= time.monotonic():
            return
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(_check(self))

    def close(self, reason: str) -> None:
        """Ends all channels."""
        if self._checking is not None:
            self._checking.cancel()
        self.farm.close(reason)

    async def _dial(self, host: Host) -> Channel:
        # Whose ticket it is must be known before the channel is, or its first change would go unseen.
        await _check(self)
        if self.lacking is not None:
            raise self.lacking
        principal = host.principal or f"{self._service}@{host.name}"
        return await dial(host.name, host.port, principal, self.cache, ca_file=self._ca)


class FarmRegistry:
    """All farms. Needs a running loop."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], _Kept] = {}

    def of(self, settings: Settings, request: Request) -> Farm:
        """The farm for a launcher with these settings and this environment."""
        value = request.environment.get(b"KRB5CCNAME")
        cache = os.fsdecode(value) if value else None
        key = (settings.hosts, settings.service, settings.ca, cache)
        kept = self._kept.get(key)
        if kept is None:
            self._drop_one()
            kept = self._kept[key] = _Kept(settings, cache)
        return kept.farm

    def _drop_one(self) -> None:
        """Makes room: each login may bring a credential cache of its own, and an agent may live for weeks."""
        if len(self._kept) >= FARMS:
            oldest = next((key for key, kept in self._kept.items() if not kept.farm.busy), None)
            if oldest is not None:
                self._kept.pop(oldest).close("not needed any more")

    def close(self, reason: str) -> None:
        """Ends all channels."""
        for kept in self._kept.values():
            kept.close(reason)

    def look(self) -> None:
        """Whether the tickets of farms in use are as they were; to be called about once a second."""
        for kept in self._kept.values():
            if kept.farm.connections or any(server.trouble for server in kept.farm.servers):
                kept.look()


async def _check(kept: _Kept) -> None:
    kept.seen = _stamp(kept.cache)
    try:
        late = CredentialError("the credential cache does not answer")
        principal, left = await within(limits.GSS_STEP_S, late, kerberos.credentials, kept.cache)
        ticket: tuple[bytes, float] | None = (principal, time.monotonic() + left)
        kept.lacking = None
    except SecureccError as error:
        ticket, kept.lacking = None, error
    known, kept.ticket = kept.ticket, ticket
    if _same(known, ticket):
        return
    if known is not None:
        kept.farm.close("the ticket is gone" if ticket is None else "there is another ticket")
    if ticket is not None:
        kept.farm.retry()


def _stamp(cache: str | None) -> StatKey | None:
    """What a credential cache in a file was when it was looked at; None for any other (krb5_cc_resolve)."""
    if cache is None or not cache.startswith(("FILE:", "/")):
        return None
    return path_stat_key(os.fsencode(cache.removeprefix("FILE:")))


def _same(one: tuple[bytes, float] | None, other: tuple[bytes, float] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one[0] == other[0] and abs(one[1] - other[1]) <= RENEWED_S
