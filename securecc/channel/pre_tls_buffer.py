"""What a connection sends before TLS begins, which may be a proxy's header: bytes are kept, none are answered."""


class PreTlsBuffer:
    """Stands in for a `securecc.channel.tls.TlsPipe` until TLS begins. The connection bounds what `data` may hold."""

    secured = closed = False

    def __init__(self) -> None:
        self.data = bytearray()

    def feed(self, data: memoryview) -> None:
        """Bytes from the network."""
        self.data += data

    def take_incoming(self) -> bytes:
        """Nothing: no plain text comes before TLS."""
        return b""

    take_outgoing = take_incoming

    def shut(self) -> None:
        """Nothing: there is no TLS to end."""
