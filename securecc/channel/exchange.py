"""What a handshake asks of Kerberos (`securecc.channel.kerberos` answers): a GSS context, bound to a TLS connection."""

from typing import Protocol

from securecc.wire.handshake import Facts


class Exchange(Protocol):
    """One context, from its first token to the proofs of both ends (RFC 2743, section 1.1.3)."""

    @property
    def skewed(self) -> bool:
        """Whether a step failed because the clocks differ."""

    def step(self, token: bytes | None) -> tuple[bytes | None, Facts | None]:
        """The token for the peer if there is one, and the facts once the context is complete (RFC 2743, section 2.2).
        May block for seconds.

        Raises:
            AuthenticationError: the peer's token is rejected.
            CredentialError: the client has no usable tickets.
            KdcError: the realm gives none for the service.
        """

    def mic(self, message: bytes) -> bytes:
        """A MIC (RFC 2743, section 2.3.1), which only the other end of this context can verify.

        Raises:
            AuthenticationError: the context has expired.
        """

    def verify(self, message: bytes, mic: bytes) -> bool:
        """Whether `mic` is the other end's, of `message`, neither replayed nor out of sequence."""


class Authenticator(Protocol):
    """The credentials of one end: a server's keytab, or a client's ticket cache."""

    def start(self, exporter: bytes) -> Exchange:
        """A new context, bound to the TLS connection of this exporter value (RFC 9266). Does not block."""
