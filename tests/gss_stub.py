"""Stands in for Kerberos where a test is about something else: a shared secret instead of tickets."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from securecc.model.errors import AuthenticationError
from securecc.wire.handshake import Facts

FACTS = Facts(b"alice@EXAMPLE.COM", 3600.0)


class StubExchange:
    """A `securecc.channel.exchange.Exchange`. `before_step` may wait, or raise what the step shall raise."""

    def __init__(self, exporter: bytes, facts: Facts, secret: bytes = b"secret", accepting: bool = False) -> None:
        self.exporter = exporter
        self.facts = facts
        self.secret = secret
        self.accepting = accepting
        self.skewed = False
        self.before_step: Callable[[], object] = lambda: None

    def step(self, token: bytes | None) -> tuple[bytes | None, Facts | None]:
        self.before_step()
        if self.accepting:
            if token != b"ap-req":
                raise AuthenticationError("not a token")
            return b"ap-rep", self.facts
        return (b"ap-req", None) if token is None else (None, self.facts)

    def mic(self, message: bytes) -> bytes:
        return hmac.digest(self.secret, message, "sha256")

    def verify(self, message: bytes, mic: bytes) -> bool:
        return hmac.compare_digest(hmac.new(self.secret, message, hashlib.sha256).digest(), mic)


class StubAcceptor:
    """A server's `Authenticator`."""

    def __init__(self, **changes: Any) -> None:
        self.facts = replace(FACTS, **changes)

    def start(self, exporter: bytes) -> StubExchange:
        return StubExchange(exporter, self.facts, accepting=True)


class StubInitiator:
    """A client's `Authenticator`."""

    def __init__(self, service: str = "", ccache: str | None = None) -> None:
        self.service = service

    def start(self, exporter: bytes) -> StubExchange:
        return StubExchange(exporter, replace(FACTS, principal=b"securecc/localhost@"))
