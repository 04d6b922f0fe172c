"""Numbers that no other test bed on this machine uses at the same time: ports and user ids.

A claim is a bound abstract socket, so the kernel gives it back when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass

_PORTS = range(20000, 30000)  # below the kernel's ephemeral range, so that no outgoing connection takes one meanwhile
_USERS = range(61200, 64900, 2)  # no distribution assigns these; in pairs, front and runner
_NETWORKS = range(256 * 64)  # 10.192.0.0/10 in networks of 256 addresses
_ATTEMPTS = 200


@dataclass(frozen=True, slots=True)
class Claim:
    """`number` is ours until `close` is called."""

    number: int
    _lock: socket.socket

    def close(self) -> None:
        """Gives the number back."""
        self._lock.close()


def claim_port() -> Claim:
    """A TCP and UDP port of 127.0.0.1 that is not bound."""
    return _claim("port", _PORTS, _port_is_free)


def claim_users() -> Claim:
    """Two user ids, `number` and the one after it."""
    return _claim("uid", _USERS, lambda _: True)


def claim_network() -> Claim:
    """A network 10.192.0.0/10 + 256 * `number`."""
    return _claim("net", _NETWORKS, lambda _: True)


def _claim(kind: str, numbers: range, is_free: Callable[[int], bool]) -> Claim:
    for _ in range(_ATTEMPTS):
        number = random.choice(numbers)  # not a secret: any free number will do
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0securecc-testenv-{kind}-{number}")
        except OSError:
            lock.close()
            continue
        if is_free(number):
            return Claim(number, lock)
        lock.close()
    raise RuntimeError(f"no free {kind} among {numbers}; is something left running here?")


def _port_is_free(number: int) -> bool:
    with contextlib.ExitStack() as stack:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", number))
        except OSError:
            return False
    return True
