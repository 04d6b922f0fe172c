"""Who is at the other end of a Unix socket: SO_PEERCRED (unix(7))."""

import socket
import struct
from typing import NamedTuple

_UCRED = struct.Struct("3i")  # struct ucred: pid, uid, gid


class PeerCredentials(NamedTuple):
    """The peer's ids at the moment it called connect(2) or listen(2). `pid` is 0 for a process that our pid namespace
    cannot see.
    """

    pid: int
    uid: int
    gid: int


def peer_credentials(connection: socket.socket) -> PeerCredentials:
    """The credentials that the kernel vouches for.

    Raises:
        OSError: the socket is not a connected Unix socket.
    """
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return PeerCredentials(*_UCRED.unpack(data))
