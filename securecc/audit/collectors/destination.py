"""Where checkpoints are sent, and the format of each kind of collector. Pure.

Network collectors get RFC 5424: over UDP one datagram a message (RFC 5426), over TCP with octet counting (RFC 6587).
/dev/log gets what syslog(3) writes, which all its listeners understand; journald gets its own fields
(systemd's "Native Journal Protocol").
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from securecc.model.errors import ConfigError

IDENTIFIER: Final = "secureccd"
JOURNALD: Final = "/run/systemd/journal/socket"
SYSLOG_PORT: Final = 514

_PRIORITY = 10 * 8 + 5  # authpriv.notice (RFC 5424, 6.2.1)
_MESSAGE_ID = "a3f0c7d2b5e84c6f9d1e0b7a8c4f2d61"  # of all checkpoints in a journal
_NETWORK = re.compile(r"(udp|tcp):(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::([0-9]{1,5}))?", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Kind = Literal["local", "journald", "udp", "tcp"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A collector: `where` is the path of its socket, or its host."""

    kind: Kind
    where: str
    port: int = 0

    def __str__(self) -> str:
        """As it is written in config.yaml."""
        if self.kind == "local":
            return self.where
        host = f"[{self.where}]" if ":" in self.where else self.where
        return "journald" if self.kind == "journald" else f"{self.kind}:{host}:{self.port}"

    def message(self, line: str, *, host: str, time: str, pid: int) -> bytes:
        """The message with `line` (ASCII without newline) in this collector's format. `time` is RFC 3339, UTC."""
        text = f"<{_PRIORITY}>1 {time} {host} {IDENTIFIER} {pid} checkpoint - {line}"
        match self.kind:
            case "tcp":
                return f"{len(text)} {text}".encode("ascii")
            case "udp":
                return text.encode("ascii")
            case "local":
                return f"<{_PRIORITY}>{_bsd(time)} {IDENTIFIER}[{pid}]: {line}".encode("ascii")
            case "journald":
                return (
                    f"MESSAGE={line}\nMESSAGE_ID={_MESSAGE_ID}\nPRIORITY={_PRIORITY % 8}\n"
                    f"SYSLOG_FACILITY={_PRIORITY // 8}\nSYSLOG_IDENTIFIER={IDENTIFIER}\nSYSLOG_PID={pid}\n"
                ).encode("ascii")


def parse_destination(text: str) -> Destination:
    """``/dev/log`` (or another socket's path), ``journald``, ``udp:HOST[:PORT]`` or ``tcp:HOST[:PORT]``.

    Raises:
        ConfigError: the text is none of these.
    """
    if text == "journald":
        return Destination("journald", JOURNALD)
    if text.startswith("/") and "\0" not in text:
        return Destination("local", text)
    match = _NETWORK.fullmatch(text)
    port = int(match[3] or SYSLOG_PORT) if match else 0
    if match is None or not 0 < port < 65536:  # noqa: PLR2004 - a TCP or UDP port
        raise ConfigError(
            f"{text[:80]!a} is not a collector", "write /dev/log, journald, udp:HOST:PORT or tcp:HOST:PORT"
        )
    return Destination("udp" if match[1] == "udp" else "tcp", match[2].strip("[]"), port)


def _bsd(time: str) -> str:
    """``Nov 21 13:18:00`` (RFC 3164, 4.1.2), of an RFC 3339 time."""
    return f"{_MONTHS[int(time[5:7]) - 1]} {int(time[8:10]):2} {time[11:19]}"
