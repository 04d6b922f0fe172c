"""securecc.client.host.local_time: seconds that gcc writes as the local time of day."""

import calendar
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from securecc.client.host import local_time


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XXX-3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def near(found: int | None, wanted: float) -> bool:
    return found is not None and abs(found - wanted) <= 2


def test_the_agents_own_zone() -> None:
    assert near(local_time.seconds(b"XXX-3"), time.time() + 3 * 3600)


def test_another_zone_by_its_name() -> None:
    tokyo = datetime.now(timezone(timedelta(hours=9)))
    assert near(local_time.seconds(b"Asia/Tokyo"), calendar.timegm(tokyo.timetuple()))
    assert near(local_time.seconds(b"UTC"), time.time())


@pytest.mark.parametrize("unknown", [None, b"", b"YYY+4", b"No/Such", b"/etc/localtime", b":UTC", b"\xff", b"../x"])
def test_what_is_not_known_here(unknown: bytes | None) -> None:
    assert local_time.seconds(unknown) is None


WINTER, SUMMER = 1_700_000_000, 1_750_000_000


def said_by(zone: bytes, when: int) -> bytes:
    """As a compiler says it."""
    shown = subprocess.run(
        ["date", "-d", f"@{when}", "+%c"], env={"TZ": os.fsdecode(zone), "LC_ALL": "C"}, capture_output=True, check=True
    )
    return shown.stdout.replace(b"  ", b" ")


@pytest.mark.parametrize(
    "zone",
    [
        b"Europe/Berlin",
        b":America/New_York",
        b"Asia/Kolkata",
        b"UTC",
        b"/usr/share/zoneinfo/Asia/Tokyo",
        b"XXX-3",
        b"CET-1CEST,M3.5.0,M10.5.0/3",
        b"America/St_Johns",
        b"Australia/Lord_Howe",
    ],
)
def test_a_rule_says_the_same_of_all_these_times(zone: bytes) -> None:
    times = (WINTER, SUMMER, WINTER + 20_000_000)
    found = local_time.rule(zone, times)
    assert found is not None
    assert b"Europe" not in found
    assert [said_by(found, when) for when in times] == [said_by(zone, when) for when in times]


def test_where_no_rule_fits_the_offset_of_one_moment_does() -> None:
    """Moscow's rule is of 2014."""
    when = 1_300_000_000 + 10_000_000
    found = local_time.rule(b"Europe/Moscow", (when, when + 5))
    assert found == b"XXX-04:00:00"
    assert said_by(found, when) == said_by(b"Europe/Moscow", when)
    assert local_time.rule(b"Europe/Moscow", (when, WINTER)) is None


def test_the_systems_own_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_time, "SYSTEM_ZONE", str(tmp_path / "localtime"))
    assert local_time.rule(None, (WINTER,)) == b"UTC0"
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert local_time.rule(None, (WINTER,)) == b"JST-9"


@pytest.mark.parametrize(
    "zone", [b"", b"No/Such", b"../zoneinfo/UTC", b"right/UTC", b"CET-1CEST", b"\xff", b"zone.tab"]
)
def test_a_zone_without_a_rule(zone: bytes) -> None:
    assert local_time.rule(zone, (WINTER,)) is None


@pytest.mark.parametrize("when", [-1, 1 << 32, 1 << 70])
def test_times_of_which_no_rule_says_anything(when: int) -> None:
    assert local_time.rule(b"Asia/Tokyo", (when,)) is None


def test_a_damaged_file_is_no_zone(tmp_path: Path) -> None:
    for content in (b"TZif", b"TZif2" + bytes(60), b""):
        (tmp_path / "zone").write_bytes(content)
        assert local_time.rule(os.fsencode(tmp_path / "zone"), (WINTER,)) is None
