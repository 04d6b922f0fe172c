"""The time of day as a compile would see it here, for a server with another time zone and clock."""

import calendar
import io
import os
import time
from collections.abc import Iterable
from datetime import datetime, tzinfo
from importlib import import_module

from securecc.compiler.command_line.environment import ZONE

_ZONES = "/usr/share/zoneinfo"
SYSTEM_ZONE = "/etc/localtime"  # if TZ is not set (tzset(3))
_FILE = 1 << 20  # bytes; a zone's file has some 3,000
_LEAPS = slice(28, 32)  # how many leap seconds a file counts (RFC 8536, 3.1)
_NO_TRANSITIONS = (
    b"TZif2" + bytes(15) + b"".join(n.to_bytes(4, "big") for n in (0, 0, 0, 0, 1, 4)) + bytes(6) + b"UTC\0"
)
_LAST = 1 << 32  # seconds; no file is newer


def seconds(zone: bytes | None) -> int | None:
    """A SOURCE_DATE_EPOCH (seconds) whose date and time in UTC, as gcc writes them (cpp, "Environment Variables"), are
    those of this moment in the zone of a user's TZ (None: not set). None for a TZ whose meaning is not known here.
    """
    name = None if zone is None else os.fsdecode(zone)
    if name == os.environ.get("TZ"):
        return calendar.timegm(time.localtime())
    if not name:
        return None
    try:
        zones = import_module("zoneinfo")  # imported here, since few need it and every agent would pay in memory
        return calendar.timegm(datetime.now(zones.ZoneInfo(name)).timetuple())
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None


def rule(zone: bytes | None, times: Iterable[int]) -> bytes | None:
    """A TZ that names no file (tzset(3)) and gives each of these times (seconds since the epoch) the same local time as
    a user's TZ does (None: not set). None if there is none, or the user's is not known here.
    """
    wanted = tuple(times)
    try:
        here, general = _zone(zone)
        if here is None or not all(0 <= when < _LAST for when in wanted):
            return None
        now = _offset(here, wanted[0]) if wanted else 0
        for one in (general, b"XXX%c%02d:%02d:%02d" % (b"+-"[now > 0], *_parts(abs(now)))):
            if ZONE.fullmatch(one) and all(_offset(_made(one), when) == _offset(here, when) for when in wanted):
                return one
    except (ValueError, OSError, OverflowError):
        return None
    return None


def _zone(zone: bytes | None) -> tuple[tzinfo | None, bytes]:
    """What a TZ means, and its rule: itself, or the last line of the file that it names."""
    name = SYSTEM_ZONE if zone is None else os.fsdecode(zone).removeprefix(":")
    path = os.path.join(_ZONES, name)
    if ".." in name or not name:
        return None, b""
    if not os.path.exists(path):
        said = b"UTC0" if zone is None else os.fsencode(name)
        return (_made(said), said) if ZONE.fullmatch(said) else (None, b"")
    with open(path, "rb") as file:
        content = file.read(_FILE)
    if not content.startswith(b"TZif") or any(content[_LEAPS]):
        return None, b""
    return _read(content), content.removesuffix(b"\n").rpartition(b"\n")[2]


def _made(posix: bytes) -> tzinfo:
    """The zone of a rule, made from a zone file without transitions that ends in the rule (RFC 8536, 3.3)."""
    return _read(_NO_TRANSITIONS + _NO_TRANSITIONS + b"\n" + posix + b"\n")


def _read(content: bytes) -> tzinfo:
    zones = import_module("zoneinfo")  # imported here, since few need it and every agent would pay in memory
    found: tzinfo = zones.ZoneInfo.from_file(io.BytesIO(content))
    return found


def _offset(zone: tzinfo, when: int) -> int:
    offset = datetime.fromtimestamp(when, zone).utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0


def _parts(seconds: int) -> tuple[int, int, int]:
    return seconds // 3600, seconds // 60 % 60, seconds % 60
