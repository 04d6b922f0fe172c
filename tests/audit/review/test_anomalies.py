import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.audit.review.anomalies import AnomalyDetector, AnomalyRules, Hours, Rate, moment_of
from securecc.model import limits

WINDOW = "2026-11-20T00:00:00.000000Z"
DAY = AnomalyRules(since=WINDOW, hours=Hours(zone=dt.UTC))


def at(
    day: int,
    clock: str = "12:00:00",
    kind: str = "job-start",
    principal: str = "alice@EXAMPLE.COM",
    peer: str = "10.0.0.1:5",
    **more: Any,
) -> dict[str, str]:
    decision = {} if "decision" in more else {"decision": "denied" if kind == "job-refused" else "allowed"}
    time = f"2026-11-{day:02}T{clock}.000000Z"
    return {"kind": kind, "time": time, "principal": principal, "peer": peer, "rule": "team", **decision, **more}


def found(rules: AnomalyRules, *records: Any) -> list[Any]:
    detector = AnomalyDetector(rules)
    for record in records:
        detector.add(record)
    return [(finding.rule, finding.principal, finding.detail) for finding in detector.findings]


def test_a_principal_that_history_does_not_know() -> None:
    bob = "bob@EXAMPLE.COM"
    assert found(DAY, at(19), at(20), at(20, principal=bob), at(21, principal=bob)) == [
        ("first-seen", bob, "from 10.0.0.1, rule team")
    ]
    assert found(DAY, at(20), at(20, principal=bob)) == []  # nothing to compare with


def test_who_is_denied_has_not_been_seen() -> None:
    carol = "carol@EXAMPLE.COM"
    assert found(DAY, at(19), at(20, kind="connection", principal=carol, decision="denied")) == []


def test_an_address_that_a_principal_never_came_from() -> None:
    assert found(DAY, at(19), at(20, peer="10.0.0.2:7"), at(21, peer="10.0.0.2:8")) == [
        ("new-address", "alice@EXAMPLE.COM", "10.0.0.2, not seen before")
    ]
    one, other = "[2001:db8::1]:5", "[2001:db8::2]:6"
    assert found(DAY, at(19, peer=one), at(20, peer=other)) == []  # one /64
    assert found(DAY, at(19, peer=one), at(20, peer="[2001:db8:1::2]:6"))[0][2] == "2001:db8:1::/64, not seen before"


@pytest.mark.parametrize(
    ("hours", "clock", "day", "holds"),
    [
        (Hours(zone=dt.UTC), "05:59:59", 20, False),
        (Hours(zone=dt.UTC), "06:00:00", 20, True),
        (Hours(zone=dt.UTC), "22:00:00", 20, False),
        (Hours(days=frozenset(range(5)), zone=dt.UTC), "12:00:00", 21, False),  # a Saturday
        (Hours(zone=ZoneInfo("Asia/Tokyo")), "12:59:00", 20, True),
        (Hours(zone=ZoneInfo("Asia/Tokyo")), "13:00:00", 20, False),
        (Hours(22 * 60, 6 * 60, frozenset([4]), dt.UTC), "23:00:00", 20, True),  # Friday night ...
        (Hours(22 * 60, 6 * 60, frozenset([4]), dt.UTC), "05:00:00", 21, True),  # ... lasts until Saturday morning
        (Hours(22 * 60, 6 * 60, frozenset([4]), dt.UTC), "05:00:00", 20, False),
    ],
)
def test_hours(hours: Hours, clock: str, day: int, holds: bool) -> None:
    moment = moment_of(at(day, clock)["time"])
    assert moment is not None
    assert hours.contain(moment) == holds
    assert bool(found(AnomalyRules(since=WINDOW, hours=hours), at(day, clock))) != holds


def test_a_night_is_told_of_once() -> None:
    nights = [at(20, "02:00:00"), at(20, "03:00:00", kind="connection"), at(21, "02:00:00")]
    assert [detail for _, _, detail in found(DAY, *nights)] == ["a job at Fri 02:00 UTC", "a job at Sat 02:00 UTC"]


@pytest.mark.parametrize(
    ("kind", "rate"), [("job-start", "jobs"), ("connection", "connections"), ("job-refused", "denials")]
)
def test_a_burst_is_told_of_once_until_it_is_over(kind: str, rate: str) -> None:
    rules = AnomalyRules(since=WINDOW, hours=Hours(zone=dt.UTC), **{rate: Rate(3, 10.0)})
    calm = [at(20, f"12:00:{second:02}", kind=kind) for second in range(0, 60, 5)]
    assert found(rules, *calm) == []
    storm = [at(20, f"13:00:{second:02}", kind=kind) for second in (*range(9), *range(30, 39))]
    assert found(rules, *storm) == [("burst", "alice@EXAMPLE.COM", f"over 3 {rate} in 10 s")] * 2
    assert found(rules, *[{**record, "principal": str(n)} for n, record in enumerate(storm)]) == []


def test_history_itself_is_not_told_of() -> None:
    assert found(DAY, at(18, "02:00:00"), at(19, "03:00:00", peer="10.0.0.9:1")) == []


def test_findings_and_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUDIT_FINDINGS", 5)
    monkeypatch.setattr(limits, "AUDIT_ADDRESSES", 3)
    records = [at(20, "02:00:00", principal=f"p{number}") for number in range(9)]
    assert len(found(DAY, *records)) == 5
    moved = [at(20, peer=f"10.0.0.{number}:1") for number in range(2, 9)]
    assert [rule for rule, _, _ in found(DAY, at(19), *moved)] == ["new-address"] * 2  # with the first, three are known


VALUE = st.one_of(st.none(), st.integers(), st.text(max_size=20), st.lists(st.integers(), max_size=2))


@given(
    st.lists(
        st.fixed_dictionaries(
            {"kind": st.sampled_from(["connection", "job-start", "job-refused", "strangers", ""])},
            optional=dict.fromkeys(("time", "principal", "peer", "rule", "decision"), VALUE),
        ),
        max_size=5,
    )
)
def test_records_of_any_shape_are_looked_at(records: list[Any]) -> None:
    found(DAY, at(19), *records)
