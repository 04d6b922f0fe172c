import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.state import journal_record
from securecc.client.state.journal_record import JournalRecord
from securecc.model import limits


def test_counts_add_up() -> None:
    total = JournalRecord()
    for now in (1.0, 2.0, 3.0):
        total = journal_record.add(total, journal_record.remote(now, "farm1:3643", 100, 10, 0.5))
    total = journal_record.add(total, journal_record.local(4.0, "link", "links", [b"gcc", b"a.c"]))
    assert (total.remote, total.local, total.since) == (3, 1, 1.0)
    assert total.servers["farm1:3643"] == journal_record.ServerTotals(3, 300, 30, 1.5, 3.0)
    assert total.reasons["link"].examples == (journal_record.LocalCompile(4.0, "a.c", "links"),)


def test_adding_nothing_changes_nothing() -> None:
    one = journal_record.local(4.0, "link", "links", [])
    assert journal_record.add(one, JournalRecord()) == journal_record.add(JournalRecord(), one) == one


@pytest.mark.parametrize("wall_s", [math.inf, -math.inf, math.nan, -1.0, 1e308])
def test_a_server_that_lies_about_its_time_does_not_spoil_the_record(wall_s: float) -> None:
    one = journal_record.remote(1.0, "farm1", 100, 10, wall_s)
    total = journal_record.add(journal_record.add(journal_record.remote(1.0, "farm1", 1, 1, 0.5), one), one)
    assert journal_record.decode(journal_record.encode(total)) == total
    assert (total.remote, total.servers["farm1"].wall_s) == (3, 0.5)


def test_a_disagreement_counts_as_local_and_is_kept() -> None:
    one = journal_record.disagreement(1.0, "farm1", [b"gcc", b"-c", b"a\xff.c"], -9, b"\x1b[31mbad\n")
    assert (one.local, one.remote) == (1, 0)
    assert "signal 9 on farm1" in one.reasons["disagreement"].examples[0].detail
    kept = one.disagreements[0]
    assert kept.arguments == ("gcc", "-c", "a\\xff.c")
    assert kept.errors == "\\x1b[31mbad\n"
    assert (
        "exit status 1" in journal_record.disagreement(1.0, "f", [], 1, b"").reasons["disagreement"].examples[0].detail
    )


def test_equal_examples_are_one_and_the_latest_come_first() -> None:
    total = JournalRecord()
    for now, source in enumerate([b"a.c", b"b.c", b"a.c"]):
        total = journal_record.add(total, journal_record.local(float(now), "option", "-x", [b"gcc", source]))
    assert [(item.source, item.time) for item in total.reasons["option"].examples] == [("a.c", 2.0), ("b.c", 1.0)]


def test_all_is_bounded() -> None:
    total = JournalRecord()
    for number in range(limits.JOURNAL_SERVERS + 50):
        total = journal_record.add(total, journal_record.remote(float(number), f"farm{number}", 1, 1, 0))
        total = journal_record.add(
            total, journal_record.local(float(number), f"reason{number}", "x" * 9999, [b"y" * 9999 + b".c"])
        )
        total = journal_record.add(total, journal_record.local(float(number), "one", f"{number}", []))
    for _ in range(50):
        total = journal_record.add(total, journal_record.disagreement(1.0, "f", [b"z" * 9999] * 9999, 1, b"w" * 99999))
    assert (len(total.servers), len(total.reasons)) == (limits.JOURNAL_SERVERS, limits.JOURNAL_REASONS)
    assert "farm0" not in total.servers
    assert len(total.reasons["one"].examples) == limits.JOURNAL_EXAMPLES
    assert len(total.disagreements) == limits.JOURNAL_DISAGREEMENTS


def test_the_source_is_found_by_its_name() -> None:
    assert journal_record.source_of([b"gcc", b"-c", b"dir/a.cc", b"-o", b"a.o"]) == b"dir/a.cc"
    assert journal_record.source_of([b"gcc", b"-v"]) == b""


def test_the_worst_that_is_remembered_fits_the_file() -> None:
    total = JournalRecord()
    worst = b'"' * 9999 + b".c"
    for number in range(limits.JOURNAL_SERVERS):
        total = journal_record.add(total, journal_record.remote(1.0, f"{number:04}" + '"' * 9999, 1, 1, 0))
    for number in range(limits.JOURNAL_DISAGREEMENTS):
        total = journal_record.add(
            total, journal_record.disagreement(1.0 + number, '"' * 9999, [worst] * 9999, 1, worst)
        )
    for number in range(limits.JOURNAL_REASONS * limits.JOURNAL_EXAMPLES):
        reason = f"{number % limits.JOURNAL_REASONS:04}" + '"' * 9999
        total = journal_record.add(total, journal_record.local(1.0, reason, f"{number:04}" + '"' * 9999, [worst]))
    assert len(total.reasons) == limits.JOURNAL_REASONS
    assert len(msgspec.json.encode(total)) < limits.JOURNAL_FILE


@settings(max_examples=100)
@given(st.binary(max_size=1000), st.text(max_size=100))
def test_what_is_kept_is_short_and_harmless(data: Any, text: Any) -> None:
    for value in (data, text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")):
        detail = next(iter(journal_record.local(1.0, "x", value, []).reasons.values())).examples[0].detail
        assert len(detail.encode()) <= limits.JOURNAL_TEXT
        assert all(char.isprintable() or char == "\n" for char in detail)


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_nothing(data: Any) -> None:
    assert isinstance(journal_record.decode(data), JournalRecord)


def test_another_version_is_nothing() -> None:
    assert journal_record.decode(b'{"version":2,"since":5.0}') == JournalRecord()
    assert journal_record.decode(b'{"since":5.0}') == JournalRecord(since=5.0)
