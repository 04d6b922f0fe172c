"""securecc.client.clock: seconds that gcc writes as the local time of day."""

import calendar
import time
from datetime import datetime, timedelta, timezone

import pytest

from securecc.client import clock


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setenv("TZ", "XXX-3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def near(found, wanted):
    return abs(found - wanted) <= 2


def test_the_agents_own_zone():
    assert near(clock.seconds(b"XXX-3"), time.time() + 3 * 3600)


def test_another_zone_by_its_name():
    tokyo = datetime.now(timezone(timedelta(hours=9)))
    assert near(clock.seconds(b"Asia/Tokyo"), calendar.timegm(tokyo.timetuple()))
    assert near(clock.seconds(b"UTC"), time.time())


@pytest.mark.parametrize("unknown", [None, b"", b"YYY+4", b"No/Such", b"/etc/localtime", b":UTC", b"\xff", b"../x"])
def test_what_is_not_known_here(unknown):
    assert clock.seconds(unknown) is None
