import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import AuthenticationError, FrameError
from securecc.wire import handshake
from securecc.wire.client_stages import (
    Admitted,
    AwaitReply,
    AwaitServerProof,
    AwaitVerdict,
    Initiate,
    ServerProofWanted,
)
from securecc.wire.handshake import Facts, Refusal
from securecc.wire.server_stages import Authenticated, AwaitProof, AwaitToken, Established, refusal

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "handshake.json").read_text())
EXPORTER = bytes.fromhex(VECTORS["exporter"])
GOOD = Facts(b"alice@EXAMPLE.COM", 3600.0, indicators=("pkinit",))


def test_the_whole_order() -> None:
    client, (token,) = Initiate(EXPORTER).stepped(b"ap-req", None)
    assert isinstance(client, AwaitReply)
    server, (reply,) = AwaitToken(EXPORTER).receive(token).stepped(b"ap-rep", GOOD)
    assert isinstance(server, Established)
    awaited, server_proof = server.proved(b"mic-s")
    initiate = client.receive(reply)
    assert isinstance(initiate, Initiate)
    complete, nothing = initiate.stepped(None, replace(GOOD, bound=False))
    assert isinstance(complete, AwaitServerProof)
    assert nothing == []
    wanted = complete.receive(server_proof)
    assert isinstance(wanted, ServerProofWanted)
    assert (wanted.signed, wanted.mic) == (server.to_sign, b"mic-s")
    proven = wanted.verified(genuine=True)
    verdict, client_proof = proven.proved(b"mic-c")
    proof = awaited.receive(client_proof)
    assert (proof.signed, proof.mic) == (proven.to_sign, b"mic-c")
    authenticated = proof.verified(genuine=True)
    assert authenticated == Authenticated(b"alice@EXAMPLE.COM", 3600.0, ("pkinit",))
    assert verdict.receive(authenticated.admit("ref")) == Admitted("alice@EXAMPLE.COM", 3600.0, "ref")


def test_the_two_directions_sign_different_words() -> None:
    assert Established(EXPORTER, GOOD).to_sign != handshake.CLIENT_LABEL + EXPORTER


def proof_wanted(payload: bytes) -> ServerProofWanted:
    wanted = AwaitServerProof(EXPORTER, GOOD).receive(payload)
    assert isinstance(wanted, ServerProofWanted)
    return wanted


BAD_FACTS: dict[str, dict[str, Any]] = {
    "mechanism": {"krb5": False},
    "mutual": {"mutual": False},
    "replay": {"replay": False},
    "integrity": {"integrity": False},
    "confidentiality": {"confidentiality": False},
    "bound": {"bound": False},
    "DCE": {"dce": True},
    "delegates": {"delegated": True},
    "lifetime": {"lifetime": 0.0},
    "principal": {"principal": b""},
}


@pytest.mark.parametrize("words", BAD_FACTS)
def test_a_context_that_lacks_something_goes_no_further(words: str) -> None:
    facts = replace(GOOD, **BAD_FACTS[words])
    with pytest.raises(AuthenticationError, match=words):
        AwaitToken(EXPORTER).receive(b"\x01x").stepped(b"ap-rep", facts)
    if words != "bound":
        with pytest.raises(AuthenticationError, match=words):
            Initiate(EXPORTER).stepped(None, facts)


@pytest.mark.parametrize("genuine", [False, None, 1, "yes"])
def test_a_proof_must_be_genuine(genuine: Any) -> None:
    with pytest.raises(AuthenticationError):
        AwaitProof(EXPORTER, GOOD).receive(b"\x02mic").verified(genuine=genuine)
    with pytest.raises(AuthenticationError, match="nothing was sent"):
        proof_wanted(b"\x02mic").verified(genuine=genuine)


