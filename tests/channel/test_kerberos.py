"""What a person reads when Kerberos fails: each of the library's errors, made to order."""

from pathlib import Path
from typing import Any

import gssapi
import pytest
from gssapi.raw import ExpiredCredentialsError, GSSError, OperationUnavailableError

from securecc.channel import kerberos
from securecc.channel.kerberos import Acceptor, Initiator, credentials
from securecc.model.errors import AuthenticationError, CredentialError

FAILURE = 13 << 16  # GSS_S_FAILURE
WORDS = {34: "Request is a replay", 37: "Clock skew too great", 61: "Field is too long"}


class Failure(GSSError):
    """The library knows words only for errors that it has met itself."""

    def get_all_statuses(self, code: Any, is_maj: Any) -> Any:
        return ["Unspecified GSS failure"] if is_maj else [WORDS.get(code - BASE, "Unknown error")]


BASE = -1765328384 & 0xFFFFFFFF


def fails(code: Any) -> Any:
    def call(*_arguments: Any, **_keywords: Any) -> None:
        raise Failure(FAILURE, BASE + code)

    return call


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (6, "does not know you"),
        (7, "check the host's name"),
        (12, "policy forbids"),
        (18, "locked"),
        (32, "ticket expired.*run kinit"),
        (33, "not valid yet"),
        (37, r"clock says \d{4}-.*Z.*NTP"),
        (44, "key has changed"),
        (148, r"clock says \d{4}-.*Z.*NTP"),
        (156, "check the network"),
        (194, "not yours"),
        (195, "run kinit"),
    ],
)
def test_each_failure_says_what_to_do(monkeypatch: pytest.MonkeyPatch, code: Any, words: Any) -> None:
    monkeypatch.setattr(gssapi, "Credentials", fails(code))
    with pytest.raises(CredentialError, match=words):
        credentials()
    exchange = Initiator("securecc@farm.example.com").start(bytes(32))
    with pytest.raises(CredentialError, match=words):
        exchange.step(None)


def test_a_failure_that_nobody_thought_of_is_told_in_the_librarys_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gssapi, "Credentials", fails(61))
    with pytest.raises(CredentialError, match="Kerberos, your tickets: Field is too long"):
        credentials()


class Context:
    """A security context that does as it is told."""

    usage = "accept"
    mech = gssapi.MechType.kerberos
    complete = True
    lifetime = 1300
    actual_flags = frozenset(gssapi.RequirementFlag) - {gssapi.RequirementFlag.dce_style}
    initiator_name = target_name = gssapi.Name("alice@EXAMPLE.COM", gssapi.NameType.kerberos_principal)

    def __init__(self, error: Any = None) -> None:
        self.error = error

    def step(self, token: Any) -> Any:
        if self.error:
            raise self.error
        return b"reply"

    get_signature = step

    def verify_signature(self, message: Any, mic: Any) -> None:
        raise GSSError(6 << 16, 0)


def exchange(context: Any, make: Any = None) -> Any:
    return kerberos.KerberosExchange(context, make, bytes(32))


def test_a_server_tells_why_a_token_was_refused() -> None:
    some = exchange(Context(Failure(FAILURE, BASE + 34)))
    with pytest.raises(AuthenticationError, match="Request is a replay"):
        some.step(b"token")
    assert not some.skewed
    some = exchange(Context(Failure(FAILURE, BASE + 37)))
    with pytest.raises(AuthenticationError, match="skew"):
        some.step(b"token")
    assert some.skewed


def test_a_servers_bad_answer_is_no_fault_of_our_tickets() -> None:
    some = exchange(Context(Failure(FAILURE, BASE + 31)), Initiator("securecc@farm"))
    with pytest.raises(AuthenticationError, match="did not prove to be securecc/farm@") as raised:
        some.step(b"token")
    assert not isinstance(raised.value, CredentialError)


def test_facts_of_an_acceptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gssapi.raw, "get_name_attribute", lambda _name, _attribute: Indicators())
    reply, facts = exchange(Context()).step(b"token")
    assert reply == b"reply"
    assert facts.lifetime == 1000.0
    assert facts.bound
    assert facts.indicators == ("pkinit", "otp\\xff")
    Indicators.authenticated = False
    assert exchange(Context()).step(b"token")[1].indicators == ()


class Indicators:
    authenticated = True
    values = (b"pkinit", b"otp\xff")


def test_a_library_without_indicators(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: Any, _attribute: Any) -> None:
        raise OperationUnavailableError(16 << 16, 0)

    monkeypatch.setattr(gssapi.raw, "get_name_attribute", missing)
    assert exchange(Context()).step(b"token")[1].indicators == ()


def test_signing_with_an_ended_context() -> None:
    with pytest.raises(AuthenticationError, match="sign"):
        exchange(Context(ExpiredCredentialsError(11 << 16, 0))).mic(b"x")
    assert exchange(Context()).verify(b"x", b"y") is False


def test_an_unusable_keytab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "keytab"
    path.write_bytes(b"\x05\x02")
    path.chmod(0o400)
    monkeypatch.setattr(gssapi, "Credentials", fails(203 - 22))
    with pytest.raises(CredentialError, match="klist -k"):
        Acceptor(str(path))
