"""The server's stages of the handshake (see `securecc.wire.handshake`)."""

from dataclasses import dataclass
from typing import Final

import msgspec

from securecc.model import limits
from securecc.model.errors import AuthenticationError, FrameError
from securecc.model.principal import Principal
from securecc.wire.handshake import (
    CLIENT_LABEL,
    SERVER_LABEL,
    Admission,
    Facts,
    Refusal,
    Step,
    message,
    open_step,
    require,
)

_TOKEN: Final = frozenset({Step.TOKEN})
_PROOF: Final = frozenset({Step.PROOF})


@dataclass(frozen=True, slots=True)
class AwaitToken:
    """Server, first stage: TLS is up and its exporter value known."""

    exporter: bytes
    rounds: int = 0

    def receive(self, payload: bytes) -> "StepWanted":
        """A client's token.

        Raises:
            FrameError: it is not one, or there were too many.
        """
        _, token = open_step(payload, _TOKEN)
        if self.rounds >= limits.GSS_ROUNDS:
            raise FrameError(f"more than {limits.GSS_ROUNDS} tokens")
        return StepWanted(self.exporter, self.rounds + 1, token)


@dataclass(frozen=True, slots=True)
class StepWanted:
    """Server: the GSS context must be given `token`."""

    exporter: bytes
    rounds: int
    token: bytes

    def stepped(self, reply: bytes | None, facts: Facts | None) -> "tuple[AwaitToken | Established, list[bytes]]":
        """The next stage, and what to send. `facts` are given once the context is complete.

        Raises:
            AuthenticationError: the context is not what it must be.
        """
        send = [message(Step.TOKEN, reply)] if reply else []
        if facts is None:
            if not send:
                raise AuthenticationError("the security context neither completed nor continued")
            return AwaitToken(self.exporter, self.rounds), send
        require(facts, acceptor=True)
        return Established(self.exporter, facts), send


@dataclass(frozen=True, slots=True)
class Established:
    """Server: the context is complete and has all required properties; a MIC over `to_sign` is wanted."""

    exporter: bytes
    facts: Facts

    @property
    def to_sign(self) -> bytes:
        """What this side signs."""
        return SERVER_LABEL + self.exporter

    def proved(self, mic: bytes) -> "tuple[AwaitProof, bytes]":
        """The next stage, and what to send."""
        return AwaitProof(self.exporter, self.facts), message(Step.PROOF, mic)


@dataclass(frozen=True, slots=True)
class AwaitProof:
    """Server: the client's proof is due."""

    exporter: bytes
    facts: Facts

    def receive(self, payload: bytes) -> "ProofWanted":
        """The client's MIC.

        Raises:
            FrameError: it is not one.
        """
        _, mic = open_step(payload, _PROOF)
        return ProofWanted(CLIENT_LABEL + self.exporter, mic, self.facts)


@dataclass(frozen=True, slots=True)
class ProofWanted:
    """Server: `mic` must be verified over `signed`."""

    signed: bytes
    mic: bytes
    facts: Facts

    def verified(self, *, genuine: bool) -> "Authenticated":
        """The next stage.

        Raises:
            AuthenticationError: the MIC is not genuine.
        """
        if genuine is not True:
            raise AuthenticationError("the client's proof of this channel is wrong")
        facts = self.facts
        return Authenticated(facts.principal, facts.lifetime, facts.indicators)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Server: the client is `principal`, on this very channel. The policy decides whether it is admitted."""

    principal: bytes
    lifetime: float
    indicators: tuple[str, ...]

    def admit(self, reference: str) -> bytes:
        """What to send to a client that the policy admits; compile frames are legal from here on."""
        return message(Step.ADMITTED, msgspec.msgpack.encode(Admission(Principal.display(self.principal), reference)))

    def refuse(self, reference: str) -> bytes:
        """What to send to a client that the policy denies: the same whatever the reason."""
        text = f"{Principal.display(self.principal)} is not admitted here"
        return refusal("denied", text, reference)


def refusal(code: str, text: str, reference: str) -> bytes:
    """A server's refusal, at any stage."""
    return message(Step.REFUSED, msgspec.msgpack.encode(Refusal(code, text, reference)))
