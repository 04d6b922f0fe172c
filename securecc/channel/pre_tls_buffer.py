"""Keeps what a peer sends before TLS begins, such as a proxy's header; sends nothing."""


class PreTlsBuffer:
    """Stands in for a `securecc.channel.tls.TlsPipe` until TLS begins. The connection bounds the size of `data`."""

    secured = closed = False

    def __init__(self) -> None:
        self.data = bytearray()

    def feed(self, data: memoryview) -> None:
        """Bytes from the network."""
        self.data += data

    def take_incoming(self) -> bytes:
        """Nothing: there is no plaintext before TLS."""
        return b""

    take_outgoing = take_incoming

    def shut(self) -> None:
        """Does nothing: there is no TLS to end."""
