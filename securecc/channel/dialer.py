"""How a client opens a channel: name resolution, TCP, then the handshake (`securecc.channel.client_handshake`).

Nothing of a job can be sent before both ends are authenticated: until then there is no Channel to send it on.
"""

import asyncio
import errno
import functools
import os
import socket
from collections.abc import Callable

from securecc.channel import tls
from securecc.channel.client_handshake import authenticate
from securecc.channel.deadline import within
from securecc.channel.exchange import Authenticator
from securecc.channel.kerberos import Initiator
from securecc.channel.tls_channel import TlsChannel
from securecc.channel.tls_connection import TlsConnection
from securecc.model import limits
from securecc.model.errors import ChannelError, DeadlineError
from securecc.wire.client_stages import Admitted
from securecc.wire.session import Session


async def dial(
    host: str,
    port: int,
    service: str = "",
    ccache: str | None = None,
    *,
    ca_file: str | None = None,
    deadline: float = limits.PREAUTH_DEADLINE_S,
    initiate: Callable[[str, str | None], Authenticator] = Initiator,
) -> TlsChannel:
    """A channel to a server that has proved to be `service` (default: ``securecc@HOST``). `attach` a listener to it.

    Args:
        host: Name or address.
        port: TCP port.
        service: As for `securecc.channel.kerberos.Initiator`.
        ccache: The credential cache; None is the default one.
        ca_file: Certificates (PEM) to verify the server's by, if the site wants that.
        deadline: Seconds for all of it.
        initiate: Returns the credentials, given service and cache.

    Raises:
        ChannelError: the server cannot be reached, or TLS failed.
        DeadlineError: it took too long.
        CredentialError: there are no usable tickets, or (KdcError) the realm gives none for the service.
        AuthenticationError: the server's proof or ours is wrong.
        Denied: the server does not admit us.
        ProtocolError: the server breaks the rules of the handshake.
    """
    name = f"{host} port {port}"
    context = tls.client_context(ca_file) if ca_file else _unverified_context()
    connection: TlsConnection | None = None
    try:
        async with asyncio.timeout(deadline):
            connection = await connect(context, host, port, deadline)
            admitted = await authenticate(connection, initiate(service or f"securecc@{host}", ccache), name)
            return _channel(connection, admitted)
    except TimeoutError:
        advice = "check the network and the server's log"
        raise DeadlineError(f"{name} did not admit us within {deadline:g} s", advice) from None
    finally:
        if connection is not None and not connection.is_open:
            connection.fail(ChannelError("gave up"))


def _channel(connection: TlsConnection, admitted: Admitted) -> TlsChannel:
    return TlsChannel(
        connection,
        Session(server=False),
        principal=admitted.principal.encode(),
        lifetime=admitted.lifetime,
        reference=admitted.reference,
    )


@functools.cache
def _unverified_context() -> tls.Context:
    return tls.client_context()


async def connect(
    context: tls.Context, host: str, port: int, patience: float = limits.PREAUTH_DEADLINE_S
) -> TlsConnection:
    """Connects to the host's first address that answers, and begins TLS. Each address gets an equal part of `patience`,
    in seconds, so a silent one (say, unrouted IPv6) leaves time for the others.

    Raises:
        ChannelError: no address answers, or the name has none.
    """
    loop = asyncio.get_running_loop()
    trouble: OSError | None = None
    addresses = await _resolve(host, port)
    for address in addresses:
        try:
            async with asyncio.timeout(patience / len(addresses)):
                _, connection = await loop.create_connection(
                    lambda: TlsConnection(tls.TlsPipe(context, server=False, host=host)), address, port
                )
        except OSError as error:  # this includes TimeoutError, which has no errno
            trouble = error
        else:
            return connection
    reason = os.strerror(trouble.errno or errno.ETIMEDOUT) if trouble else "it has no address"
    advice = "check that secureccd is running there and that no firewall is in the way"
    raise ChannelError(f"cannot connect to {host} port {port}: {reason}", advice) from trouble


async def _resolve(host: str, port: int) -> list[str]:
    # On a daemon thread: the event loop's own resolver would delay the end of the process.
    late = ChannelError(f"cannot resolve {host}: no answer from DNS", "check the network and resolv.conf")
    look_up = functools.partial(socket.getaddrinfo, type=socket.SOCK_STREAM)
    try:
        found = await within(limits.PREAUTH_DEADLINE_S, late, look_up, host, port)
    except OSError as error:
        raise ChannelError(f"cannot resolve {host}: {error.strerror or error}", "check the host's name") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
