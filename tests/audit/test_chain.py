import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.audit.chain import GENESIS, Link, first_seq, head_line, parse_head, recover, seal, stamp, unseal
from securecc.audit.records.daemon_events import daemon
from securecc.model.errors import AuditError
from tests.audit.chains import lines_of, make_log

LOG, LAST = make_log()
WHOLE = b"".join(LOG)


def test_the_definition_by_hand() -> None:
    body, _, rest = LOG[1].partition(b',"hash":"')
    assert rest == hashlib.sha256(body).hexdigest().encode() + b'"}\n'
    assert f'"prev":"{hashlib.sha256(LOG[0]).hexdigest()}"'.encode() in LOG[1]
    assert GENESIS.encode() in LOG[0]
    assert unseal(LOG[5]).link == LAST


def test_a_record_over_the_limit_is_not_sealed() -> None:
    with pytest.raises(AuditError, match="the limit is"):
        seal(daemon("start", layers=["x" * 4000] * 100), Link(), stamp(0))


def test_the_head_is_of_one_length() -> None:
    assert parse_head(head_line(LAST)) == LAST
    assert len(head_line(Link())) == len(head_line(Link(10**17, "f" * 64)))
    for data in (b"", head_line(LAST)[:-1], head_line(LAST) + b"x", b"\xff" * 84):
        assert parse_head(data) is None


def test_time_is_rfc_3339_in_utc() -> None:
    assert stamp(1_700_000_000_000_001_999) == "2023-11-14T22:13:20.000001Z"


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE)), st.binary(max_size=20))
def test_recover_keeps_a_whole_prefix(at: int, tail: bytes) -> None:
    data = WHOLE[:at] + tail
    try:
        torn, last = recover(data, whole=True)
    except AuditError:
        assert at < len(LOG[0]) or tail.count(b"\n") > 1
        return
    kept = lines_of(data[: len(data) - torn])
    assert kept == LOG[: len(kept)]
    assert (unseal(kept[-1]).link if kept else None) == last


def test_recover_does_not_go_back_far() -> None:
    with pytest.raises(AuditError, match="damaged"):
        recover(LOG[0] + b"x\ny\n", whole=True)
    with pytest.raises(AuditError, match="damaged"):
        recover(b"x" * 1000, whole=False)
    assert recover(LOG[4][20:] + LOG[5], whole=False) == (0, LAST)


def test_what_a_file_begins_with() -> None:
    assert [first_seq(line[:100]) for line in LOG] == [1, 2, 3, 4, 5, 6]
    assert first_seq(b"") is None
    assert first_seq(b'{"seq":0,"prev":"') is None


@given(st.binary(max_size=200))
def test_any_bytes_are_no_line_and_an_audit_error(data: bytes) -> None:
    with pytest.raises(AuditError, match=r"is not a complete record|was edited"):
        unseal(data)
