"""The order in which two ends prove themselves, as values: each stage is made by the one before it and by nothing else.

Client                                server
  token    ---------------------------> AwaitToken -> StepWanted
           <--------------------------- token, proof   (Established -> AwaitProof)
  proof    ---------------------------> ProofWanted -> Authenticated
           <--------------------------- admitted | refused

Nothing here talks to Kerberos: a stage asks for a step or a check, the caller has it done and goes on with the result.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import msgspec

from securecc.model import limits
from securecc.model.errors import AuthenticationError, FrameError
from securecc.model.principal import Principal

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
    """What a completed GSS context says about itself. `lifetime` in seconds; `bound` is known to the acceptor only."""

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
    """The server's no, as the client sees it: no rule is named, the reference is for the server's people."""

    code: str
    text: str
    reference: str


class Admission(msgspec.Struct, frozen=True, array_like=True):
    """The server's yes."""

    principal: str
    reference: str


def binding(exporter: bytes) -> bytes:
    """The application data of the channel bindings, both sides."""
    return BINDING_PREFIX + exporter


def _require(facts: Facts, *, acceptor: bool) -> None:
    """Raises AuthenticationError naming the first property that is missing."""
    wanted = {
        "uses a mechanism other than Kerberos": facts.krb5,
        "has no mutual authentication": facts.mutual,
        "has no replay detection": facts.replay,
        "has no integrity": facts.integrity,
        "has no confidentiality": facts.confidentiality,
        "is not bound to this channel": facts.bound or not acceptor,
        "is of DCE style": not facts.dce,
        "delegates credentials": not facts.delegated,
        "has no lifetime left": facts.lifetime > 0,
        "has no principal": bool(facts.principal),
    }
    for fault, fine in wanted.items():
        if not fine:
            raise AuthenticationError(f"the security context {fault}")


def _open(payload: bytes, legal: frozenset[Step]) -> tuple[Step, bytes]:
    """Step and body. Raises FrameError: a stage takes what it waits for and nothing else."""
    if not payload or payload[0] not in legal:
        raise FrameError(f"handshake step {payload[0] if payload else 'none'} where {_list(legal)} was due")
    step, body = Step(payload[0]), payload[1:]
    if not body or (step is Step.PROOF and len(body) > limits.PROOF):
        raise FrameError(f"handshake step {step.name.lower()} of {len(body)} bytes")
    return step, body


def _list(legal: frozenset[Step]) -> str:
    return " or ".join(step.name.lower() for step in sorted(legal))


def _message(step: Step, body: bytes) -> bytes:
    return bytes((step,)) + body


# What each stage may receive. A refusal may take the place of whatever a server owes.
_SERVER_TOKEN: Final = frozenset({Step.TOKEN})
_SERVER_PROOF: Final = frozenset({Step.PROOF})
_CLIENT_TOKEN: Final = frozenset({Step.TOKEN, Step.REFUSED})
_CLIENT_PROOF: Final = frozenset({Step.PROOF, Step.REFUSED})
_CLIENT_VERDICT: Final = frozenset({Step.ADMITTED, Step.REFUSED})


# --- server -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitToken:
    """Server, first stage: TLS is up, its exporter value known."""

    exporter: bytes
    rounds: int = 0

    def receive(self, payload: bytes) -> "StepWanted":
        """A client's token. Raises FrameError."""
        _, token = _open(payload, _SERVER_TOKEN)
        if self.rounds >= limits.GSS_ROUNDS:
            raise FrameError(f"more than {limits.GSS_ROUNDS} tokens")
        return StepWanted(self.exporter, self.rounds + 1, token)


@dataclass(frozen=True, slots=True)
class StepWanted:
    """Server: `token` has to be given to the GSS context."""

    exporter: bytes
    rounds: int
    token: bytes

    def stepped(self, reply: bytes | None, facts: Facts | None) -> "tuple[AwaitToken | Established, list[bytes]]":
        """The next stage, and what to send. `facts` once the context is complete. Raises AuthenticationError."""
        send = [_message(Step.TOKEN, reply)] if reply else []
        if facts is None:
            if not send:
                raise AuthenticationError("the security context neither completed nor went on")
            return AwaitToken(self.exporter, self.rounds), send
        _require(facts, acceptor=True)
        return Established(self.exporter, facts), send


@dataclass(frozen=True, slots=True)
class Established:
    """Server: the context is complete and has all properties; `to_sign` wants a MIC."""

    exporter: bytes
    facts: Facts

    @property
    def to_sign(self) -> bytes:
        """What this side's MIC is over."""
        return SERVER_LABEL + self.exporter

    def proved(self, mic: bytes) -> "tuple[AwaitProof, bytes]":
        """The next stage, and what to send."""
        return AwaitProof(self.exporter, self.facts), _message(Step.PROOF, mic)


