"""What the kernel is told about a connection: tcp(7)."""

import socket

from securecc.words import limits


def tune(sock: "socket.socket | None") -> None:
    """No delay for small frames; a peer that is gone without a word is found by the kernel as well."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.HEARTBEAT_LOST_S * 1000))
