"""The two doors to a channel: `serve` for servers, `dial` for clients. Nothing of a job can be sent before both ends
are proven, for until then there is no Channel to send it on.
"""

import asyncio
import errno
import functools
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from securecc.channel import tls
from securecc.channel.channel import Channel, Listener
from securecc.channel.connection_gate import ConnectionGate
from securecc.channel.deadline import within
from securecc.channel.kerberos import Acceptor, Exchange, Initiator
from securecc.channel.server_handshake import House, Judge, Notice, Peer, ServerHandshake
from securecc.channel.tls_connection import TlsConnection
from securecc.model import limits
from securecc.model.errors import AuthenticationError, ChannelError, DeadlineError, Denied, KdcError, SecureccError
from securecc.model.printable import plain
from securecc.wire import handshake
from securecc.wire.session import Session

__all__ = ["Channel", "ConnectionGate", "Judge", "Listener", "Notice", "Peer", "Server", "dial", "serve"]

_T = TypeVar("_T")


class Server:
    """Listening sockets, and the handshakes under way on them."""

    def __init__(self, servers: Sequence[asyncio.Server], tasks: set[asyncio.Task[None]]) -> None:
        self._servers = servers
        self._tasks = tasks

    @property
    def addresses(self) -> list[Peer]:
        """Where it listens, ports as the kernel gave them."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    def stop_listening(self) -> None:
        """Takes no new connections; channels go on."""
        for server in self._servers:
            server.close()

    async def close(self) -> None:
        """Stops listening and gives up handshakes under way. Channels are their owner's to close."""
        self.stop_listening()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _ignore(event: str, peer: Peer, detail: Mapping[str, str]) -> None:
    """No audit: for tests and tools."""


async def serve(
    addresses: Sequence[Peer],
    *,
    gate: ConnectionGate,
    acceptor: Acceptor | Callable[[], Acceptor],
    context: tls.Context | Callable[[], tls.Context],
    judge: Judge,
    on_channel: Callable[[Channel], Listener],
    notice: Notice = _ignore,
    deadline: float = limits.PREAUTH_DEADLINE_S,
    sockets: Sequence[socket.socket] = (),
) -> Server:
    """Listens on `addresses` (host, port); an empty host means all. `sockets` listen already.

    Each connection that proves itself goes to `judge` (principal, peer, indicators), which returns a grant or raises
    Denied; then `on_channel` gets the Channel and returns its listener. `notice` is told of what strangers cause:
    events acl, cap, cap-source, cap-strangers, early, penalty, crowd, silent, deadline, tls, protocol, authentication,
    denied, failed; the mapping holds `why` and, where known, `reference`, `principal` and `rule`. `deadline` seconds
    are for all from TCP to the verdict. Raises ChannelError if an address cannot be listened on.
    """
    get = (lambda: acceptor) if isinstance(acceptor, Acceptor) else acceptor
    shown = (lambda: context) if isinstance(context, tls.Context) else context
    house = House(gate, get, shown, judge, on_channel, notice, deadline)
    tasks: set[asyncio.Task[None]] = set()
    servers: list[asyncio.Server] = []

    def link() -> TlsConnection:
        return TlsConnection(made=functools.partial(_enter, house, tasks))

    begin = [functools.partial(_listen, link, host, port) for host, port in addresses]
    begin += [functools.partial(_listen_on, link, given) for given in sockets]
    for listen in begin:
        try:
            servers.append(await listen())
        except ChannelError:
            for server in servers:
                server.close()
            raise
    return Server(servers, tasks)


