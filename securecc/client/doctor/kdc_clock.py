"""The KDC's clock, for when clocks differ so much that it gives no ticket.

The Kerberos library does not pass on the time in a KDC's error, but its trace (KRB5_TRACE) names the KDC that it asked.
A request for a ticket with an unsupported encryption type makes that KDC answer with an error that has its time (RFC
4120, 5.9.1).
"""

import contextlib
import datetime as dt
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass

from securecc.model import limits

_SCRIPT = (
    "import sys\n"
    "from securecc.channel.kerberos import Initiator\n"
    "Initiator(sys.argv[1], sys.argv[2] or None).start(bytes(32)).step(None)\n"
)
_REALM = re.compile(r"Sending request \(\d+ bytes\) to (\S+)")
_ANSWERED = re.compile(r"Received answer \(\d+ bytes\) from (dgram|stream) (\S+):(\d{1,5})\b")
_NO_ENCRYPTION = 1  # des-cbc-crc, which no KDC supports any more
_ANSWER_S = 3.0
_ERROR, _STIME, _TIME = 0x7E, 0xA4, 0x18  # KRB-ERROR, its field 4, GeneralizedTime
_LONG = 0x80


@dataclass(frozen=True, slots=True)
class Kdc:
    """The address of a KDC that answered for a realm. `kind` is ``dgram`` (UDP) or ``stream`` (TCP)."""

    realm: str
    kind: str
    host: str
    port: int


def kdc_time(service: str, cache: str | None) -> float | None:
    """Seconds since the epoch by the clock of the KDC that refuses a ticket for `service`; None if it cannot be found.
    Blocks for a few seconds at most.
    """
    kdc = kdc_in(trace_of_request(service, cache))
    if kdc is None:
        return None
    try:
        return error_time(_ask(kdc, request(kdc.realm)))
    except OSError:
        return None


def kdc_in(trace: str) -> Kdc | None:
    """The last KDC that answered, in a trace by the library; None if none did."""
    realms, answers = _REALM.findall(trace), _ANSWERED.findall(trace)
    if not realms or not answers:
        return None
    kind, host, port = answers[-1]
    return Kdc(realms[-1], kind, host.strip("[]"), int(port))


def request(realm: str) -> bytes:
    """An AS-REQ that no KDC grants (RFC 4120, 5.4.1)."""
    body = _field(0, _value(0x03, bytes(5)))  # no options
    body += _field(1, _name(1, "securecc-doctor"))
    body += _field(2, _value(0x1B, realm.encode()))
    body += _field(3, _name(2, "krbtgt", realm))
    body += _field(5, _value(_TIME, b"19700101000000Z"))
    body += _field(7, _integer(int.from_bytes(os.urandom(3), "big")))
    body += _field(8, _value(0x30, _integer(_NO_ENCRYPTION)))
    whole = _field(1, _integer(5)) + _field(2, _integer(10)) + _field(4, _value(0x30, body))
    return _value(0x6A, _value(0x30, whole))


def error_time(answer: bytes) -> float | None:
    """The time in a KRB-ERROR; None if `answer` is not one."""
    with contextlib.suppress(ValueError, IndexError):
        tag, error, _ = read_der(answer)
        _, fields, _ = read_der(error)
        while tag == _ERROR and fields:
            field, content, fields = read_der(fields)
            if field == _STIME:
                kind, text, _ = read_der(content)
                time = dt.datetime.strptime(text.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=dt.UTC)
                return time.timestamp() if kind == _TIME else None
    return None


def trace_of_request(service: str, cache: str | None) -> str:
    """The library's trace of a request for a ticket, made by a child process; empty if there is none."""
    environment = {**os.environ, "KRB5_TRACE": "/dev/stderr"}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _SCRIPT, service, cache or ""],
            env=environment,
            capture_output=True,
            timeout=limits.GSS_STEP_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr.decode(errors="replace")


def _ask(kdc: Kdc, asking: bytes) -> bytes:
    """The answer to one message.

    Raises:
        OSError: there is none.
    """
    stream = kdc.kind == "stream"
    family, kind, protocol, _, address = socket.getaddrinfo(
        kdc.host, kdc.port, type=socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as end:
        end.settimeout(_ANSWER_S)
        end.connect(address)
        end.sendall((len(asking).to_bytes(4, "big") if stream else b"") + asking)
        answer = end.recv(limits.KDC_ANSWER)
    return answer[4:] if stream else answer


def _value(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < _LONG else bytes([_LONG | 2]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def _field(number: int, content: bytes) -> bytes:
    return _value(0xA0 | number, content)


def _integer(number: int) -> bytes:
    return _value(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _name(kind: int, *parts: str) -> bytes:
    words = b"".join(_value(0x1B, part.encode()) for part in parts)
    return _value(0x30, _field(0, _integer(kind)) + _field(1, _value(0x30, words)))


def read_der(data: bytes) -> tuple[int, bytes, bytes]:
    """The first value of some DER: its tag, its content, and what follows it.

    Raises:
        ValueError: the value is longer than the data.
        IndexError: there is none.
    """
    tag, size, at = data[0], data[1], 2
    if size & _LONG:
        at += size & ~_LONG
        size = int.from_bytes(data[2:at], "big")
    if len(data) < at + size:
        raise ValueError("cut short")
    return tag, data[at : at + size], data[at + size :]
