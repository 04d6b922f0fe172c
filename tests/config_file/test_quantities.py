import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.config_file.quantities import duration, duration_text, rate, rate_text, size, size_text
from securecc.model.errors import PolicyError


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10min", 600), ("1h", 3600), ("1.5h", 5400), ("250ms", 0.25), ("2 min", 120)]
)
def test_duration(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(("text", "count"), [("1B", 1), ("64KiB", 65536), ("4GiB", 2**32), ("1.5GiB", 3 * 2**29)])
def test_size(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize(
    "text", ["", "10", "min", "-1s", "1e3s", "1s1s", "inf", "10m", "5 parsecs", "\u0661s", "9" * 99]
)
def test_no_duration(text: str) -> None:
    with pytest.raises(PolicyError):
        duration(text)


@pytest.mark.parametrize(
    ("text", "meant"), [("4GB", "GiB"), ("4G", "GiB"), ("4g", "GiB"), ("4m", "MiB"), ("4kb", "KiB")]
)
def test_no_size_but_nearly(text: str, meant: str) -> None:
    with pytest.raises(PolicyError, match=f"did you mean {meant}"):
        size(text)


@given(st.integers(0, 2**44))
def test_size_reads_its_own_text(count: int) -> None:
    assert size(size_text(count)) == count


@given(st.integers(1, 10**6))
def test_duration_reads_its_own_text(seconds: int) -> None:
    assert duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "per_second"), [("50/s", 50), ("600/min", 10), ("5400/h", 1.5), ("0.5/s", 0.5), ("3 / s", 3)]
)
def test_rate(text: str, per_second: float) -> None:
    assert rate(text) == per_second


@pytest.mark.parametrize("text", ["", "50", "50s", "/s", "-1/s", "50/d", "50/ms", "1e3/s", "\u0661/s"])
def test_no_rate(text: str) -> None:
    with pytest.raises(PolicyError, match="is not a rate; write a number and a period"):
        rate(text)


@given(st.integers(1, 10**6), st.sampled_from(["s", "min", "h"]))
def test_rate_reads_its_own_text(count: int, unit: str) -> None:
    found = rate(f"{count}/{unit}")
    assert rate(rate_text(found)) == pytest.approx(found, rel=1e-3)
