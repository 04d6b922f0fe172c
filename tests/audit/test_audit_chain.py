import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.audit.chain import GENESIS, Chain, Link, head_line, parse_head, recover, seal, stamp, unseal
from securecc.audit.events import Repair, connection, daemon
from securecc.words import limits
from securecc.words.errors import AuditError


def make_log(count=6):
    link, lines = Link(), []
    for number in range(count):
        record = connection("allowed", peer="10.0.0.1:5", principal="alice@EXAMPLE.COM", reference=f"r{number}")
        line, link = seal(record, link, stamp(1_700_000_000_000_000_000 + number))
        lines.append(line)
    return lines, link


LOG, LAST = make_log()


def check(lines, head=None, after=None):
    chain = Chain(head, after)
    for line in lines:
        if not chain.feed(line):
            break
    return chain.verdict()


def test_a_whole_log():
    verdict = check(LOG, LAST)
    assert (verdict.problem, verdict.records, verdict.last) == ("", 6, LAST)
    assert check([]).problem == ""


def test_the_definition_by_hand():
    body, _, rest = LOG[1].partition(b',"hash":"')
    assert rest == hashlib.sha256(body).hexdigest().encode() + b'"}\n'
    assert f'"prev":"{hashlib.sha256(LOG[0]).hexdigest()}"'.encode() in LOG[1]
    assert GENESIS.encode() in LOG[0]
    assert unseal(LOG[5]).link == LAST


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ([*LOG[:2], *LOG[3:]], 3, "record 3 is missing before record 4"),
        ([*LOG[:2], *LOG[5:]], 3, "records 3 to 5 are missing before record 6"),
        (LOG[1:], 1, "record 1 is missing before record 2"),
        ([LOG[0], LOG[2], LOG[1], *LOG[3:]], 2, "record 3 stands before record 2"),
        ([LOG[0], LOG[4], *LOG[2:4], LOG[1], LOG[5]], 2, "record 5 stands before record 3"),
        ([*LOG[:3], LOG[2], *LOG[3:]], 4, "record 3 stands after record 3"),
        ([*LOG[:2], LOG[2].replace(b"alice", b"mallo"), *LOG[3:]], 3, "record 3 was edited"),
        ([*LOG[:2], LOG[2][:50] + b"\n", *LOG[3:]], 3, "is not a whole record"),
        ([*LOG[:5], LOG[5][:-1]], 6, "is torn: the file ends in the middle of a record"),
        ([*LOG[:5], LOG[5][:50]], 6, "is torn"),
        ([*LOG[:2], b"\n", *LOG[2:]], 3, "is not a whole record"),
        (LOG[:4], 5, "records 5 to 6 are cut off the end"),
        ([], 1, "records 1 to 6 are cut off the end"),
        ([b"x" * (limits.AUDIT_RECORD + 1)], 1, "is longer than any record"),
    ],
)
def test_what_is_wrong_is_named(lines, line, said):
    verdict = check(lines, LAST)
    assert verdict.line == line
    assert verdict.problem.startswith(said)


def test_a_record_sealed_anew_is_found_by_the_next():
    forged, _ = seal(daemon("start"), unseal(LOG[1]).link, stamp(0))
    verdict = check([*LOG[:2], forged, *LOG[3:]])
    assert (verdict.line, verdict.seq) == (3, 3)
    assert "does not follow" in verdict.problem


def test_a_log_sealed_anew_to_its_end_is_found_by_the_head():
    forged, link = LOG[:5], unseal(LOG[4]).link
    line, _ = seal(daemon("stop"), link, stamp(0))
    assert check([*forged, line]).problem == ""
    assert "not the one that was written" in check([*forged, line], LAST).problem


def test_parts_follow_each_other():
    chain = Chain()
    assert all(chain.feed(line) for line in LOG[:3])
    chain.new_file()
    assert all(chain.feed(line) for line in LOG[3:])
    assert chain.verdict().records == 6
    assert check(LOG[3:], LAST, unseal(LOG[2]).link).problem == ""
    assert check(LOG[3:], LAST, Link(3, "0" * 64)).problem


def test_repairs_are_noted():
    line, _ = seal(Repair("torn", 5, "", "5 bytes were cut"), LAST, stamp(0))
    assert check([*LOG, line]).notes == ("torn: 5 bytes were cut",)
    body = line.partition(b',"hash":')[0].replace(b'"torn"', b'"worn"')
    forged = body + f',"hash":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    assert check([*LOG, forged]).notes == ("a repair that cannot be read",)


def test_a_record_over_the_limit_is_not_sealed():
    with pytest.raises(AuditError, match="at most"):
        seal(daemon("start", layers=["x" * 4000] * 100), Link(), stamp(0))


def test_the_head_is_of_one_length():
    assert parse_head(head_line(LAST)) == LAST
    assert len(head_line(Link())) == len(head_line(Link(10**17, "f" * 64)))
    for data in (b"", head_line(LAST)[:-1], head_line(LAST) + b"x", b"\xff" * 84):
        assert parse_head(data) is None


def test_time_is_rfc_3339_in_utc():
    assert stamp(1_700_000_000_000_001_999) == "2023-11-14T22:13:20.000001Z"


WHOLE = b"".join(LOG)


@settings(max_examples=300)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_byte_changed_is_found(at, change):
    edited = WHOLE[:at] + bytes([WHOLE[at] ^ change]) + WHOLE[at + 1 :]
    assert check(lines_of(edited), LAST).problem


@settings(max_examples=100)
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3))
def test_any_byte_removed_or_added_is_found(at, extra):
    assert check(lines_of(WHOLE[:at] + WHOLE[at + 1 :]), LAST).problem
    assert check(lines_of(WHOLE[:at] + extra + WHOLE[at:]), LAST).problem


@settings(max_examples=100)
@given(st.permutations(range(6)))
def test_any_other_order_is_found(order):
    assert bool(check([LOG[at] for at in order], LAST).problem) == (order != sorted(order))


@settings(max_examples=100)
@given(st.sets(st.integers(0, 5), min_size=1))
def test_any_lines_removed_are_found(removed):
    assert check([line for at, line in enumerate(LOG) if at not in removed], LAST).problem


@settings(max_examples=100)
@given(st.integers(0, len(WHOLE) - 1))
def test_cut_anywhere_is_found(at):
    assert check(lines_of(WHOLE[:at]), LAST).problem


@settings(max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(LOG)), max_size=6))
def test_any_bytes_get_a_verdict(parts):
    verdict = check(lines_of(b"".join(parts)))
    assert verdict.problem or verdict.records == len(lines_of(b"".join(parts)))


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE)), st.binary(max_size=20))
def test_recover_keeps_a_whole_prefix(at, tail):
    data = WHOLE[:at] + tail
    try:
        torn, last = recover(data, whole=True)
    except AuditError:
        assert at < len(LOG[0]) or tail.count(b"\n") > 1
        return
    verdict = check(lines_of(data[: len(data) - torn]))
    assert not verdict.problem
    assert verdict.last == (last or Link())


def test_recover_does_not_go_back_far():
    with pytest.raises(AuditError, match="damaged"):
        recover(LOG[0] + b"x\ny\n", whole=True)
    with pytest.raises(AuditError, match="damaged"):
        recover(b"x" * 1000, whole=False)
    assert recover(LOG[4][20:] + LOG[5], whole=False) == (0, LAST)


def lines_of(data: bytes) -> list[bytes]:
    """As reading a file gives them: cut at newlines only."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
