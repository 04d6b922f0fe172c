"""The order in which two ends authenticate each other, as values: only one stage can make the next.

Client                                server
  token    ---------------------------> AwaitToken -> StepWanted
           <--------------------------- token, proof   (Established -> AwaitProof)
  proof    ---------------------------> ProofWanted -> Authenticated
           <--------------------------- admitted | refused

Nothing here calls Kerberos: a stage asks for a step or a check, and the caller continues with the result.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import msgspec

from securecc.model import limits
from securecc.model.errors import AuthenticationError, FrameError

BINDING_PREFIX: Final = b"tls-exporter:"  # RFC 9266 section 2
CLIENT_LABEL: Final = b"securecc proof client 1:"
SERVER_LABEL: Final = b"securecc proof server 1:"


class Step(IntEnum):
    """First byte of a handshake frame's payload."""

    TOKEN = 1
    PROOF = 2
    ADMITTED = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """What a completed GSS context says about itself. `lifetime` in seconds; only the acceptor knows `bound`."""

    principal: bytes
    lifetime: float
    krb5: bool = True
    mutual: bool = True
    replay: bool = True
    integrity: bool = True
    confidentiality: bool = True
    bound: bool = True
    dce: bool = False
    delegated: bool = False
    indicators: tuple[str, ...] = ()


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """The server's refusal, as the client sees it: it names no rule; administrators look the reference up."""

    code: str
    text: str
    reference: str


class Admission(msgspec.Struct, frozen=True, array_like=True):
    """The server's admission."""

    principal: str
    reference: str


def binding(exporter: bytes) -> bytes:
    """The application data of the channel bindings, the same on both sides."""
    return BINDING_PREFIX + exporter


def require(facts: Facts, *, acceptor: bool) -> None:
    """Checks all properties that a context must have.

    Raises:
        AuthenticationError: the first one that is missing, by name.
    """
    wanted = {
        "uses a mechanism other than Kerberos": facts.krb5,
        "has no mutual authentication": facts.mutual,
        "has no replay detection": facts.replay,
        "has no integrity": facts.integrity,
        "has no confidentiality": facts.confidentiality,
        "is not bound to this channel": facts.bound or not acceptor,
        "is DCE-style": not facts.dce,
        "delegates credentials": not facts.delegated,
        "has no lifetime left": facts.lifetime > 0,
        "has no principal": bool(facts.principal),
    }
    for fault, fine in wanted.items():
        if not fine:
            raise AuthenticationError(f"the security context {fault}")


def open_step(payload: bytes, legal: frozenset[Step]) -> tuple[Step, bytes]:
    """Step and body.

    Raises:
        FrameError: the payload is not one of the steps that the stage waits for.
    """
    if not payload or payload[0] not in legal:
        raise FrameError(f"handshake step {payload[0] if payload else 'none'} where {_list(legal)} was due")
    step, body = Step(payload[0]), payload[1:]
    if not body or (step is Step.PROOF and len(body) > limits.PROOF):
        raise FrameError(f"handshake step {step.name.lower()} of {len(body)} bytes")
    return step, body


def _list(legal: frozenset[Step]) -> str:
    return " or ".join(step.name.lower() for step in sorted(legal))


def message(step: Step, body: bytes) -> bytes:
    """The payload of a handshake frame."""
    return bytes((step,)) + body