def _enter(house: House, tasks: set[asyncio.Task[None]], link: TlsConnection) -> None:
    """A connection has come: the gate first, before a byte is read."""
    try:
        place = house.gate.enter(link.peer[0])
    except Denied as refused:
        house.notice(refused.rule, link.peer, {"why": refused.message})
        link.fail(ChannelError(refused.message))
        return
    task = link.loop.create_task(ServerHandshake(house, link, place).run())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _listen(link: Callable[[], TlsConnection], host: str, port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(link, host or None, port, backlog=limits.BACKLOG)
    except OSError as error:
        raise ChannelError(
            f"cannot listen on {host or '*'} port {port}: {os.strerror(error.errno or 0)}",
            "choose another address or port, or stop what holds this one (`ss -ltnp` shows it)",
        ) from error


async def _listen_on(link: Callable[[], TlsConnection], given: socket.socket) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(link, sock=given)
    except (OSError, ValueError) as error:  # ValueError: it is no stream
        raise ChannelError(f"cannot listen on a socket that was opened for us: {error}") from error


async def dial(
    host: str,
    port: int,
    service: str = "",
    ccache: str | None = None,
    *,
    ca_file: str | None = None,
    deadline: float = limits.PREAUTH_DEADLINE_S,
) -> Channel:
    """A channel to a server that has proven to be `service` (``securecc@HOST`` unless told otherwise).

    `ccache` names the credential cache (None: the default one). Raises ChannelError (not reached, TLS, too late),
    CredentialError (nothing to prove ourselves with), AuthenticationError (the server's proof or ours is wrong),
    Denied (the server does not admit us), ProtocolError. `attach` a listener to what it returns.
    """
    name = f"{host} port {port}"
    context = tls.client_context(ca_file) if ca_file else _plain_context()
    link: TlsConnection | None = None
    try:
        async with asyncio.timeout(deadline):
            link = await _connect(context, host, port, deadline)
            return await _prove(link, Initiator(service or f"securecc@{host}", ccache), name)
    except TimeoutError:
        error = DeadlineError(
            f"{name} did not admit us within {deadline:g} s", "check the network and the server's log"
        )
        raise error from None
    finally:
        if link is not None and not link.is_open:
            link.fail(ChannelError("gave up"))


@functools.cache
def _plain_context() -> tls.Context:
    return tls.client_context()


async def _connect(
    context: tls.Context, host: str, port: int, patience: float = limits.PREAUTH_DEADLINE_S
) -> TlsConnection:
    """The first address of the host's that answers. Each has a part of the patience: one that is silent (IPv6 that
    leads nowhere, say) leaves the others theirs.
    """
    loop = asyncio.get_running_loop()
    trouble: OSError | None = None
    addresses = await _resolve(host, port)
    for address in addresses:
        try:
            async with asyncio.timeout(patience / len(addresses)):
                _, link = await loop.create_connection(
                    lambda: TlsConnection(tls.TlsPipe(context, server=False, host=host)), address, port
                )
        except OSError as error:  # TimeoutError among them, without a number
            trouble = error
        else:
            return link
    reason = os.strerror(trouble.errno or errno.ETIMEDOUT) if trouble else "it has no address"
    advice = "check that secureccd runs there and that a firewall lets it be reached"
    raise ChannelError(f"cannot connect to {host} port {port}: {reason}", advice) from trouble


async def _resolve(host: str, port: int) -> list[str]:
    """On a daemon thread: the event loop's own resolver would hold up the end of the process."""
    late = ChannelError(f"no name server told the address of {host}", "check the network and resolv.conf")
    look = functools.partial(socket.getaddrinfo, type=socket.SOCK_STREAM)
    try:
        found = await within(limits.PREAUTH_DEADLINE_S, late, look, host, port)
    except OSError as error:
        raise ChannelError(f"cannot find {host}: {error.strerror or error}", "check the host's name") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _prove(link: TlsConnection, initiator: Initiator, name: str) -> Channel:
    exporter = await _hear(link.secured())
    exchange = initiator.start(exporter)
    stage: handshake.Initiate | handshake.AwaitServerProof = handshake.Initiate(exporter)
    while isinstance(stage, handshake.Initiate):
        reply, facts = await _step(exchange, stage.token)
        awaited, payloads = stage.stepped(reply, facts)
        for payload in payloads:
            link.send(payload)
        stage = awaited if isinstance(awaited, handshake.AwaitServerProof) else await _reply(link, awaited, name)
    proof = _admitted(stage.receive(await _hear(link.receive())), name)
    proven = proof.verified(genuine=exchange.verify(proof.signed, proof.mic))
    verdict, payload = proven.proved(exchange.mic(proven.to_sign))
    link.send(payload)
    admitted = _admitted(verdict.receive(await _hear(link.receive())), name)
    return Channel(
        link,
        Session(server=False),
        principal=admitted.principal.encode(),
        lifetime=admitted.lifetime,
        reference=admitted.reference,
    )


async def _step(exchange: Exchange, token: bytes | None) -> tuple[bytes | None, handshake.Facts | None]:
    late = KdcError(
        f"no KDC answered within {limits.GSS_STEP_S:g} s", "check the network and the realm's `kdc` in krb5.conf"
    )
    return await within(limits.GSS_STEP_S, late, exchange.step, token)


async def _reply(link: TlsConnection, awaited: handshake.AwaitReply, name: str) -> handshake.Initiate:
    return _admitted(awaited.receive(await _hear(link.receive())), name)


async def _hear(coming: Awaitable[bytes]) -> bytes:
    try:
        return await coming
    except ChannelError as error:
        if error.__cause__ is not None:  # TLS, or we ourselves
            raise
        advice = "it may be too busy, or its network list may not have this address"
        raise ChannelError(f"{error.message} before the server admitted us", advice) from error


def _admitted(answer: _T | handshake.Refusal, name: str) -> _T:
    """What the stage goes on with, or the server's refusal as an error."""
    if not isinstance(answer, handshake.Refusal):
        return answer
    text, reference = (plain(part)[:256] for part in (answer.text, answer.reference))
    advice = f"give its administrators the reference {reference}"
    failure: type[SecureccError] = Denied if answer.code == "denied" else AuthenticationError
    raise failure(f"{name} refused: {text}", advice)
