"""A connection's socket: its read buffer and its options (tcp(7), socket(7))."""

import socket
import threading
from typing import Final

from securecc.model import limits

_READ: Final = 256 * 1024


class _Incoming(threading.local):
    """The read buffer. One for all connections of a thread: bytes are taken out before the next read begins."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ))


incoming = _Incoming()


def tune(sock: "socket.socket | None") -> None:
    """Sets TCP_NODELAY, for small frames, SO_KEEPALIVE and TCP_USER_TIMEOUT, for a peer that has silently gone."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.HEARTBEAT_LOST_S * 1000))
