from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from securecc.audit.review.summary import Summary

TIME = "2026-11-20T12:00:00.000000Z"
ALICE = {"time": TIME, "principal": "alice@EXAMPLE.COM", "peer": "10.0.0.1:5"}


def added(*records: Any) -> Summary:
    summary = Summary()
    for record in records:
        summary.add(record)
    return summary


def test_a_principal_s_day() -> None:
    end = {
        **ALICE, "kind": "job-end", "outcome": "done", "exit": 1, "usage": {"user_s": 1.5, "system_s": 0.5},
        "outputs": [{"size": 100}, {"size": 50}, "odd"],
    }  # fmt: skip
    summary = added(
        {**ALICE, "kind": "connection", "decision": "allowed"},
        {**ALICE, "kind": "job-start", "time": "2026-11-20T11:00:00.000000Z"},
        end,
        {**end, "exit": 0, "peer": "[2001:db8::1]:5", "outcome": "cancelled", "time": "2026-11-20T13:00:00.000000Z"},
        {**ALICE, "kind": "job-refused", "code": "option", "reason": "no"},
    )
    alice = summary.people["alice@EXAMPLE.COM"]
    assert (alice.connections, alice.jobs, alice.denials, alice.failures) == (1, 1, 1, 1)
    assert (alice.cpu_s, alice.made, alice.hosts) == (4.0, 300, {"10.0.0.1", "2001:db8::1"})
    assert dict(alice.ended) == {"done": 1, "cancelled": 1}
    assert (summary.first, summary.last, summary.records) == (
        "2026-11-20T11:00:00.000000Z", "2026-11-20T13:00:00.000000Z", 5,
    )  # fmt: skip
    assert dict(summary.denials) == {("alice@EXAMPLE.COM", "option", "no"): 1}


def test_denied_connections_strangers_daemon_and_repairs() -> None:
    summary = added(
        {**ALICE, "kind": "connection", "decision": "denied", "reason": "no rule matches"},
        {"kind": "strangers", "source": "10.9.9.9", "counts": {"acl": 3, "tls": 1}},
        {"kind": "strangers", "source": "10.9.9.9", "counts": {"acl": 2}},
        {"kind": "daemon", "event": "start"},
        {"kind": "repair", "problem": "unwritten", "count": 7},
        {"kind": "checkpoint"},
    )
    assert dict(summary.denials) == {("alice@EXAMPLE.COM", "connection", "no rule matches"): 1}
    assert dict(summary.strangers) == {("10.9.9.9", "acl"): 5, ("10.9.9.9", "tls"): 1}
    assert (dict(summary.daemon), dict(summary.repairs)) == ({"start": 1}, {"unwritten": 7})


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)),
    max_leaves=6,
)
KEYS = ("time", "principal", "peer", "decision", "usage", "outputs", "outcome", "exit", "counts", "code", "count")


@given(
    st.lists(
        st.fixed_dictionaries(
            {"kind": st.sampled_from(["connection", "job-start", "job-end", "job-refused", "strangers", "repair"])},
            optional=dict.fromkeys(KEYS, JSON),
        ),
        max_size=4,
    )
)
def test_records_of_any_shape_are_added(records: list[Any]) -> None:
    assert added(*records).records == len(records)
