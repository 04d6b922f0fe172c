"""A server's side of one connection, from its first byte to the verdict: a proxy's word for whom it is where one
connects, TLS, Kerberos, proofs, judge, in this order.

No step can be left out: each needs the value that the one before it made (`securecc.wire.handshake`).
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from securecc.channel.channel import Channel, Listener
from securecc.channel.connection_gate import ConnectionGate, ConnectionSlot
from securecc.channel.deadline import within
from securecc.channel.kerberos import Acceptor, Exchange
from securecc.channel.tls import Context, TlsPipe
from securecc.channel.tls_connection import TlsConnection
from securecc.model import limits
from securecc.model.errors import AuthenticationError, ChannelError, Denied, ProtocolError, SecureccError
from securecc.model.principal import Principal
from securecc.wire import handshake
from securecc.wire.proxy_protocol import read_origin
from securecc.wire.session import Session

Peer = tuple[str, int]
Judge = Callable[[bytes, Peer, tuple[str, ...]], Awaitable[Any]]
Notice = Callable[[str, Peer, Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class House:
    """What all connections of a server share. `acceptor` and `context` are asked anew for each, so that a new keytab or
    certificate can take over.
    """

    gate: ConnectionGate
    acceptor: Callable[[], Acceptor]
    context: Callable[[], Context]
    judge: Judge
    on_channel: Callable[[Channel], Listener]
    notice: Notice
    deadline: float


class ServerHandshake:
    """One connection. `reference` is what the client is told and the audit finds it by."""

    def __init__(self, house: House, link: TlsConnection, place: ConnectionSlot) -> None:
        self._house = house
        self._link = link
        self._place = place
        self.reference = secrets.token_hex(4)
        self._principal = b""

    async def run(self) -> None:
        """Ends in a channel that has its listener, or in a closed connection that was noticed."""
        event = ""
        try:
            async with asyncio.timeout(self._house.deadline):
                await self._meet()
                channel = await self._admit()
            self._hand_over(channel)
        except TimeoutError:
            event = self._noticed("deadline", f"not authenticated within {self._house.deadline:g} s")
        except Denied as refused:  # who has no name yet was turned away by the gate
            self._noticed("denied" if self._principal else refused.rule, refused.message, refused.rule)
        except AuthenticationError as error:
            event = self._noticed("authentication", error.message)
        except ProtocolError as error:
            event = self._noticed("protocol", error.message)
        except SecureccError as error:
            event = self._noticed(self._stage(), error.message)
        finally:
            if not self._place.authenticated:
                self._link.finish(ChannelError("not admitted"))
                self._place.leave(event)

    def _hand_over(self, channel: Channel) -> None:
        channel.when_closed(self._place.leave)
        try:
            listener = self._house.on_channel(channel)
        except BaseException:
            channel.close()
            raise
        channel.attach(listener)

    def _stage(self) -> str:
        """The event of a connection that ended by itself."""
        if not self._link.heard:
            return "silent"
        return "failed" if self._link.is_secured else "tls"

    def _noticed(self, event: str, why: str, rule: str = "") -> str:
        detail = {"reference": self.reference, "why": why}
        if self._principal:
            detail["principal"] = Principal.display(self._principal)
        if rule:
            detail["rule"] = rule
        self._house.notice(event, self._link.peer, detail)
        return event

    async def _meet(self) -> None:
        link, skip = self._link, 0
        if self._place.proxied:
            origin = await link.preface(read_origin)
            link.proxy, skip = link.peer[0], origin.size
            if origin.peer is not None:
                link.peer = origin.peer
                self._place.named(origin.peer[0])
            elif not self._house.gate.allowed(link.proxy):
                raise Denied(f"proxy {link.proxy} did not say for whom it connects", rule="acl")
        link.secure(TlsPipe(self._house.context(), server=True), skip)

    async def _admit(self) -> Channel:
        authenticated = await self._hear_proof()
        self._principal = authenticated.principal
        try:
            grant = await self._house.judge(authenticated.principal, self._link.peer, authenticated.indicators)
        except SecureccError:  # not listed, no policy, no audit: one refusal for all of them
            self._link.send(authenticated.refuse(self.reference))
            raise
        self._link.send(authenticated.admit(self.reference))
        self._place.prove()
        return Channel(
            self._link,
            Session(server=True),
            principal=authenticated.principal,
            lifetime=authenticated.lifetime,
            reference=self.reference,
            grant=grant,
        )

    async def _hear_proof(self) -> handshake.Authenticated:
        link = self._link
        exporter = await link.secured()
        exchange = self._house.acceptor().start(exporter)
        try:
            return await self._exchange(exchange, exporter)
        except AuthenticationError:
            text = "authentication failed"
            if exchange.skewed:  # only a holder of a ticket gets as far as this, so no stranger learns the time
                now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
                text = f"clocks differ: the server's says {now}; set the one that is wrong (NTP)"
            link.send(handshake.refusal("authentication", text, self.reference))
            raise

    async def _exchange(self, exchange: Exchange, exporter: bytes) -> handshake.Authenticated:
        link = self._link
        crowded = None if self._place.known else Denied("too many strangers prove themselves at one time", rule="crowd")
        stage: handshake.AwaitToken | handshake.Established = handshake.AwaitToken(exporter)
        while isinstance(stage, handshake.AwaitToken):
            wanted = stage.receive(await link.receive())
            late = AuthenticationError(f"Kerberos took more than {limits.GSS_STEP_S:g} s over the client's token")
            reply, facts = await within(limits.GSS_STEP_S, late, exchange.step, wanted.token, crowded=crowded)
            stage, payloads = wanted.stepped(reply, facts)
            for payload in payloads:
                link.send(payload)
        awaited, payload = stage.proved(exchange.mic(stage.to_sign))
        link.send(payload)
        proof = awaited.receive(await link.receive())
        return proof.verified(genuine=exchange.verify(proof.signed, proof.mic))
