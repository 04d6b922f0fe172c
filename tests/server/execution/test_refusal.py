"""What a client is told of an error, and what is on record."""

import pytest

from securecc.model.errors import (
    AuditError,
    BlobError,
    Denied,
    PathError,
    ProtocolError,
    Refused,
    SandboxError,
    StoreError,
)
from securecc.server.execution.refusal import Refusal, known_code, refusal_of


def test_codes() -> None:
    assert known_code("tree") == "tree"
    assert known_code("weird") == "server"


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (Denied("no", rule="r"), Refusal("denied", "no")),
        (Refused("limit", "too much"), Refusal("limit", "too much")),
        (Refused("unheard-of", "what"), Refusal("server", "what")),
        (PathError("no such path"), Refusal("tree", "no such path")),
        (BlobError("too long"), Refusal("limit", "too long")),
        (StoreError("a blob is lost"), Refusal("server", "a blob is lost")),
        (ProtocolError("too large"), Refusal("server", "too large")),
        (AuditError("disk full at /secret"), Refusal("server", "the server cannot write its audit log")),
        (KeyError("/secret"), Refusal("server", "internal error")),
    ],
)
def test_each_error_has_its_refusal(error: Exception, refusal: Refusal) -> None:
    assert refusal_of(error) == refusal


def test_what_a_sandbox_says_is_on_record_and_not_for_the_client() -> None:
    refusal = refusal_of(SandboxError("no space below /secret"))
    assert (refusal.code, refusal.reason) == ("server", "no space below /secret")
    assert refusal.told
    assert "/secret" not in refusal.told
