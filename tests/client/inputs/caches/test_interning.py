"""Equal values as one object."""

from hypothesis import given
from hypothesis import strategies as st

from securecc.client.inputs.caches.interning import Interner


@given(st.lists(st.one_of(st.binary(max_size=3), st.integers(0, 3), st.booleans(), st.frozensets(st.integers(0, 2)))))
def test_what_comes_back_is_equal_and_of_its_type(values: list[object]) -> None:
    known = Interner()
    for value in values:
        got = known.one(value)
        assert got == value
        assert type(got) is type(value)


def test_the_first_stands_for_all() -> None:
    known = Interner()
    first, second = bytes(bytearray(b"same")), bytes(bytearray(b"same"))
    assert first is not second
    assert known.one(first) is known.one(second) is first


def test_only_what_is_not_used_is_forgotten() -> None:
    known = Interner(most=4)
    unused, used = bytes(bytearray(b"unused")), bytes(bytearray(b"used"))
    known.one(unused)
    known.one(used)
    for other in range(10):
        known.one(other)
        assert known.one(bytes(bytearray(b"used"))) is used
    assert known.one(bytes(bytearray(b"unused"))) is not unused
