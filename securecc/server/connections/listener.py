"""Where the front listens, and from whom it accepts connections: addresses, proxies, known sources."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from securecc.channel import tls
from securecc.channel.channel import Channel, Listener
from securecc.channel.connection_gate import ConnectionGate
from securecc.channel.exchange import Authenticator
from securecc.channel.known_sources import KnownSources
from securecc.channel.server import Server, serve
from securecc.channel.server_handshake import Authorise, OnEvent
from securecc.daemon.settings import DaemonSettings
from securecc.model import limits
from securecc.policy.policy_in_force import PolicyInForce
from securecc.server.connections import known_sources_file

log = logging.getLogger("securecc")

KNOWN_NAME = "known-sources"
"""The file's name in the state directory."""


class NetworkListener:
    """Keeps the known sources across restarts. If a service manager passes `sockets`, it listens only on these."""

    def __init__(self, settings: DaemonSettings, policy: PolicyInForce, sockets: Sequence[socket.socket] = ()) -> None:
        self._settings = settings
        self._sockets = sockets
        self._path = settings.state / KNOWN_NAME
        self.known = KnownSources(self._read())
        self._written = time.monotonic()
        self.gate = ConnectionGate(policy.admits, settings.limits.places, known=self.known, proxies=policy.believes)

    async def listen(
        self,
        authenticator: Callable[[], Authenticator],
        context: Callable[[], tls.Context],
        authorise: Authorise,
        on_channel: Callable[[Channel], Listener],
        on_event: OnEvent,
    ) -> Server:
        """See `securecc.channel.server.serve`.

        Raises:
            ChannelError: an address cannot be listened on.
        """
        return await serve(
            [] if self._sockets else [(address, self._settings.port) for address in self._settings.listen],
            gate=self.gate,
            authenticator=authenticator,
            context=context,
            authorise=authorise,
            on_channel=on_channel,
            on_event=on_event,
            deadline=self._settings.limits.preauth_deadline_s,
            sockets=self._sockets,
        )

    async def keep(self) -> None:
        """Writes the known sources if there are new ones, at most every KNOWN_WRITE_S seconds."""
        if self.known.changed and time.monotonic() - self._written >= limits.KNOWN_WRITE_S:
            self._written = time.monotonic()
            await asyncio.to_thread(self._write, self.known.take())

    def close(self) -> None:
        """Writes the known sources a last time."""
        if self.known.changed:
            self._write(self.known.take())

    def _read(self) -> dict[str, float]:
        try:
            return known_sources_file.read(self._path)
        except OSError as error:
            log.warning("cannot read %s: %s; no source is known", self._path, error.strerror)
            return {}

    def _write(self, seen: Mapping[str, float]) -> None:
        try:
            known_sources_file.write(self._path, seen)
        except OSError as error:
            log.warning("cannot write %s: %s", self._path, error.strerror)