STAGES: dict[Any, Any] = {
    AwaitToken(EXPORTER): {1},
    AwaitProof(EXPORTER, GOOD): {2},
    AwaitReply(EXPORTER, 0): {1, 4},
    AwaitServerProof(EXPORTER, GOOD): {2, 4},
    AwaitVerdict(GOOD): {3, 4},
}
PAYLOADS = {
    1: b"\x01token",
    2: b"\x02mic",
    3: Authenticated(b"alice@EXAMPLE.COM", 1.0, ()).admit("r"),
    4: refusal("denied", "no", "r"),
}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: type(stage).__name__)
@pytest.mark.parametrize("step", [0, 1, 2, 3, 4, 5, 255])
def test_each_stage_takes_its_own_step_only(stage: Any, step: Any) -> None:
    payload = PAYLOADS.get(step, bytes((step,)) + b"x")
    if step in STAGES[stage]:
        assert stage.receive(payload) is not None
    else:
        with pytest.raises(FrameError):
            stage.receive(payload)


@settings(max_examples=80)
@given(st.sampled_from(list(STAGES)), st.binary(max_size=60))
def test_any_bytes_are_a_step_or_a_frame_error(stage: Any, payload: bytes) -> None:
    try:
        stage.receive(payload)
    except FrameError:
        return


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x02", b"\x02" + bytes(limits.PROOF + 1)])
def test_empty_or_oversized_steps(payload: bytes) -> None:
    for stage in STAGES:
        with pytest.raises(FrameError):
            stage.receive(payload)


def test_rounds_end() -> None:
    stage: Any = AwaitToken(EXPORTER)
    for _ in range(limits.GSS_ROUNDS):
        stage, sent = stage.receive(b"\x01x").stepped(b"more", None)
        assert sent == [b"\x01more"]
    with pytest.raises(FrameError, match="tokens"):
        stage.receive(b"\x01x")
    client: Any = Initiate(EXPORTER)
    for _ in range(limits.GSS_ROUNDS - 1):
        client = client.stepped(b"more", None)[0].receive(b"\x01x")
    awaited, _ = client.stepped(b"more", None)
    with pytest.raises(FrameError, match="tokens"):
        awaited.receive(b"\x01x")


def test_a_context_that_stands_still_is_given_up() -> None:
    with pytest.raises(AuthenticationError, match="neither"):
        AwaitToken(EXPORTER).receive(b"\x01x").stepped(None, None)
    with pytest.raises(AuthenticationError, match="neither"):
        Initiate(EXPORTER).stepped(None, None)


def test_refusals_name_the_principal_and_the_reference_only() -> None:
    payload = Authenticated(b"mal\xfflory@EXAMPLE.COM", 1.0, ()).refuse("1f2e")
    assert AwaitVerdict(GOOD).receive(payload) == Refusal(
        "denied", "mal\\xfflory@EXAMPLE.COM is not admitted here", "1f2e"
    )


def test_a_client_is_told_its_name_without_what_moves_a_cursor() -> None:
    refusal = Authenticated(b"a\x1b[31m\\n\xff\xc3\xa9@E", 60.0, ()).refuse("r")
    assert rb"a\x1b[31m\n\xff" + "é@E is not admitted".encode() in refusal


def test_vectors() -> None:
    assert handshake.binding(EXPORTER).hex() == VECTORS["binding"]
    assert Established(EXPORTER, GOOD).to_sign.hex() == VECTORS["server_signs"]
    proven = proof_wanted(bytes.fromhex(VECTORS["proof"]["payload"])).verified(genuine=True)
    assert proven.to_sign.hex() == VECTORS["client_signs"]
    assert Initiate(EXPORTER).stepped(b"gss", None)[1] == [bytes.fromhex(VECTORS["token"]["payload"])]
    admitted, refused = VECTORS["admitted"], VECTORS["refused"]
    alice = Authenticated(admitted["principal"].encode(), 1.0, ())
    assert alice.admit(admitted["reference"]).hex() == admitted["payload"]
    assert refusal(refused["code"], refused["text"], refused["reference"]).hex() == refused["payload"]
