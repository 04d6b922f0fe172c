"""What a connection begins with while it is not known yet for whom it is: bytes are kept, none are answered."""


class EarlyBytes:
    """In the place of a `securecc.channel.tls.TlsPipe` until TLS begins. The link bounds what it may hold."""

    secured = closed = False

    def __init__(self) -> None:
        self.taken = bytearray()

    def feed(self, data: memoryview) -> None:
        """Bytes from the network."""
        self.taken += data

    def take_incoming(self) -> bytes:
        """Nothing of it is anybody's yet."""
        return b""

    take_outgoing = take_incoming

    def shut(self) -> None:
        """There is nobody to tell."""
