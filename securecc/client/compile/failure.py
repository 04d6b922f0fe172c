"""The reason that the journal gives a failure of the farm, and the launcher's exit status for it."""

from securecc.model.errors import (
    AuthenticationError,
    ChannelError,
    CredentialError,
    DeadlineError,
    Denied,
    KdcError,
    Refused,
    SecureccError,
)

EXIT_CONNECT, EXIT_IO, EXIT_DENIED, EXIT_NO_HOSTS, EXIT_TIMEOUT, EXIT_GSS = 103, 107, 113, 116, 118, 119
"""The same as distcc's exit codes (distcc(1), EXIT CODES)."""

_REASONS = (
    (KdcError, "kdc"),
    (CredentialError, "no-ticket"),
    (Denied, "denied"),
    (AuthenticationError, "authentication"),
    (ChannelError, "unreachable"),
)


def reason_of(error: SecureccError) -> str:
    """The word under which such errors are counted."""
    if isinstance(error, Refused):
        return f"refused-{error.code}"
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "error")


def exit_status_of(error: SecureccError) -> int:
    """The exit status for it, the same as distcc's."""
    if isinstance(error, Denied) or (isinstance(error, Refused) and error.code == "denied"):
        return EXIT_DENIED
    if isinstance(error, AuthenticationError):
        return EXIT_GSS
    if isinstance(error, DeadlineError):
        return EXIT_TIMEOUT
    return EXIT_CONNECT if isinstance(error, ChannelError) else EXIT_IO
