"""A connection and the kernel: where its bytes go when they are read, and what it is told (tcp(7))."""

import socket
import threading
from typing import Final

from securecc.model import limits

_READ: Final = 256 * 1024


class _Incoming(threading.local):
    """Where a read puts its bytes. One for all links of a thread: the bytes are taken before the next read begins."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ))


incoming = _Incoming()


def tune(sock: "socket.socket | None") -> None:
    """No delay for small frames; a peer that is gone without a word is found by the kernel as well."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.HEARTBEAT_LOST_S * 1000))
