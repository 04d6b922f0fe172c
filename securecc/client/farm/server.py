"""One server of a farm: its connection is made when needed; after a failure the server is left alone for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from securecc.channel.channel import Channel
from securecc.client.farm.server_connection import ServerConnection
from securecc.client.state.host_list import Host
from securecc.model import limits
from securecc.model.errors import ChannelError, SecureccError

BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds that a server is left alone after its n-th failure in a row."""

Dial = Callable[[Host], Awaitable[Channel]]
"""An authenticated channel to a host."""


class Server:
    """One host of the host list, and the connection to it, if there is one."""

    def __init__(self, host: Host, dial: Dial) -> None:
        self.host = host
        self.connection: ServerConnection | None = None
        self.trouble: SecureccError | None = None
        self._dial = dial
        self._failures = 0
        self._until = 0.0
        self._dialling: asyncio.Task[ServerConnection] | None = None

    @property
    def name(self) -> str:
        """The server as the user wrote it in the host list."""
        return str(self.host)

    async def connected(self) -> ServerConnection:
        """The connection, made if necessary; concurrent callers wait for the same attempt.

        Raises:
            SecureccError: why there is none, or, while the server is left alone, why the last attempt failed.
        """
        if self.connection is not None:
            return self.connection
        if self.trouble is not None and time.monotonic() < self._until:
            raise self.trouble
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._connect())
        return await asyncio.shield(self._dialling)

    def retry(self) -> None:
        """Lets the next compile try again at once, since something has changed (a new ticket)."""
        self.trouble = None
        self._failures = 0

    def close(self, reason: str) -> None:
        """Ends the connection; running jobs end within their limits."""
        if self.connection is not None:
            self.connection.close(reason)

    async def _connect(self) -> ServerConnection:
        try:
            channel = await self._dial(self.host)
            connection = ServerConnection(channel, self._ended, self.host.slots, name=self.name)
            await _welcomed(connection)
        except SecureccError as error:
            self._failed(error)
            raise
        finally:
            self._dialling = None
        self.trouble = None
        self._failures = 0
        self.connection = connection
        return connection

    def _failed(self, error: SecureccError) -> None:
        self.trouble = error
        self._until = time.monotonic() + BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1

    def _ended(self, connection: ServerConnection) -> None:
        if self.connection is connection:
            self.connection = None


async def _welcomed(connection: ServerConnection) -> None:
    try:
        async with asyncio.timeout(limits.PREAUTH_DEADLINE_S):
            await connection.welcomed()
    except TimeoutError as error:
        connection.close("no welcome")
        raise ChannelError(f"{connection.name} admitted us and then went silent", "see the server's log") from error
    if connection.ended is not None:
        raise connection.ended
