from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.audit.chain import Link, seal, stamp, unseal
from securecc.audit.checkpoint import Anchor, anchor_line, parse_anchor
from securecc.audit.records.daemon_events import Repair, daemon
from securecc.audit.signing import Signer, proves
from securecc.audit.verification import ChainVerifier, Expected, Verdict, choose_anchors
from securecc.model import limits
from tests.audit.chains import DAEMON, MALLORY, lines_of, make_log, make_signed, resealed, sealed_anew, signed, time_of

LOG, LAST = make_log()
WHOLE = b"".join(LOG)
SIGNED, ANCHORS = make_signed()
KEYS = frozenset([DAEMON.public])


def check(lines: list[Any], head: Link | None = None, after: Link | None = None, **known: Any) -> Verdict:
    chain = ChainVerifier(Expected(head=head, after=after, **known), proves)
    for line in lines:
        if not chain.feed(line):
            break
    return chain.verdict()


def by_record(anchors: list[Anchor]) -> dict[int, Anchor]:
    return {anchor.link.seq: anchor for anchor in anchors}


def test_a_whole_log() -> None:
    verdict = check(LOG, LAST)
    assert (verdict.problem, verdict.records, verdict.last) == ("", 6, LAST)
    assert check([]).problem == ""


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ([*LOG[:2], *LOG[3:]], 3, "record 3 is missing before record 4"),
        ([*LOG[:2], *LOG[5:]], 3, "records 3 to 5 are missing before record 6"),
        (LOG[1:], 1, "record 1 is missing before record 2; their file is not among those given"),
        ([LOG[0], LOG[2], LOG[1], *LOG[3:]], 2, "record 3 stands before record 2"),
        ([LOG[0], LOG[4], *LOG[2:4], LOG[1], LOG[5]], 2, "record 5 stands before record 3"),
        ([*LOG[:3], LOG[2], *LOG[3:]], 4, "record 3 stands after record 3"),
        ([*LOG[:2], LOG[2].replace(b"alice", b"mallo"), *LOG[3:]], 3, "record 3 was edited"),
        ([*LOG[:2], LOG[2][:50] + b"\n", *LOG[3:]], 3, "is not a complete record"),
        ([*LOG[:5], LOG[5][:-1]], 6, "is torn: the file ends in the middle of a record"),
        ([*LOG[:5], LOG[5][:50]], 6, "is torn"),
        ([*LOG[:2], b"\n", *LOG[2:]], 3, "is not a complete record"),
        (LOG[:4], 5, "records 5 to 6 are cut off the end"),
        ([], 1, "records 1 to 6 are cut off the end"),
        ([b"x" * (limits.AUDIT_RECORD + 1)], 1, "is longer than any record"),
    ],
)
def test_what_is_wrong_is_named(lines: list[Any], line: int, said: str) -> None:
    verdict = check(lines, LAST)
    assert verdict.line == line
    assert verdict.problem.startswith(said)


def test_parts_follow_each_other() -> None:
    chain = ChainVerifier()
    chain.new_file("old")
    assert all(chain.feed(line) for line in LOG[:3])
    chain.new_file("new")
    assert all(chain.feed(line) for line in LOG[3:])
    assert chain.verdict().records == 6
    assert check(LOG[3:], LAST, unseal(LOG[2]).link).problem == ""
    assert check(LOG[3:], LAST, Link(3, "0" * 64)).problem


def test_a_part_that_lacks_is_named_with_the_file_that_shows_it() -> None:
    chain = ChainVerifier()
    for name, lines in (("first", LOG[:2]), ("third", LOG[3:4]), ("fourth", LOG[4:])):
        chain.new_file(name)
        for line in lines:
            chain.feed(line)
    verdict = chain.verdict()
    assert (verdict.file, verdict.line, verdict.seq) == ("third", 1, 3)
    assert "record 3 is missing before record 4; their file is not" in verdict.problem


def test_repairs_are_noted() -> None:
    line, link = seal(Repair("torn", 5, "", "5 bytes were cut"), LAST, stamp(0))
    assert check([*LOG, line]).notes == ("torn: 5 bytes were cut",)
    body = line.partition(b',"hash":')[0].replace(b'"torn"', b'"worn"').partition(b',"kind":')[2]
    assert check([*LOG, resealed(body, LAST, stamp(0))[0]]).notes == ("an unreadable repair record",)
    missing, _ = seal(Repair("missing", 7, "", "gone"), link, stamp(0))
    assert (check([*LOG, line]).lost, check([*LOG, line, missing]).lost) == (0, 7)


# What somebody does to a log without the daemon's key, at every place. Each is found, and the record is named.


