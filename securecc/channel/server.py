"""A server's listening sockets: each connection that authenticates itself becomes a channel.

Nothing of a job can be sent before both ends are authenticated: until then there is no Channel to send it on.
"""

import asyncio
import functools
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from securecc.channel import tls
from securecc.channel.channel import Channel, Listener, Peer
from securecc.channel.connection_gate import ConnectionGate
from securecc.channel.exchange import Authenticator
from securecc.channel.server_handshake import Authorise, HandshakeServices, OnEvent, ServerHandshake
from securecc.channel.tls_connection import TlsConnection
from securecc.model import limits
from securecc.model.errors import ChannelError, Denied


class Server:
    """Listening sockets, and the handshakes under way on them."""

    def __init__(self, servers: Sequence[asyncio.Server], handshakes: set[asyncio.Task[None]]) -> None:
        self._servers = servers
        self._handshakes = handshakes

    @property
    def addresses(self) -> list[Peer]:
        """Where it listens, with the ports that the kernel assigned."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    def stop_listening(self) -> None:
        """Takes no new connections; channels stay open."""
        for server in self._servers:
            server.close()

    async def close(self) -> None:
        """Stops listening and abandons handshakes under way. Their owner closes the channels."""
        self.stop_listening()
        handshakes = list(self._handshakes)
        for handshake in handshakes:
            handshake.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)


def _ignore(event: str, peer: Peer, detail: Mapping[str, str]) -> None:
    """Discards events, for tests and tools."""


async def serve(
    addresses: Sequence[Peer],
    *,
    gate: ConnectionGate,
    authenticator: Callable[[], Authenticator],
    context: tls.Context | Callable[[], tls.Context],
    authorise: Authorise,
    on_channel: Callable[[Channel], Listener],
    on_event: OnEvent = _ignore,
    deadline: float = limits.PREAUTH_DEADLINE_S,
    sockets: Sequence[socket.socket] = (),
) -> Server:
    """Listens; each connection that authenticates itself is authorised and becomes a channel.

    Args:
        addresses: Host and port of each; an empty host means all.
        gate: Who may connect at all.
        authenticator: Returns the service's keys, for each connection.
        context: The TLS context, or a function that returns one for each connection.
        authorise: Given principal, peer and authentication indicators; returns a grant or raises Denied.
        on_channel: Called with each new channel; returns its listener.
        on_event: Told why unauthenticated connections end: acl, cap, cap-source, cap-strangers, early, penalty,
            crowd, silent, deadline, tls, protocol, authentication, denied, failed.
        deadline: Seconds from TCP to the verdict.
        sockets: Sockets that are listening already.

    Raises:
        ChannelError: an address cannot be listened on.
    """
    get_context = (lambda: context) if isinstance(context, tls.Context) else context
    services = HandshakeServices(gate, authenticator, get_context, authorise, on_channel, on_event, deadline)
    handshakes: set[asyncio.Task[None]] = set()

    def accept() -> TlsConnection:
        return TlsConnection(made=functools.partial(_enter, services, handshakes))

    listen = [functools.partial(_listen, accept, host, port) for host, port in addresses]
    listen += [functools.partial(_listen_on, accept, given) for given in sockets]
    return Server(await _all(listen), handshakes)


async def _all(listen: Sequence[Callable[[], Awaitable[asyncio.Server]]]) -> list[asyncio.Server]:
    # All or none.
    servers: list[asyncio.Server] = []
    for begin in listen:
        try:
            servers.append(await begin())
        except ChannelError:
            for server in servers:
                server.close()
            raise
    return servers


def _enter(services: HandshakeServices, handshakes: set[asyncio.Task[None]], connection: TlsConnection) -> None:
    """Takes a new connection through the gate before a byte is read."""
    try:
        slot = services.gate.enter(connection.peer[0])
    except Denied as denied:
        services.on_event(denied.rule, connection.peer, {"why": denied.message})
        connection.fail(ChannelError(denied.message))
        return
    handshake = connection.loop.create_task(ServerHandshake(services, connection, slot).run())
    handshakes.add(handshake)
    handshake.add_done_callback(handshakes.discard)


async def _listen(accept: Callable[[], TlsConnection], host: str, port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(accept, host or None, port, backlog=limits.BACKLOG)
    except OSError as error:
        raise ChannelError(
            f"cannot listen on {host or '*'} port {port}: {os.strerror(error.errno or 0)}",
            "choose another address or port, or stop what holds this one (`ss -ltnp` shows it)",
        ) from error


async def _listen_on(accept: Callable[[], TlsConnection], given: socket.socket) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(accept, sock=given)
    except (OSError, ValueError) as error:  # ValueError: it is not a stream socket
        raise ChannelError(f"cannot listen on the socket that the service manager passed: {error}") from error
