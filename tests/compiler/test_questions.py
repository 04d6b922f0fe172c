"""What a run asked: a stranger's bytes in, questions or an error out."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.questions import Answer, Kind, Question, names_checksum, parse
from securecc.model import limits
from securecc.model.errors import ProtocolError


def test_records() -> None:
    data = b"\0".join(
        (b"A+4---------------/usr/bin/as", b"Dd0001000000000005/x", b"Nfa.c", b"ld/usr", b"v-CPATH", b"T+time cc1")
    )
    assert parse(data) == (
        Question(Kind.ALLOWED, Answer.PRESENT, b"/usr/bin/as", b"4---------------"),
        Question(Kind.DIRECTORY, Answer.FOLDER, b"/x", b"0001000000000005"),
        Question(Kind.NAME, Answer.REGULAR, b"a.c"),
        Question(Kind.LINK, Answer.FOLDER, b"/usr", by_driver=True),
        Question(Kind.VARIABLE, Answer.ABSENT, b"CPATH", by_driver=True),
        Question(Kind.CLOCK, Answer.PRESENT, b"time cc1"),
    )


def test_no_question() -> None:
    assert parse(b"") == ()


@pytest.mark.parametrize(
    "data",
    [b"X-a", b"N?a", b"N", b"Nfa\0", b"\0", b"A+x---------------/a", b"Dd0/a", b"A+4---------------", b"\xff\xff"],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(data)


def test_questions_are_bounded() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        parse(b"Nf" + b"a" * limits.WITNESS)


@given(st.binary(max_size=200))
def test_any_bytes_are_questions_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        for question in parse(data):
            assert isinstance(question, Question)


@given(st.lists(st.binary(min_size=1, max_size=20)))
def test_the_order_of_names_does_not_count(names: list[bytes]) -> None:
    assert names_checksum(names) == names_checksum(reversed(names))
    assert len(names_checksum(names)) == 16


def test_one_name_more_or_another_counts() -> None:
    assert len({names_checksum(names) for names in ([], [b"a"], [b"b"], [b"a", b"b"], [b"a", b"a"])}) == 5
