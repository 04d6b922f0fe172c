"""A client's side of the handshake, once TCP is connected: TLS, Kerberos, the server's proof, its verdict, in this
order.

No step can be left out: each needs the result of the one before it (`securecc.wire.handshake`).
"""

from collections.abc import Awaitable
from typing import TypeVar

from securecc.channel.deadline import within
from securecc.channel.exchange import Authenticator, Exchange
from securecc.channel.tls_connection import TlsConnection
from securecc.model import limits
from securecc.model.errors import AuthenticationError, ChannelError, Denied, KdcError, SecureccError
from securecc.model.printable import plain
from securecc.wire import client_stages
from securecc.wire.handshake import Facts, Refusal

_T = TypeVar("_T")


async def authenticate(connection: TlsConnection, authenticator: Authenticator, server: str) -> client_stages.Admitted:
    """Authenticates both ends to each other; returns the server's admission. `server` is its name in messages.

    Raises:
        ChannelError: the connection ended, or TLS failed.
        CredentialError: there are no usable tickets, or (KdcError) the realm gives none for the service.
        AuthenticationError: the server's proof or ours is wrong.
        Denied: the server's policy does not admit us.
        ProtocolError: the server breaks the rules of the handshake.
    """
    exporter = await _hear(connection.secured())
    exchange = authenticator.start(exporter)
    stage: client_stages.Initiate | client_stages.AwaitServerProof = client_stages.Initiate(exporter)
    while isinstance(stage, client_stages.Initiate):
        reply, facts = await _step(exchange, stage.token)
        awaited, payloads = stage.stepped(reply, facts)
        for payload in payloads:
            connection.send(payload)
        if isinstance(awaited, client_stages.AwaitServerProof):
            stage = awaited
        else:
            stage = _accepted(awaited.receive(await _hear(connection.receive())), server)
    proof = _accepted(stage.receive(await _hear(connection.receive())), server)
    proven = proof.verified(genuine=exchange.verify(proof.signed, proof.mic))
    verdict, payload = proven.proved(exchange.mic(proven.to_sign))
    connection.send(payload)
    return _accepted(verdict.receive(await _hear(connection.receive())), server)


async def _step(exchange: Exchange, token: bytes | None) -> tuple[bytes | None, Facts | None]:
    late = KdcError(
        f"no KDC answered within {limits.GSS_STEP_S:g} s", "check the network and the realm's `kdc` in krb5.conf"
    )
    return await within(limits.GSS_STEP_S, late, exchange.step, token)


async def _hear(coming: Awaitable[bytes]) -> bytes:
    try:
        return await coming
    except ChannelError as error:
        if error.__cause__ is not None:  # TLS failed, or an error on this side
            raise
        advice = "it may be too busy, or its network list may not include this address"
        raise ChannelError(f"{error.message} before the server admitted us", advice) from error


def _accepted(answer: _T | Refusal, server: str) -> _T:
    """What the next stage needs, or raises the server's refusal as an error."""
    if not isinstance(answer, Refusal):
        return answer
    text, reference = (plain(part)[:256] for part in (answer.text, answer.reference))
    advice = f"give its administrators the reference {reference}"
    failure: type[SecureccError] = Denied if answer.code == "denied" else AuthenticationError
    raise failure(f"{server} refused: {text}", advice)
