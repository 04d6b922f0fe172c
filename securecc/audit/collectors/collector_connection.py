"""The sockets that lead to collectors: datagrams to local ones and by UDP, a stream by TCP."""

import socket

from securecc.audit.collectors.destination import Destination

TIMEOUT_S = 5.0


class CollectorConnection:
    """A connection to one collector, opened when it is first used and again after it was lost."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._socket: socket.socket | None = None
        self._last = b""

    def send(self, message: bytes) -> None:
        """Sends one message.

        TCP reports too late that an earlier message has not arrived: after each break the last message is sent again.

        Raises:
            OSError: the collector cannot be reached.
        """
        fresh = self._socket is None
        try:
            if self._socket is None:
                self._socket = _opened(self.destination)
            if self.destination.kind == "tcp":
                _check_alive(self._socket)
                self._socket.sendall((self._last if fresh and self._last != message else b"") + message)
            else:
                self._socket.send(message)
        except OSError:
            self.close()
            raise
        self._last = message

    def close(self) -> None:
        """Closes the socket. May be called again."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def _opened(destination: Destination) -> socket.socket:
    if destination.kind == "tcp":
        return socket.create_connection((destination.where, destination.port), TIMEOUT_S)
    if destination.kind == "udp":
        found = socket.getaddrinfo(destination.where, destination.port, type=socket.SOCK_DGRAM)
        family, address = found[0][0], found[0][4]
    else:
        family, address = socket.AF_UNIX, destination.where  # type: ignore[assignment]
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        made.settimeout(TIMEOUT_S)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def _check_alive(stream: socket.socket) -> None:
    """Notices a collector that closed its end before a message is lost there. A collector never sends anything.

    Raises:
        ConnectionResetError: the collector has closed the connection.
    """
    stream.setblocking(False)
    try:
        if stream.recv(4096) == b"":
            raise ConnectionResetError("closed by the collector")
    except BlockingIOError:
        pass
    finally:
        stream.settimeout(TIMEOUT_S)
