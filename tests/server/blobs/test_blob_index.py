from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import StoreError
from securecc.server.blobs.blob_index import BlobIndex, NoRoomError, charge

UNIT = limits.STORE_CHARGE


def put(holdings: Any, principal: str, digest: bytes, size: int = 1) -> Any:
    gone = holdings.reserve(principal, size)
    holdings.add(principal, digest, size)
    return [blob.digest for blob in gone]


def test_a_blob_counts_for_a_unit_at_least() -> None:
    assert (charge(0), charge(1), charge(UNIT + 1)) == (UNIT, UNIT, UNIT + 1)


def test_reserved_room_counts_until_it_is_given_back() -> None:
    holdings = BlobIndex(4 * UNIT, 2 * UNIT)
    holdings.reserve("alice", 1)
    holdings.reserve("alice", 1)
    with pytest.raises(NoRoomError, match="quota"):
        holdings.reserve("alice", 1)
    holdings.reserve("bob", 1)
    holdings.reserve("bob", 1)
    with pytest.raises(NoRoomError, match=r"all .* in use; raise the limit"):
        holdings.reserve("carol", 1)
    holdings.release("bob", 1)
    assert holdings.reserve("carol", 1) == []
    assert holdings.used == 4 * UNIT


def test_what_can_never_fit() -> None:
    holdings = BlobIndex(100 * UNIT, 3 * UNIT)
    for size in (-1, 4 * UNIT, limits.BLOB + 1):
        with pytest.raises(StoreError, match="at most"):
            holdings.reserve("alice", size)


def test_sharing_costs_each_owner_but_the_store_once() -> None:
    holdings = BlobIndex(4 * UNIT, 2 * UNIT)
    put(holdings, "alice", b"x")
    put(holdings, "bob", b"x")
    assert (holdings.used, holdings.charged("alice"), holdings.charged("bob"), len(holdings)) == (UNIT, UNIT, UNIT, 1)


def test_a_shared_blob_leaves_with_its_last_owner() -> None:
    holdings = BlobIndex(10 * UNIT, 1 * UNIT)
    put(holdings, "alice", b"x")
    put(holdings, "bob", b"x")
    assert put(holdings, "alice", b"y") == []
    assert holdings.missing("alice", [b"x"]) == [b"x"]
    assert holdings.missing("bob", [b"x"]) == []
    assert put(holdings, "bob", b"z") == [b"x"]
    assert b"x" not in holdings


def test_use_decides_what_goes() -> None:
    holdings = BlobIndex(3 * UNIT, 3 * UNIT)
    for name in (b"a", b"b", b"c"):
        put(holdings, "alice", name)
    blob = holdings.pin("alice", b"a")
    blob.pins -= 1
    assert put(holdings, "alice", b"d") == [b"b"]
    assert holdings.pin("alice", b"b") is None
    assert holdings.pin("nobody", b"a") is None


def test_a_full_house_of_principals_in_use() -> None:
    holdings = BlobIndex(1 << 40, 1 << 30)
    for number in range(limits.STORE_PRINCIPALS):
        holdings.reserve(f"user{number}", 1)
    with pytest.raises(NoRoomError, match="try again later"):
        holdings.reserve("one more", 1)
    holdings.release("user7", 1)
    holdings.reserve("one more", 1)
    assert holdings.charged("user7") == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 2 * UNIT)), max_size=80))
def test_the_sums_are_always_right(puts: Any) -> None:
    holdings = BlobIndex(8 * UNIT, 5 * UNIT)
    sizes, here = {}, {"a": set(), "b": set()}
    for who, number, size in puts:
        name = bytes([number])
        size = sizes.setdefault(name, size)  # noqa: PLW2901 - a digest has one size
        put(holdings, who, name, size)
        here[who].add(name)
        for principal, names in here.items():
            names -= set(holdings.missing(principal, names))
            assert holdings.charged(principal) == sum(charge(sizes[item]) for item in names) <= 5 * UNIT
        assert holdings.used == sum(charge(sizes[item]) for item in here["a"] | here["b"]) <= 8 * UNIT
