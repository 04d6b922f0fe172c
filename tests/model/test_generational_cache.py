"""A cache of bounded size keeps what is used."""

from hypothesis import given
from hypothesis import strategies as st

from securecc.model.generational_cache import GenerationalCache


def test_what_is_set_is_there_and_can_be_replaced() -> None:
    cache: GenerationalCache[str, int] = GenerationalCache(10)
    assert cache.get("a") is None
    cache["a"] = 1
    cache["a"] = 2
    assert (cache.get("a"), len(cache)) == (2, 1)


@given(st.lists(st.integers(0, 40)), st.integers(1, 20))
def test_it_never_holds_more_than_it_may(keys: list[int], most: int) -> None:
    cache: GenerationalCache[int, int] = GenerationalCache(most)
    for key in keys:
        if cache.get(key) is None:
            cache[key] = -key
        assert len(cache) <= max(most, 2)
        assert cache.get(key) in {-key, None}


def test_what_is_used_stays_while_others_come_and_go() -> None:
    cache: GenerationalCache[int, str] = GenerationalCache(10)
    cache[-1] = "in use"
    for key in range(1000):
        cache[key] = "used once"
        assert cache.get(-1) == "in use"
    assert cache.get(0) is None


def test_half_of_it_always_stays() -> None:
    cache: GenerationalCache[int, int] = GenerationalCache(20)
    for key in range(100):
        cache[key] = key
        assert all(cache.get(recent) == recent for recent in range(max(0, key - 5), key))


def test_heavy_values_count_for_more() -> None:
    cache: GenerationalCache[int, str] = GenerationalCache(100, weigh=len)
    for key in range(100):
        cache[key] = "x" * 10
        assert len(cache) <= 10


def test_a_replaced_value_counts_once() -> None:
    cache: GenerationalCache[int, str] = GenerationalCache(100, weigh=len)
    cache[0] = "kept"
    for _ in range(1000):
        cache[1] = "x" * 10
    assert cache.get(0) == "kept"


def test_what_is_cleared_is_forgotten_in_both_generations() -> None:
    cache: GenerationalCache[int, int] = GenerationalCache(4)
    for number in range(3):
        cache[number] = number
    cache.clear()
    assert len(cache) == 0
    assert cache.get(0) is None
