"""The tree of errors."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.model import errors
from securecc.model.errors import Denied, Refused, SecureccError, StaysLocal

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
TWO_WORDS = {Refused, StaysLocal}


@pytest.mark.parametrize("kind", ALL)
def test_all_are_of_one_tree_and_say_whose_fault_it_is(kind: Any) -> None:
    assert issubclass(kind, SecureccError)
    assert kind.__doc__


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in TWO_WORDS])
@given(st.text(max_size=20), st.text(max_size=20))
def test_message_and_advice_make_one_line(kind: Any, message: Any, advice: Any) -> None:
    error = kind(message, advice)
    assert (error.message, error.advice) == (message, advice)
    assert str(error) == (f"{message}; {advice}" if advice else message)


def test_what_is_counted_and_what_is_recorded_stands_apart() -> None:
    assert (StaysLocal("link", "links").reason, str(StaysLocal("link", "links"))) == ("link", "links")
    assert (Refused("busy", "later").code, str(Refused("busy", "later"))) == ("busy", "later")
    assert (Denied("no", "ask", rule="r").rule, str(Denied("no", "ask", rule="r"))) == ("r", "no; ask")


def test_they_are_told_apart_by_class_alone() -> None:
    assert len({kind.__name__ for kind in ALL}) == len(ALL)
    with pytest.raises(SecureccError):
        raise Denied("no")
    assert pickle.loads(pickle.dumps(SecureccError("x"))).message == "x"
