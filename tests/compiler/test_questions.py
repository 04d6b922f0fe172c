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
    most = b"\0".join([b"N-a"] * limits.QUESTIONS)
    assert len(parse(most)) == limits.QUESTIONS
    with pytest.raises(ProtocolError, match="65537 questions; at most"):
        parse(most + b"\0N-b")


@given(st.binary(max_size=200))
def test_any_bytes_are_questions_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        for question in parse(data):
            assert isinstance(question, Question)


TEXTS = st.binary(min_size=1, max_size=20).filter(lambda text: b"\0" not in text)
MARKS = {
    Kind.ALLOWED: st.sampled_from("01234567").map(lambda digit: digit.encode() + b"-" * 15),
    Kind.DIRECTORY: st.lists(st.binary(max_size=5)).map(names_checksum),
}
ANY = st.sampled_from(Kind).flatmap(
    lambda kind: st.builds(
        Question, st.just(kind), st.sampled_from(Answer), TEXTS, MARKS.get(kind, st.just(b"")), st.booleans()
    )
)


def record(question: Question) -> bytes:
    """As the witness writes it."""
    letter = question.kind.lower() if question.by_driver else question.kind.value
    return letter.encode() + question.answer.encode() + question.mark + question.text


@given(st.lists(ANY))
def test_what_the_witness_writes_is_what_is_read(asked: list[Question]) -> None:
    assert parse(b"\0".join(map(record, asked))) == tuple(asked)


@given(st.lists(ANY, min_size=1, max_size=3), st.data())
def test_records_with_one_byte_changed_are_questions_or_an_error(asked: list[Question], data: st.DataObject) -> None:
    """Whatever is read says again what was sent, but for the letters' case."""
    records = bytearray(b"\0".join(map(record, asked)))
    records[data.draw(st.integers(0, len(records) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        assert b"\0".join(map(record, parse(bytes(records)))) == records


@given(st.lists(st.binary(min_size=1, max_size=20)))
def test_the_order_of_names_does_not_count(names: list[bytes]) -> None:
    assert names_checksum(names) == names_checksum(reversed(names))
    assert len(names_checksum(names)) == 16


def test_one_name_more_or_another_counts() -> None:
    assert len({names_checksum(names) for names in ([], [b"a"], [b"b"], [b"a", b"b"], [b"a", b"a"])}) == 5
