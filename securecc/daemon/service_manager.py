"""The service manager's side of a daemon: sockets that it has opened, word of how we are, its watchdog.

sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3), as their man pages write them down.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.printable import plain

_FIRST = 3  # SD_LISTEN_FDS_START
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Who started us. `address` is where it hears of us (empty: nowhere), `sockets` are those that it has opened for
    us; it ends us when it has not heard of us for `watchdog_s` (0.0: it does not).
    """

    address: str = ""
    sockets: tuple[socket.socket, ...] = ()
    watchdog_s: float = 0.0

    @property
    def pulse_s(self) -> float:
        """How often `alive` is to be said; 0.0 if never."""
        return self.watchdog_s / 2

    def ready(self, status: str = "") -> None:
        """We serve; also after a reload."""
        self._tell("READY=1", *_status(status))

    def reloading(self) -> None:
        """We take other settings into use; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, why: str = "") -> None:
        """We are about to end."""
        self._tell("STOPPING=1", *_status(why))

    def alive(self) -> None:
        """We go on."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        """A manager that cannot be reached is no reason to serve nobody."""
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.settimeout(limits.SUPERVISOR_S)
            end.sendto("\n".join(lines).encode(), address)


def supervisor(environment: MutableMapping[str, str] = os.environ) -> ServiceManager:
    """Who started us, by the environment, which is cleared of it: our children are our own business. To be asked once,
    before other descriptors are opened. Raises ConfigError for descriptors that are no sockets.
    """
    said = {name: environment.pop(name, "") for name in _VARIABLES}
    address = said["NOTIFY_SOCKET"]
    return ServiceManager(address if address[:1] in ("/", "@") else "", _sockets(said), _watchdog_s(said))


def _sockets(said: Mapping[str, str]) -> tuple[socket.socket, ...]:
    if said["LISTEN_PID"] != str(os.getpid()) or not said["LISTEN_FDS"].isdecimal():
        return ()
    count = int(said["LISTEN_FDS"])
    if count > limits.GIVEN_SOCKETS:
        raise ConfigError(f"{count} sockets of the service manager's; at most {limits.GIVEN_SOCKETS}")
    try:
        given = tuple(socket.socket(fileno=number) for number in range(_FIRST, _FIRST + count))
    except OSError as error:
        raise ConfigError(f"the service manager's descriptors are no sockets: {error.strerror}") from error
    for each in given:
        each.set_inheritable(False)
    return given


def _watchdog_s(said: Mapping[str, str]) -> float:
    for_us = said["WATCHDOG_PID"] in ("", str(os.getpid()))
    return int(said["WATCHDOG_USEC"]) / 1e6 if for_us and said["WATCHDOG_USEC"].isdecimal() else 0.0


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={plain(text[: limits.AUDIT_TEXT])}",) if text else ()
