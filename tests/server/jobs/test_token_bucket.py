from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from securecc.server.jobs.token_bucket import TokenBucket


class Clock:
    now = 0.0

    def __call__(self) -> Any:
        return self.now


def test_a_burst_and_then_a_rate() -> None:
    clock = Clock()
    some = TokenBucket(clock)
    for _ in range(5):
        assert some.wait(1, 2.0, 5) == 0.0
        some.take(1, 2.0, 5)
    assert some.wait(1, 2.0, 5) == 0.5
    clock.now = 0.5
    assert some.wait(1, 2.0, 5) == 0.0
    clock.now = 1e6
    assert some.wait(5, 2.0, 5) == 0.0
    assert some.wait(6, 2.0, 5) > 0.0


def test_what_was_taken_too_much_has_to_come_in_again() -> None:
    clock = Clock()
    some = TokenBucket(clock)
    some.take(3, 0.5, 1)
    assert some.wait(0, 0.5, 1) == 4.0


def test_a_policy_may_change_it() -> None:
    clock = Clock()
    some = TokenBucket(clock)
    some.take(10, 1.0, 10)
    assert some.wait(1, 1.0, 10) == 1.0
    assert some.wait(1, 10.0, 10) == 0.1


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=60), st.floats(0.1, 100), st.integers(1, 10))
def test_never_more_than_the_rate_and_one_burst(script: Any, rate: Any, burst: Any) -> None:
    clock = Clock()
    some = TokenBucket(clock)
    taken = 0
    for later, wants in script:
        clock.now += later
        if wants and some.wait(1, rate, burst) == 0.0:
            some.take(1, rate, burst)
            taken += 1
        assert taken <= burst + clock.now * rate + 1e-6
