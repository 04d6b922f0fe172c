from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import StoreError
from securecc.server.blobs.blob_index import BlobIndex, NoRoomError, charge

UNIT = limits.STORE_CHARGE


def put(index: Any, principal: str, digest: bytes, size: int = 1) -> Any:
    gone = index.reserve(principal, size)
    index.add(principal, digest, size)
    return [blob.digest for blob in gone]


def test_a_blob_counts_for_a_unit_at_least() -> None:
    assert (charge(0), charge(1), charge(UNIT + 1)) == (UNIT, UNIT, UNIT + 1)


def test_reserved_room_counts_until_it_is_given_back() -> None:
    index = BlobIndex(4 * UNIT, 2 * UNIT)
    index.reserve("alice", 1)
    index.reserve("alice", 1)
    with pytest.raises(NoRoomError, match="quota"):
        index.reserve("alice", 1)
    index.reserve("bob", 1)
    index.reserve("bob", 1)
    with pytest.raises(NoRoomError, match=r"all .* in use; raise the limit"):
        index.reserve("carol", 1)
    index.release("bob", 1)
    assert index.reserve("carol", 1) == []
    assert index.used == 4 * UNIT


def test_what_can_never_fit() -> None:
    index = BlobIndex(100 * UNIT, 3 * UNIT)
    for size in (-1, 4 * UNIT, limits.BLOB + 1):
        with pytest.raises(StoreError, match="at most"):
            index.reserve("alice", size)


def test_sharing_costs_each_owner_but_the_store_once() -> None:
    index = BlobIndex(4 * UNIT, 2 * UNIT)
    put(index, "alice", b"x")
    put(index, "bob", b"x")
    assert (index.used, index.charged("alice"), index.charged("bob"), len(index)) == (UNIT, UNIT, UNIT, 1)


def test_a_shared_blob_leaves_with_its_last_owner() -> None:
    index = BlobIndex(10 * UNIT, 1 * UNIT)
    put(index, "alice", b"x")
    put(index, "bob", b"x")
    assert put(index, "alice", b"y") == []
    assert index.missing("alice", [b"x"]) == [b"x"]
    assert index.missing("bob", [b"x"]) == []
    assert put(index, "bob", b"z") == [b"x"]
    assert b"x" not in index


def test_use_decides_what_goes() -> None:
    index = BlobIndex(3 * UNIT, 3 * UNIT)
    for name in (b"a", b"b", b"c"):
        put(index, "alice", name)
    blob = index.pin("alice", b"a")
    assert blob is not None
    blob.pins -= 1
    assert put(index, "alice", b"d") == [b"b"]
    assert index.pin("alice", b"b") is None
    assert index.pin("nobody", b"a") is None


def test_a_full_house_of_principals_in_use() -> None:
    index = BlobIndex(1 << 40, 1 << 30)
    for number in range(limits.STORE_PRINCIPALS):
        index.reserve(f"user{number}", 1)
    with pytest.raises(NoRoomError, match="try again later"):
        index.reserve("one more", 1)
    index.release("user7", 1)
    index.reserve("one more", 1)
    assert index.charged("user7") == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 2 * UNIT)), max_size=80))
def test_the_sums_are_always_right(puts: Any) -> None:
    index = BlobIndex(8 * UNIT, 5 * UNIT)
    sizes: dict[bytes, int] = {}
    here: dict[str, set[bytes]] = {"a": set(), "b": set()}
    for who, number, size in puts:
        name = bytes([number])
        size = sizes.setdefault(name, size)  # noqa: PLW2901 - a digest has one size
        put(index, who, name, size)
        here[who].add(name)
        for principal, names in here.items():
            names -= set(index.missing(principal, names))
            assert index.charged(principal) == sum(charge(sizes[item]) for item in names) <= 5 * UNIT
        assert index.used == sum(charge(sizes[item]) for item in here["a"] | here["b"]) <= 8 * UNIT
