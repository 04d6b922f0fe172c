import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.redaction import Redaction, silenced, unredacted

TOKENS = Redaction([r"^-D\w*(?i:token|secret)\w*=(.*)", r"AKIA[0-9A-Z]{16}", r"^--user=([^:]*):(.*)$"])


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        (b"-DTOKEN=hunter2", b"-DTOKEN=[redacted]"),
        (b"-DMY_Secret_X=a\nb\xff", b"-DMY_Secret_X=[redacted]"),
        (b"x-DTOKEN=a", b"x-DTOKEN=a"),
        (b"-DX=AKIAABCDEFGHIJKLMNOP;", b"-DX=[redacted];"),
        (b"--user=alice:pw", b"--user=[redacted]:[redacted]"),
        (b"-DTOKEN=", b"-DTOKEN="),
        (b"-DTOKEN=AKIAABCDEFGHIJKLMNOP", b"-DTOKEN=[redacted]"),
    ],
)
def test_what_is_matched_is_replaced(argument: Any, shown: Any) -> None:
    assert list(TOKENS([b"gcc", argument, b"-c"])) == [b"gcc", shown, b"-c"]


def test_arguments_without_secrets_are_left_as_they_are() -> None:
    arguments = [b"gcc", b"-DX=1", b"-c", b"a.c"]
    assert TOKENS(arguments) is arguments
    assert unredacted(arguments) is arguments
    assert list(TOKENS([])) == []


def test_prose_that_quotes_an_argument() -> None:
    said = Redaction([r"-DTOKEN=(\S*)"]).prose("-DTOKEN=hunter2 is refused\x1b")
    assert said == "-DTOKEN=[redacted] is refused\x1b"
    assert TOKENS.prose("nothing") == "nothing"


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=12), max_size=6), st.binary(min_size=1, max_size=12), st.integers(0, 6))
def test_a_secret_is_gone_wherever_it_stands(others: Any, secret: Any, at: Any) -> None:
    arguments = [*others[:at], b"-DTOKEN=" + secret, *others[at:]]
    found = TOKENS(arguments)
    assert len(found) == len(arguments)
    assert found[min(at, len(others))] == b"-DTOKEN=[redacted]"


PATTERN = st.sampled_from(
    [r"^a", r"a$", r"^a.b$", r"\bab", r"[^a]b", r"a\B", r".", r"^$", r"(?i)AB", r"a*$", r"\n", r"a\\Ab"]
)


@settings(max_examples=400)
@given(st.lists(PATTERN, min_size=1, max_size=3), st.lists(st.text("ab\n\\A", max_size=5), max_size=4))
def test_one_search_over_all_misses_nothing(patterns: Any, arguments: Any) -> None:
    """As each pattern on each argument would find, by another engine."""
    raw = [argument.encode() for argument in arguments]
    touched = [
        any(
            match.span()[0] < match.span()[1]
            for p in patterns
            for match in re.finditer(p.encode().replace(b"$", rb"\Z"), a, re.DOTALL)
        )
        for a in raw
    ]
    found = Redaction(patterns)(raw)
    assert [b"[redacted]" in item for item in found] == touched


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "a pattern of 0 bytes"),
        ("a" * 1025, "1025 bytes; 1 to 1024"),
        ("(", "missing"),
        (r"(a)\1", "invalid escape"),
        ("(?=a)", "in pattern"),
        ("(?m)^a", "in pattern"),
        ("(?i-m:a)", "in pattern"),
        (r"\Aa", "in pattern"),
        (r"a\z", "in pattern"),
        (r"\Qa", "in pattern"),
        ("(a{1000}){1000}", "invalid repetition"),
        ("((((a{100}){10}){10}){10}){10}", "pattern"),
        ("a)|(b", "pattern"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_reason(pattern: Any, said: Any) -> None:
    with pytest.raises(ConfigError, match=said):
        Redaction([pattern])


@pytest.mark.parametrize("pattern", [r"(?i)token=(.*)", r"(?:a|b)c", r"(?P<name>a)", r"(?<name>a)", r"\\Ab", r"(?i:a)"])
def test_what_is_allowed(pattern: Any) -> None:
    Redaction([pattern])


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*$", r"(.*a){20}", r"^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_pattern_is_slow(pattern: Any) -> None:
    """Each of these takes a backtracking engine longer than the universe has."""
    arguments = [b"a" * limits.ARGUMENT + b"!"] * 8
    began = time.process_time()
    Redaction([pattern])(arguments)
    assert time.process_time() - began < 60


def test_any_number_of_patterns_within_the_limit() -> None:
    patterns = [f"^-DTOKEN{number}=(.*)" for number in range(limits.AUDIT_PATTERNS)]
    assert list(Redaction(patterns)([b"-DTOKEN63=x"])) == [b"-DTOKEN63=[redacted]"]


@given(st.text(max_size=40), st.sampled_from([".", "a.", "\u00e4", "[^a]b", ".+"]))
def test_any_reason_can_be_silenced(reason: str, pattern: Any) -> None:
    """Also where a pattern takes half a character away."""
    redaction = Redaction([pattern])
    said = silenced(reason, (), (), redaction)
    assert said.encode("utf-8", "surrogatepass").count(b"[redacted]") >= (1 if pattern == ".+" and reason else 0)
    assert silenced(reason, (), (), unredacted) == reason


def test_a_secret_is_silenced_in_whole_and_in_part() -> None:
    redaction = Redaction([r"-DTOKEN=(.*)"])
    given = [b"gcc", b"-DTOKEN=hunter2"]
    shown = redaction(given)
    assert silenced("hunter2 in '-DTOKEN=hunter2'", given, shown, redaction).count("hunter2") == 0
