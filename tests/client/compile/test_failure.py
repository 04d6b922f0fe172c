"""securecc.client.compile.failure: the word and the exit status of each failure."""

import pytest

from securecc.client.compile.failure import exit_status_of, reason_of
from securecc.model.errors import (
    AgentError,
    AuthenticationError,
    ChannelError,
    CredentialError,
    DeadlineError,
    Denied,
    KdcError,
    Refused,
    SecureccError,
)


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        (ChannelError("down"), "unreachable", 103),
        (DeadlineError("slow"), "unreachable", 118),
        (CredentialError("no ticket"), "no-ticket", 119),
        (KdcError("no KDC"), "kdc", 119),
        (AuthenticationError("who"), "authentication", 119),
        (Denied("not you"), "denied", 113),
        (Refused("denied", "not this"), "refused-denied", 113),
        (Refused("busy", "later"), "refused-busy", 107),
        (AgentError("odd"), "error", 107),
    ],
)
def test_a_failure_has_a_word_and_an_exit_status(error: SecureccError, reason: str, status: int) -> None:
    assert (reason_of(error), exit_status_of(error)) == (reason, status)
