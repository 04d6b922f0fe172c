from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.channel.known_sources import KnownSources
from securecc.model import limits

NOW = 1_800_000_000.0


class Clock:
    now = NOW

    def __call__(self) -> Any:
        return self.now


def test_a_source_is_known_for_some_days() -> None:
    clock = Clock()
    some = KnownSources(clock=clock)
    assert "192.0.2.1" not in some
    some.learn("192.0.2.1")
    assert "192.0.2.1" in some
    clock.now += limits.KNOWN_SOURCE_S - 1
    assert "192.0.2.1" in some
    clock.now += 1
    assert "192.0.2.1" not in some


def test_what_is_known_outlives_the_daemon() -> None:
    clock = Clock()
    some = KnownSources(clock=clock)
    some.learn("192.0.2.1")
    clock.now += 60
    again = KnownSources(some.take(), clock)
    assert "192.0.2.1" in again
    assert not again.changed


def test_only_news_are_worth_writing() -> None:
    clock = Clock()
    some = KnownSources(clock=clock)
    some.learn("192.0.2.1")
    assert some.changed
    some.take()
    for _ in range(100):
        some.learn("192.0.2.1")
    assert not some.changed
    clock.now += limits.KNOWN_RENEWAL_S
    some.learn("192.0.2.1")
    assert some.changed


@pytest.mark.parametrize("at", [NOW + 1e9, NOW])
def test_a_time_that_has_not_come_counts_as_now(at: Any) -> None:
    clock = Clock()
    some = KnownSources({"192.0.2.1": at}, clock)
    clock.now += limits.KNOWN_SOURCE_S
    assert "192.0.2.1" not in some


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1e6)), max_size=40))
def test_the_memory_is_bounded_and_keeps_the_latest(script: Any) -> None:
    clock = Clock()
    some = KnownSources({str(number): NOW - number for number in range(5)}, clock)
    most, limits.KNOWN_SOURCES = limits.KNOWN_SOURCES, 3
    try:
        for source, later in script:
            clock.now += later
            some.learn(str(source))
            assert str(source) in some
            assert len(some) <= max(3, 5)
        assert len(KnownSources(some.take(), clock)) <= 3
    finally:
        limits.KNOWN_SOURCES = most
