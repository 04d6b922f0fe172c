"""Digests are remembered across threads, and not more of them than may be."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from securecc.client.host.digest_cache import DigestCache
from securecc.system.stat_key import StatKey


def key(number: int) -> StatKey:
    return StatKey(1, number, 0, 0, 0)


def test_a_mapping() -> None:
    cache = DigestCache()
    cache[key(1)] = b"1"
    assert (cache[key(1)], cache.get(key(2)), len(cache), list(cache)) == (b"1", None, 1, [key(1)])
    del cache[key(1)]
    with pytest.raises(KeyError):
        cache[key(1)]


def test_the_least_recently_used_goes() -> None:
    cache = DigestCache(most=2)
    for number in (1, 2):
        cache[key(number)] = b"%d" % number
    assert cache[key(1)] == b"1"
    cache[key(3)] = b"3"
    assert (key(1) in cache, key(2) in cache, key(3) in cache) == (True, False, True)


def test_threads_do_not_disturb_each_other() -> None:
    cache = DigestCache(most=10)

    def work(number: int) -> bytes | None:
        for other in range(200):
            cache[key(other % 20)] = b"x"
            cache.get(key((number + other) % 20))
        return cache.get(key(19))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(8)))
    assert len(cache) == 10
