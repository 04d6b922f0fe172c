from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.audit import checkpoint
from securecc.audit.chain import Link
from securecc.audit.checkpoint import anchor_line, anchor_proven, host_name, parse_anchor, proven
from securecc.audit.signing import proves
from tests.audit.chains import DAEMON, MALLORY, signed

RECORD = signed(Link(41, "c" * 64))


def test_the_statement_is_what_docs_say() -> None:
    assert checkpoint.statement(Link(41, "c" * 64), "T", 3, "farm1") == (
        b"securecc-audit-checkpoint\n41 " + b"c" * 64 + b" T 3 farm1\n"
    )


def test_a_checkpoint_is_proven_by_its_key_alone() -> None:
    assert proven(RECORD, proves)
    assert not proven(msgspec.structs.replace(RECORD, key=MALLORY.public), proves)


@pytest.mark.parametrize(
    "change",
    [{"signed_seq": 42}, {"signed_hash": "d" * 64}, {"signed_time": "x"}, {"every": 4}, {"host": "other"},
     {"signature": "x"}, {"host": "\u00fc"}],
)  # fmt: skip
def test_whatever_is_changed_in_it_is_seen(change: dict[Any, Any]) -> None:
    assert not proven(msgspec.structs.replace(RECORD, **change), proves)


@pytest.mark.parametrize("before", ["", "<85>1 2026-11-21T08:00:00Z farm1 secureccd 7 checkpoint - ", "x" * 300])
@pytest.mark.parametrize("after", ["", "\n", " more", "\x1b[2J"])
def test_an_anchor_is_found_in_any_collector_s_line(before: str, after: str) -> None:
    anchor = parse_anchor(before + anchor_line(RECORD) + after, 5)
    assert anchor is not None
    assert (anchor.link, anchor.host, anchor.key, anchor.line) == (Link(41, "c" * 64), "farm1", DAEMON.public, 5)
    assert anchor_proven(anchor, proves)


def test_an_anchor_line_is_one_line_of_ascii() -> None:
    line = anchor_line(RECORD)
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 480  # the least that every syslog receiver takes (RFC 5424, 6.1)


@given(st.text(max_size=400))
def test_any_text_is_an_anchor_or_none(text: str) -> None:
    assert parse_anchor(text) is None


@given(st.integers(0, len(anchor_line(RECORD)) - 1), st.characters())
def test_a_changed_anchor_is_none_or_not_proven(at: int, char: str) -> None:
    line = anchor_line(RECORD)
    changed = line[:at] + char + line[at + 1 :]
    anchor = parse_anchor(changed)
    assert anchor is None or changed == line or not anchor_proven(anchor, proves)


def test_host_names() -> None:
    assert host_name("farm1.example.com") == "farm1.example.com"
    assert host_name("a b\n\u00fc") == "a_b__"
    assert host_name("") == "unknown"
    assert len(host_name("x" * 999)) == 255
