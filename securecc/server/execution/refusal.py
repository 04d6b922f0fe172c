"""Why a job is refused: what is recorded, and what its client is told."""

from dataclasses import dataclass
from typing import get_args

from securecc.model.errors import (
    AuditError,
    BlobError,
    Denied,
    PathError,
    Refused,
    SandboxError,
    SecureccError,
)
from securecc.model.messages import RefuseCode

_CODES: frozenset[str] = frozenset(get_args(RefuseCode))


@dataclass(frozen=True, slots=True)
class Refusal:
    """`reason` is for the record; the client is told `told` instead, if that is not empty."""

    code: RefuseCode
    reason: str
    told: str = ""


def known_code(code: str) -> RefuseCode:
    """The protocol's code for a refusal; `server` if it has none."""
    return code if code in _CODES else "server"  # type: ignore[return-value]


def refusal_of(error: Exception) -> Refusal:
    """The refusal for an error. Clients do not see the text of a sandbox error, which may name the server's paths, or
    of a defect, which may say anything.
    """
    match error:
        case Denied():
            return Refusal("denied", error.message)
        case Refused():
            return Refusal(known_code(error.code), error.message)
        case PathError():
            return Refusal("tree", error.message)
        case BlobError():
            return Refusal("limit", error.message)
        case AuditError():
            return Refusal("server", "the server cannot write its audit log")
        case SandboxError():
            return Refusal("server", error.message, "the server's sandbox could not run the job")
        case SecureccError():
            return Refusal("server", error.message)
    return Refusal("server", "internal error")