@pytest.mark.parametrize("at", range(6))
def test_a_record_deleted_is_named(at: int) -> None:
    verdict = check([*LOG[:at], *LOG[at + 1 :]], LAST)
    assert verdict.seq == at + 1
    assert verdict.problem.startswith(f"record {at + 1} is ")


@pytest.mark.parametrize(("first", "second"), [(a, b) for a in range(6) for b in range(a + 1, 6)])
def test_two_records_swapped_are_named(first: int, second: int) -> None:
    lines = [*LOG]
    lines[first], lines[second] = lines[second], lines[first]
    verdict = check(lines, LAST)
    assert (verdict.line, verdict.seq) == (first + 1, first + 1)
    assert verdict.problem.startswith(f"record {second + 1} stands before record")


@pytest.mark.parametrize("at", range(6))
def test_a_record_edited_is_named(at: int) -> None:
    verdict = check([*LOG[:at], LOG[at].replace(b"alice", b"carol"), *LOG[at + 1 :]], LAST)
    assert (verdict.line, verdict.seq, verdict.problem) == (at + 1, at + 1, f"record {at + 1} was edited")


@pytest.mark.parametrize("at", range(6))
def test_a_record_written_anew_with_its_hash_is_named(at: int) -> None:
    after = unseal(LOG[at - 1]).link if at else Link()
    forged, _ = seal(daemon("start"), after, time_of(at))
    verdict = check([*LOG[:at], forged, *LOG[at + 1 :]], LAST)
    assert (verdict.line, verdict.seq) == (at + 1, at + 1)


@pytest.mark.parametrize("at", range(6))
def test_a_cut_tail_is_named(at: int) -> None:
    verdict = check(LOG[:at], LAST)
    assert verdict.seq == at + 1
    assert verdict.problem.endswith(" cut off the end")


@settings(max_examples=300)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_byte_changed_is_found_where_it_is(at: int, change: int) -> None:
    edited = WHOLE[:at] + bytes([WHOLE[at] ^ change]) + WHOLE[at + 1 :]
    verdict = check(lines_of(edited), LAST)
    assert verdict.problem
    assert verdict.line == WHOLE[:at].count(b"\n") + 1


@settings(max_examples=100)
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3))
def test_any_byte_removed_or_added_is_found(at: int, extra: bytes) -> None:
    assert check(lines_of(WHOLE[:at] + WHOLE[at + 1 :]), LAST).problem
    assert check(lines_of(WHOLE[:at] + extra + WHOLE[at:]), LAST).problem


@settings(max_examples=100)
@given(st.permutations(range(6)))
def test_any_other_order_is_found(order: list[int]) -> None:
    assert bool(check([LOG[at] for at in order], LAST).problem) == (order != sorted(order))


@settings(max_examples=100)
@given(st.sets(st.integers(0, 5), min_size=1))
def test_any_lines_removed_are_found(removed: set[int]) -> None:
    verdict = check([line for at, line in enumerate(LOG) if at not in removed], LAST)
    assert verdict.seq == min(removed) + 1


@settings(max_examples=100)
@given(st.integers(0, len(WHOLE) - 1))
def test_cut_anywhere_is_found(at: int) -> None:
    assert check(lines_of(WHOLE[:at]), LAST).problem


@settings(max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(LOG + SIGNED)), max_size=6))
def test_any_bytes_get_a_verdict(parts: list[Any]) -> None:
    verdict = check(lines_of(b"".join(parts)))
    assert verdict.problem or verdict.records == len(lines_of(b"".join(parts)))


# Signatures: somebody chains everything anew, as who may write the file can.


def test_a_signed_log() -> None:
    verdict = check(SIGNED, keys=KEYS)
    assert (verdict.problem, verdict.signed, verdict.records) == ("", 8, 12)
    assert check(LOG).problem == ""
    assert check(LOG, keys=KEYS).problem == "the log has no checkpoint: nothing is signed"
    begun_unsigned = sealed_anew([*LOG, *SIGNED[:1]], DAEMON)
    assert check(begun_unsigned, keys=KEYS).signed == 6


