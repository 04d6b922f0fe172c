import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.cli import printing
from securecc.model.errors import ConfigError

NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


@given(st.text())
def test_whatever_is_printed_is_printable(text: str) -> None:
    assert printing.plain(text).isprintable()
    assert printing.as_json({text: text}).isascii()
    assert printing.as_json(text).isprintable()
    assert json.loads(printing.as_json(text)) == text


def test_columns_align() -> None:
    assert printing.columns([("A", "B"), ("long", "x y")]) == "A     B\nlong  x y"
    assert printing.columns([]) == ""
    assert printing.columns([("a", "b", "")]) == "a  b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s ago"), (-5, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7200, "2 h ago"), (999999, "11 d ago")],
)
def test_ago(seconds: int, text: str) -> None:
    assert printing.ago(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")]
)
def test_size(count: int, text: str) -> None:
    assert printing.size(count) == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10min", "2026-11-21T11:50:00+00:00"),
        ("1d", "2026-11-20T12:00:00+00:00"),
        ("2026-11-20", "2026-11-20T00:00:00+00:00"),
        ("2026-11-20T08:00:00+02:00", "2026-11-20T06:00:00+00:00"),
        ("2026-11-20T08:00:00Z", "2026-11-20T08:00:00+00:00"),
    ],
)
def test_moments(text: str, moment: str) -> None:
    assert printing.moment(text, NOW).isoformat() == moment


@settings(max_examples=100)
@given(st.text(max_size=12))
def test_any_text_is_a_moment_or_a_config_error(text: str) -> None:
    try:
        found = printing.moment(text, NOW)
    except ConfigError:
        return
    assert found.tzinfo is not None


def test_a_span_beyond_all_time_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        printing.moment("999999999d", NOW)
    with pytest.raises(ConfigError):
        printing.moment("0001-01-01T00:00:00+05:00", NOW)
