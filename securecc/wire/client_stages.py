"""The client's stages of the handshake (see `securecc.wire.handshake`).

The server may send a refusal instead of any reply that is due.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from securecc.model import limits
from securecc.model.errors import AuthenticationError, FrameError
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

_TOKEN: Final = frozenset({Step.TOKEN, Step.REFUSED})
_PROOF: Final = frozenset({Step.PROOF, Step.REFUSED})
_VERDICT: Final = frozenset({Step.ADMITTED, Step.REFUSED})


@dataclass(frozen=True, slots=True)
class Initiate:
    """Client, first and repeated stage: the GSS context must be given `token` (None at first)."""

    exporter: bytes
    token: bytes | None = None
    rounds: int = 0

    def stepped(self, reply: bytes | None, facts: Facts | None) -> "tuple[AwaitReply | AwaitServerProof, list[bytes]]":
        """The next stage, and what to send. `facts` are given once the context is complete.

        Raises:
            AuthenticationError: the context is not what it must be.
        """
        send = [message(Step.TOKEN, reply)] if reply else []
        if facts is not None:
            require(facts, acceptor=False)
            return AwaitServerProof(self.exporter, facts), send
        if not send:
            raise AuthenticationError("the security context neither completed nor continued")
        return AwaitReply(self.exporter, self.rounds), send


@dataclass(frozen=True, slots=True)
class AwaitReply:
    """Client: the server's token is due."""

    exporter: bytes
    rounds: int

    def receive(self, payload: bytes) -> "Initiate | Refusal":
        """The server's token, or its refusal.

        Raises:
            FrameError: it is neither, or there were too many tokens.
        """
        step, body = open_step(payload, _TOKEN)
        if step is Step.REFUSED:
            return _refusal(body)
        if self.rounds + 1 >= limits.GSS_ROUNDS:
            raise FrameError(f"more than {limits.GSS_ROUNDS} tokens")
        return Initiate(self.exporter, body, self.rounds + 1)


@dataclass(frozen=True, slots=True)
class AwaitServerProof:
    """Client: its context is complete; the server's proof is due."""

    exporter: bytes
    facts: Facts

    def receive(self, payload: bytes) -> "ServerProofWanted | Refusal":
        """The server's MIC, or its refusal.

        Raises:
            FrameError: it is neither.
        """
        step, body = open_step(payload, _PROOF)
        if step is Step.REFUSED:
            return _refusal(body)
        return ServerProofWanted(self.exporter, SERVER_LABEL + self.exporter, body, self.facts)


@dataclass(frozen=True, slots=True)
class ServerProofWanted:
    """Client: `mic` must be verified over `signed`."""

    exporter: bytes
    signed: bytes
    mic: bytes
    facts: Facts

    def verified(self, *, genuine: bool) -> "ServerProven":
        """The next stage.

        Raises:
            AuthenticationError: the MIC is not genuine.
        """
        if genuine is not True:
            raise AuthenticationError(
                "the server's proof of this channel is wrong", "there may be a machine in the middle; nothing was sent"
            )
        return ServerProven(self.exporter, self.facts)


@dataclass(frozen=True, slots=True)
class ServerProven:
    """Client: the server is who it should be, on this very channel; a MIC over `to_sign` is wanted."""

    exporter: bytes
    facts: Facts

    @property
    def to_sign(self) -> bytes:
        """What this side signs."""
        return CLIENT_LABEL + self.exporter

    def proved(self, mic: bytes) -> "tuple[AwaitVerdict, bytes]":
        """The next stage, and what to send."""
        return AwaitVerdict(self.facts), message(Step.PROOF, mic)


@dataclass(frozen=True, slots=True)
class AwaitVerdict:
    """Client: the server's verdict is due."""

    facts: Facts

    def receive(self, payload: bytes) -> "Admitted | Refusal":
        """Admitted, or refused.

        Raises:
            FrameError: it is neither.
        """
        step, body = open_step(payload, _VERDICT)
        if step is Step.REFUSED:
            return _refusal(body)
        try:
            admission = msgspec.msgpack.decode(body, type=Admission)
        except (msgspec.DecodeError, ValueError) as error:
            raise FrameError(f"not an admission: {error}") from error
        return Admitted(admission.principal, self.facts.lifetime, admission.reference)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Client, last stage: compile frames are legal. `principal` is this side's own, as the server knows it."""

    principal: str
    lifetime: float
    reference: str


def _refusal(body: bytes) -> Refusal:
    try:
        return msgspec.msgpack.decode(body, type=Refusal)
    except (msgspec.DecodeError, ValueError) as error:
        raise FrameError(f"not a refusal: {error}") from error