def edited(at: int, signer: Signer | None) -> list[bytes]:
    lines = [*SIGNED[:at], SIGNED[at].replace(b"alice", b"carol").replace(b"farm1", b"farm2"), *SIGNED[at + 1 :]]
    return sealed_anew(lines, signer)


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("signer", [None, MALLORY])
def test_a_log_chained_anew_is_found_by_its_signatures(at: int, signer: Signer | None) -> None:
    """What follows the last checkpoint is signed by the next one only: there an anchor has to tell."""
    verdict = check(edited(at, signer), keys=KEYS)
    if signer is MALLORY:
        assert "is signed by another key" in verdict.problem
        assert verdict.seq == 1
    elif at <= 8:
        assert verdict.seq in (at // 4 * 4 + 1, (at + 3) // 4 * 4 + 1)
        assert "checkpoint" in verdict.problem
    else:
        assert verdict.problem == ""
        assert verdict.signed == 8


@pytest.mark.parametrize("at", range(12))
def test_a_record_deleted_and_all_chained_anew_is_found_by_its_signatures(at: int) -> None:
    verdict = check(sealed_anew([*SIGNED[:at], *SIGNED[at + 1 :]]), keys=KEYS)
    assert bool(verdict.problem) == (at <= 8)


def test_checkpoints_left_out_are_found() -> None:
    lines = sealed_anew([line for line in SIGNED if b'"kind":"checkpoint"' not in line or b'"signed_seq":0' in line])
    verdict = check(lines, keys=KEYS)
    assert verdict.problem == "no checkpoint stands between record 1 and record 5, where one was due"
    assert verdict.seq == 5


def test_a_checkpoint_that_is_none() -> None:
    line, _ = resealed(b'"checkpoint","key":1', LAST, time_of(9))
    assert check([*LOG, line]).problem == "record 7 is not a checkpoint"
    other, _ = seal(signed(Link(6, "a" * 64)), LAST, time_of(9))
    assert check([*LOG, other]).problem == "the checkpoint at record 7 signs another chain"
    false = msgspec.structs.replace(signed(LAST), signature=DAEMON.sign(b"something else"))
    line, _ = seal(false, LAST, time_of(9))
    assert check([*LOG, line]).problem == "the signature of the checkpoint at record 7 is not valid"


# Anchors: what another machine has kept.


@pytest.mark.parametrize("cut", range(12))
def test_a_tail_cut_below_an_anchor_is_found(cut: int) -> None:
    verdict = check(SIGNED[:cut], anchors=by_record(ANCHORS))
    if cut < ANCHORS[-1].link.seq:
        assert verdict.seq == cut + 1
        assert "cut off the end (line 3 of the anchors," in verdict.problem
    else:
        assert (verdict.problem, verdict.anchored) == ("", 8)


@pytest.mark.parametrize("at", [at for at in range(12) if at % 4])
def test_a_log_written_anew_by_who_has_the_key_is_found_by_an_anchor(at: int) -> None:
    verdict = check(edited(at, DAEMON), keys=KEYS, anchors=by_record(ANCHORS))
    if at < ANCHORS[-1].link.seq:
        assert "is not the one that was anchored" in verdict.problem
        assert verdict.seq == 4 * (at // 4 + 1)
    else:
        assert verdict.problem == ""


def test_a_part_is_held_to_the_anchor_before_it() -> None:
    anchors = by_record(ANCHORS)
    assert check(SIGNED[4:], after=unseal(SIGNED[3]).link, anchors=anchors).anchored == 8
    assert "anchored" in check(SIGNED[4:], after=Link(4, "0" * 64), anchors=anchors).problem


def test_which_anchors_are_this_log_s() -> None:
    _, others = make_signed(signer=MALLORY)
    chosen, notes, trouble = choose_anchors([*ANCHORS, *others[:1]], KEYS, proves)
    assert (chosen, notes, trouble) == (by_record(ANCHORS), ["1 lines of the anchors are signed by other keys"], "")


def test_a_forged_anchor_is_noted_and_not_believed() -> None:
    false = replace(ANCHORS[1], link=Link(4, "a" * 64), line=9)
    chosen, notes, trouble = choose_anchors([false, *ANCHORS], KEYS, proves)
    assert chosen == by_record(ANCHORS)
    assert notes == ["line 9 of the anchors is forged: its signature is not valid"]
    assert trouble == ""


def test_anchors_of_two_chains_contradict_each_other() -> None:
    one, two = (parse_anchor(anchor_line(signed(Link(1, digest * 64))), line) for digest, line in (("a", 5), ("b", 8)))
    assert one is not None
    assert two is not None
    _, _, trouble = choose_anchors([one, *ANCHORS, two], KEYS, proves)
    assert trouble == "lines 5 and 8 of the anchors name two different records 1"


def test_a_digest_that_must_be_there() -> None:
    link = unseal(LOG[3]).link
    for wanted in (link.digest, f"{link.seq}:{link.digest}"):
        assert check(LOG, digest=wanted).problem == ""
        assert "cut off" in check(LOG[:3], digest=wanted).problem
    assert "no record is" in check(LOG, digest=f"2:{link.digest}").problem
