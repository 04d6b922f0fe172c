import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import PolicyError
from securecc.model.principal import Principal
from securecc.policy.member_list import read_members


def test_one_principal_a_line() -> None:
    data = b"\xef\xbb\xbf# exported\r\n\r\nalice@EXAMPLE.COM\r\n  bob@EXAMPLE.COM\t# since May\nx#1/ci@EXAMPLE.COM\n"
    assert read_members(data, "f") == {
        Principal.parse(each) for each in ("alice@EXAMPLE.COM", "bob@EXAMPLE.COM", "x#1/ci@EXAMPLE.COM")
    }


def test_empty() -> None:
    assert read_members(b"", "f") == frozenset()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"alice", "no realm"),
        (b"alice@EXAMPLE.COM bob@EXAMPLE.COM", "more than one word"),
        (b"*@EXAMPLE.COM", "a pattern"),
        (b"alice@EXAMPLE.COM\0", "a control character that is not escaped"),
        (b"alice@EXAMPLE.COM@OTHER.ORG", "an unescaped @"),
        (b"a" * 5000, "the limit is 1024"),
    ],
)
def test_a_bad_line_is_named_by_its_number(line: bytes, says: str) -> None:
    with pytest.raises(PolicyError, match=says) as caught:
        read_members(b"# one\nbob@EXAMPLE.COM\n" + line + b"\n", "committers.txt")
    assert str(caught.value).startswith("committers.txt:3:1: ")


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(PolicyError, match="the limit is"):
        read_members(b"\n" * (limits.GROUP_FILE + 1), "f")


@settings(max_examples=100)
@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        members = read_members(data, "f")
    except PolicyError:
        return
    assert all(isinstance(each, Principal) for each in members)
