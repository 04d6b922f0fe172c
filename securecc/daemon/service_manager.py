"""The service manager that started the daemon: the sockets it has opened, status notification, its watchdog.

After sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3).
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
    """`address` is its notification socket (empty: none), `sockets` are those that it has opened for us. It kills
    the daemon after `watchdog_s` seconds without a sign of life (0.0: there is no watchdog).
    """

    address: str = ""
    sockets: tuple[socket.socket, ...] = ()
    watchdog_s: float = 0.0

    @property
    def notify_every_s(self) -> float:
        """Seconds between two calls of `alive`; 0.0 if there is no watchdog."""
        return self.watchdog_s / 2

    def ready(self, status: str = "") -> None:
        """The daemon is ready, at its start or after a reload."""
        self._tell("READY=1", *_status(status))

    def reloading(self) -> None:
        """The daemon is reloading; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, why: str = "") -> None:
        """The daemon is stopping."""
        self._tell("STOPPING=1", *_status(why))

    def alive(self) -> None:
        """The daemon is alive."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        """A manager that cannot be reached does not keep the daemon from serving."""
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.settimeout(limits.SUPERVISOR_S)
            end.sendto("\n".join(lines).encode(), address)


def service_manager(environment: MutableMapping[str, str] = os.environ) -> ServiceManager:
    """The service manager named by the environment, from which its variables are removed, so that no child sees them.
    Call this once, before other descriptors are opened.

    Raises:
        ConfigError: a descriptor that it passed is not a socket, or there are too many.
    """
    said = {name: environment.pop(name, "") for name in _VARIABLES}
    address = said["NOTIFY_SOCKET"]
    return ServiceManager(address if address[:1] in ("/", "@") else "", _sockets(said), _watchdog_s(said))


def _sockets(said: Mapping[str, str]) -> tuple[socket.socket, ...]:
    if said["LISTEN_PID"] != str(os.getpid()) or not said["LISTEN_FDS"].isdecimal():
        return ()
    count = int(said["LISTEN_FDS"])
    if count > limits.GIVEN_SOCKETS:
        raise ConfigError(f"the service manager passed {count} sockets; the limit is {limits.GIVEN_SOCKETS}")
    try:
        given = tuple(socket.socket(fileno=number) for number in range(_FIRST, _FIRST + count))
    except OSError as error:
        raise ConfigError(f"a descriptor from the service manager is not a socket: {error.strerror}") from error
    for each in given:
        each.set_inheritable(False)
    return given


def _watchdog_s(said: Mapping[str, str]) -> float:
    for_us = said["WATCHDOG_PID"] in ("", str(os.getpid()))
    return int(said["WATCHDOG_USEC"]) / 1e6 if for_us and said["WATCHDOG_USEC"].isdecimal() else 0.0


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={plain(text[: limits.AUDIT_TEXT])}",) if text else ()
