from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.audit.records.escaped_text import text
from securecc.model.printable import unescape


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"plain /path -DX=1", "plain /path -DX=1"),
        (b"a\nb\x1b[31m\x7f", "a\\x0ab\\x1b[31m\\x7f"),
        (b"back\\slash", "back\\\\slash"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("grün".encode(), "grün"),
        ("\u202egnp.exe", "\\xe2\\x80\\xaegnp.exe"),
        ("\x85\u2028", "\\xc2\\x85\\xe2\\x80\\xa8"),
        ("\udcff", "\\xff"),
        ("\ud800", "\\xed\\xa0\\x80"),
    ],
)
def test_text(value: Any, shown: str) -> None:
    assert text(value) == shown


@given(st.binary(max_size=200))
def test_text_is_printable_and_reversible(data: bytes) -> None:
    shown = text(data)
    assert shown.isprintable()
    assert unescape(shown) == data


@given(st.text())
def test_any_str_is_text(value: str) -> None:
    assert text(value).isprintable()


def test_long_text_is_cut_and_says_so() -> None:
    assert text(b"x" * 5000) == "x" * 4096 + "\\+904"