@dataclass(frozen=True, slots=True)
class AwaitProof:
    """Server: the client's proof is due."""

    exporter: bytes
    facts: Facts

    def receive(self, payload: bytes) -> "ProofWanted":
        """The client's MIC. Raises FrameError."""
        _, mic = _open(payload, _SERVER_PROOF)
        return ProofWanted(CLIENT_LABEL + self.exporter, mic, self.facts)


@dataclass(frozen=True, slots=True)
class ProofWanted:
    """Server: `mic` has to be verified over `signed`."""

    signed: bytes
    mic: bytes
    facts: Facts

    def verified(self, *, genuine: bool) -> "Authenticated":
        """Raises AuthenticationError unless the MIC was genuine."""
        if genuine is not True:
            raise AuthenticationError("the client's proof of this channel is wrong")
        facts = self.facts
        return Authenticated(facts.principal, facts.lifetime, facts.indicators)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Server: the client is `principal`, on this very channel. Whether it may come in is the policy's to say."""

    principal: bytes
    lifetime: float
    indicators: tuple[str, ...]

    def admit(self, reference: str) -> bytes:
        """What to send to a client that the policy lets in; compile frames are legal from here on."""
        return _message(Step.ADMITTED, msgspec.msgpack.encode(Admission(Principal.display(self.principal), reference)))

    def refuse(self, reference: str) -> bytes:
        """What to send to one that it does not: the same for each reason."""
        text = f"{Principal.display(self.principal)} is not admitted here"
        return refusal("denied", text, reference)


def refusal(code: str, text: str, reference: str) -> bytes:
    """A server's no, at whatever stage."""
    return _message(Step.REFUSED, msgspec.msgpack.encode(Refusal(code, text, reference)))


# --- client -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Initiate:
    """Client, first and repeated stage: `token` (None at first) has to be given to the GSS context."""

    exporter: bytes
    token: bytes | None = None
    rounds: int = 0

    def stepped(self, reply: bytes | None, facts: Facts | None) -> "tuple[AwaitReply | AwaitServerProof, list[bytes]]":
        """The next stage, and what to send. Raises AuthenticationError."""
        send = [_message(Step.TOKEN, reply)] if reply else []
        if facts is not None:
            _require(facts, acceptor=False)
            return AwaitServerProof(self.exporter, facts), send
        if not send:
            raise AuthenticationError("the security context neither completed nor went on")
        return AwaitReply(self.exporter, self.rounds), send


@dataclass(frozen=True, slots=True)
class AwaitReply:
    """Client: the server's token is due."""

    exporter: bytes
    rounds: int

    def receive(self, payload: bytes) -> "Initiate | Refusal":
        """The server's token, or its refusal. Raises FrameError."""
        step, body = _open(payload, _CLIENT_TOKEN)
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
        """The server's MIC, or its refusal. Raises FrameError."""
        step, body = _open(payload, _CLIENT_PROOF)
        if step is Step.REFUSED:
            return _refusal(body)
        return ServerProofWanted(self.exporter, SERVER_LABEL + self.exporter, body, self.facts)


@dataclass(frozen=True, slots=True)
class ServerProofWanted:
    """Client: `mic` has to be verified over `signed`."""

    exporter: bytes
    signed: bytes
    mic: bytes
    facts: Facts

    def verified(self, *, genuine: bool) -> "ServerProven":
        """Raises AuthenticationError unless the MIC was genuine."""
        if genuine is not True:
            raise AuthenticationError(
                "the server's proof of this channel is wrong", "somebody may stand between; nothing was sent"
            )
        return ServerProven(self.exporter, self.facts)


@dataclass(frozen=True, slots=True)
class ServerProven:
    """Client: the server is who it should be, on this very channel; `to_sign` wants a MIC."""

    exporter: bytes
    facts: Facts

    @property
    def to_sign(self) -> bytes:
        """What this side's MIC is over."""
        return CLIENT_LABEL + self.exporter

    def proved(self, mic: bytes) -> "tuple[AwaitVerdict, bytes]":
        """The next stage, and what to send."""
        return AwaitVerdict(self.facts), _message(Step.PROOF, mic)


@dataclass(frozen=True, slots=True)
class AwaitVerdict:
    """Client: the server's verdict is due."""

    facts: Facts

    def receive(self, payload: bytes) -> "Admitted | Refusal":
        """Admitted, or not. Raises FrameError."""
        step, body = _open(payload, _CLIENT_VERDICT)
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
