"""A channel: an authenticated connection that carries the messages and data of jobs. What its users see of it."""

from collections.abc import Callable
from typing import Any, Protocol

from securecc.model.errors import SecureccError
from securecc.model.messages import FromClient, FromServer, Goodbye

Peer = tuple[str, int]
"""Address and port."""


class Listener(Protocol):
    """What a channel tells its user."""

    def on_message(self, message: Any) -> None:
        """A message that is legal at this point; the channel itself handles Ping and Pong."""

    def on_bulk(self, job: int, data: bytes) -> None:
        """A chunk of data for `job`, decompressed."""

    def on_lost(self, error: SecureccError) -> None:
        """The channel has ended, for this reason, which may be `close`. Called once, last."""


class Channel(Protocol):
    """One authenticated connection, at either end (`securecc.channel.tls_channel` is the only real one).

    Attributes:
        pace: Given the seconds that a full turn took, returns for how many seconds the channel must wait.
    """

    pace: Callable[[float], float]

    @property
    def principal(self) -> bytes:
        """The client's, on both sides."""

    @property
    def grant(self) -> Any:
        """What `authorise` gave; None on a client."""

    @property
    def peer(self) -> Peer:
        """The other end's address, or the one that a proxy names."""

    @property
    def proxy(self) -> str:
        """The address of the proxy that connects for `peer`, or that named no client and is the peer itself; or ""."""

    @property
    def reference(self) -> str:
        """By which the server's audit log finds the channel."""

    @property
    def lifetime_end(self) -> float:
        """When the ticket ends, on time.monotonic()'s clock."""

    @property
    def closed(self) -> bool:
        """Whether it has stopped taking messages."""

    def attach(self, listener: Listener) -> None:
        """Starts to deliver what arrives. If the channel has ended already, `on_lost` is called at once."""

    def send(self, message: FromClient | FromServer) -> bool:
        """Sends a message. False if it is no longer of use: the channel is closed, or its job has ended meanwhile.

        Raises:
            ProtocolError: the protocol does not allow this message now.
        """

    def send_bulk(self, job: int, data: bytes | memoryview) -> bool:
        """Sends data for a job. Returns the same as `send`.

        Raises:
            ProtocolError: the protocol does not allow data for this job now, or not that much.
        """

    async def drain(self) -> None:
        """Waits while more than WRITE_HIGH bytes wait for the peer.

        Raises:
            SecureccError: the channel has ended, for this reason.
        """

    def close(self, goodbye: Goodbye | None = None) -> None:
        """Says goodbye, sends what is still held, for CLOSE_S at most, and ends; `on_lost` follows."""

    async def wait_closed(self) -> SecureccError:
        """Waits for the end; returns its reason."""
