"""A server's side of one connection, from its first byte to the verdict: a proxy's header if there is one, TLS,
Kerberos, proofs, authorisation, in this order.

No step can be left out: each needs the result of the one before it (`securecc.wire.handshake`).
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from securecc.channel.channel import Channel, Listener, Peer
from securecc.channel.connection_gate import ConnectionGate, ConnectionSlot
from securecc.channel.deadline import within
from securecc.channel.exchange import Authenticator, Exchange
from securecc.channel.tls import Context, TlsPipe
from securecc.channel.tls_channel import TlsChannel
from securecc.channel.tls_connection import TlsConnection
from securecc.model import limits
from securecc.model.errors import AuthenticationError, ChannelError, Denied, ProtocolError, SecureccError
from securecc.model.principal import Principal
from securecc.wire import server_stages
from securecc.wire.proxy_protocol import read_proxy_header
from securecc.wire.session import Session

Authorise = Callable[[bytes, Peer, tuple[str, ...]], Awaitable[Any]]
"""Given the principal, its address and the ticket's authentication indicators, returns a grant or raises Denied."""

OnEvent = Callable[[str, Peer, Mapping[str, str]], None]
"""Told why an unauthenticated connection ended: the event, the peer, and details for the audit: `why` and, if known,
`reference`, `principal` and `rule`.
"""


@dataclass(frozen=True, slots=True)
class HandshakeServices:
    """What all handshakes of a server use. `authenticator` and `context` are called for each handshake, so that a new
    keytab or certificate takes effect; `deadline` is in seconds.
    """

    gate: ConnectionGate
    authenticator: Callable[[], Authenticator]
    context: Callable[[], Context]
    authorise: Authorise
    on_channel: Callable[[Channel], Listener]
    on_event: OnEvent
    deadline: float


class ServerHandshake:
    """The handshake of one connection. The client is told `reference`, by which the audit log finds it."""

    def __init__(self, services: HandshakeServices, connection: TlsConnection, slot: ConnectionSlot) -> None:
        self._services = services
        self._connection = connection
        self._slot = slot
        self.reference = secrets.token_hex(4)
        self._principal = b""

    async def run(self) -> None:
        """Ends with a channel that has its listener, or with a closed and reported connection."""
        event = ""
        try:
            async with asyncio.timeout(self._services.deadline):
                await self._begin_tls()
                channel = await self._admit()
            self._hand_over(channel)
        except TimeoutError:
            event = self._report("deadline", f"not authenticated within {self._services.deadline:g} s")
        except Denied as refused:  # without a principal, the gate denied it
            self._report("denied" if self._principal else refused.rule, refused.message, refused.rule)
        except AuthenticationError as error:
            event = self._report("authentication", error.message)
        except ProtocolError as error:
            event = self._report("protocol", error.message)
        except SecureccError as error:
            event = self._report(self._stage(), error.message)
        finally:
            if not self._slot.authenticated:
                self._connection.finish(ChannelError("not admitted"))
                self._slot.leave(event)

    def _hand_over(self, channel: TlsChannel) -> None:
        channel.when_closed(self._slot.leave)
        try:
            listener = self._services.on_channel(channel)
        except BaseException:
            channel.close()
            raise
        channel.attach(listener)

    def _stage(self) -> str:
        """The event for a connection that ended by itself."""
        if not self._connection.heard:
            return "silent"
        return "failed" if self._connection.is_secured else "tls"

    def _report(self, event: str, why: str, rule: str = "") -> str:
        detail = {"reference": self.reference, "why": why}
        if self._principal:
            detail["principal"] = Principal.display(self._principal)
        if rule:
            detail["rule"] = rule
        self._services.on_event(event, self._connection.peer, detail)
        return event

    async def _begin_tls(self) -> None:
        """Reads the proxy's header, if there is one (HAProxy's PROXY protocol, version 2), and begins TLS.

        Raises:
            Denied: the client that the proxy names may not connect, or the proxy names none.
        """
        connection, skip = self._connection, 0
        if self._slot.proxied:
            origin = await connection.read_header(read_proxy_header)
            connection.proxy, skip = connection.peer[0], origin.size
            if origin.peer is not None:
                connection.peer = origin.peer
                self._slot.forward_for(origin.peer[0])
            elif not self._services.gate.allowed(connection.proxy):
                raise Denied(f"proxy {connection.proxy} did not say whose connection it forwards", rule="acl")
        connection.start_tls(TlsPipe(self._services.context(), server=True), skip)

    async def _admit(self) -> TlsChannel:
        authenticated = await self._authenticate()
        self._principal = authenticated.principal
        try:
            peer = self._connection.peer
            grant = await self._services.authorise(authenticated.principal, peer, authenticated.indicators)
        except SecureccError:  # denied, no policy or no audit: the client is told the same
            self._connection.send(authenticated.refuse(self.reference))
            raise
        self._connection.send(authenticated.admit(self.reference))
        self._slot.authenticate()
        return TlsChannel(
            self._connection,
            Session(server=True),
            principal=authenticated.principal,
            lifetime=authenticated.lifetime,
            reference=self.reference,
            grant=grant,
        )

    async def _authenticate(self) -> server_stages.Authenticated:
        connection = self._connection
        exporter = await connection.secured()
        exchange = self._services.authenticator().start(exporter)
        try:
            return await self._exchange(exchange, exporter)
        except AuthenticationError:
            text = "authentication failed"
            if exchange.skewed:  # only the holder of a ticket gets this far, so no one else learns the time
                now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
                text = f"clocks differ: the server's says {now}; set the one that is wrong (NTP)"
            connection.send(server_stages.refusal("authentication", text, self.reference))
            raise

    async def _exchange(self, exchange: Exchange, exporter: bytes) -> server_stages.Authenticated:
        connection = self._connection
        too_many = Denied("too many clients are authenticating at the same time", rule="crowd")
        stage: server_stages.AwaitToken | server_stages.Established = server_stages.AwaitToken(exporter)
        while isinstance(stage, server_stages.AwaitToken):
            wanted = stage.receive(await connection.receive())
            late = AuthenticationError(f"Kerberos took more than {limits.GSS_STEP_S:g} s over the client's token")
            reply, facts = await within(
                limits.GSS_STEP_S, late, exchange.step, wanted.token, shed=None if self._slot.known else too_many
            )
            stage, payloads = wanted.stepped(reply, facts)
            for payload in payloads:
                connection.send(payload)
        awaited, payload = stage.proved(exchange.mic(stage.to_sign))
        connection.send(payload)
        proof = awaited.receive(await connection.receive())
        return proof.verified(genuine=exchange.verify(proof.signed, proof.mic))
