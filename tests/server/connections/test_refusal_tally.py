from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.server.connections.refusal_tally import OTHERS, RefusalTally, source

MINUTE = 60_000_000_000
NOON = 1_700_049_600 * 1_000_000_000


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_whom_an_address_counts_for(address: Any, counted: Any) -> None:
    assert source(address) == counted


def test_one_record_a_source_and_minute() -> None:
    tally = RefusalTally()
    for second in range(50):
        tally.count("10.0.0.1", "acl" if second % 2 else "handshake", NOON + second)
    tally.count("10.0.0.2", "acl", NOON)
    assert tally.take(NOON + 59) == []
    one, two = tally.take(NOON + MINUTE)
    assert (one.source, one.counts, one.minute) == (
        "10.0.0.1",
        {"handshake": 25, "acl": 25},
        "2023-11-15T12:00:00.000000Z",
    )
    assert (two.source, two.counts, two.decision) == ("10.0.0.2", {"acl": 1}, "denied")
    assert tally.take(NOON + 2 * MINUTE) == []


def test_the_next_minute_s_count_closes_the_last() -> None:
    tally = RefusalTally()
    tally.count("10.0.0.1", "acl", NOON)
    tally.count("10.0.0.1", "acl", NOON + MINUTE)
    assert len(tally.take(NOON + MINUTE)) == 1
    assert len(tally.take(NOON + MINUTE, ending=True)) == 1
    assert tally.take(NOON + MINUTE, ending=True) == []


def test_more_sources_than_places_are_others() -> None:
    tally = RefusalTally(sources=3)
    for number in range(200):
        tally.count(f"10.0.0.{number}", "acl", NOON)
    records = tally.take(NOON, ending=True)
    assert [record.source for record in records] == ["10.0.0.0", "10.0.0.1", "10.0.0.2", OTHERS]
    assert (records[3].sources, records[3].counts) == (197, {"acl": 197})


def test_a_day_s_quota_leaves_one_record_a_minute_until_the_next_day() -> None:
    tally = RefusalTally(day_quota=1000)
    written = []
    for minute in range(100):
        for number in range(10):
            tally.count(f"10.0.0.{number}", "acl", NOON + minute * MINUTE)
        written.append(tally.take(NOON + (minute + 1) * MINUTE))
    assert len(written[0]) == 10
    assert all([record.source for record in records] == [OTHERS] for records in written[1:])
    day = NOON + 24 * 60 * MINUTE
    for number in range(5):
        tally.count(f"10.0.0.{number}", "acl", day)
    assert len(tally.take(day, ending=True)) == 5


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), max_size=300))
def test_nothing_is_lost_and_memory_is_bounded(events: Any) -> None:
    tally = RefusalTally(sources=5)
    records, now = [], NOON
    for number, minutes in events:
        now += minutes * MINUTE
        tally.count(f"10.0.{number // 256}.{number % 256}", "acl", now)
        records += tally.take(now)
        assert len(tally) <= 6
    records += tally.take(now, ending=True)
    assert sum(record.counts["acl"] for record in records) == len(events)
