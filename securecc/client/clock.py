"""The time of day as a compile would tell it here, for a server in another zone and with another clock."""

import calendar
import os
import time
from datetime import datetime
from importlib import import_module


def seconds(zone: bytes | None) -> int | None:
    """A SOURCE_DATE_EPOCH whose date and time in UTC, as gcc writes them (cpp, "Environment Variables"), are those of
    this moment in the zone of a person's TZ (None: not set). None for a TZ whose meaning is not known here.
    """
    name = None if zone is None else os.fsdecode(zone)
    if name == os.environ.get("TZ"):
        return calendar.timegm(time.localtime())
    if not name:
        return None
    try:
        zones = import_module("zoneinfo")  # for the few who need it: an agent's memory is everybody's
        return calendar.timegm(datetime.now(zones.ZoneInfo(name)).timetuple())
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None
