"""The targets of `make fuzz` in the gate: any bytes, and good input changed a little."""

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model.errors import Refused
from securecc.server.jobs import validation
from securecc.wire.session import Session
from tests.fuzz import targets
from tests.fuzz.mutation import MUTATORS
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

SEEDS = seeds()
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))


def changed(samples: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the samples with a piece taken out and another put in, as often as may be."""
    edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=9)), max_size=4)

    def apply(data: bytes, some: list[tuple[float, int, bytes]]) -> bytes:
        for where, taken, put in some:
            at = int(where * len(data))
            data = data[:at] + put + data[at + taken :]
        return data

    return st.builds(apply, st.sampled_from(samples), edits)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_parse_or_are_the_one_error(name: str) -> None:
    @settings(max_examples=EXAMPLES)
    @given(changed(SEEDS[name]) | st.binary(max_size=200))
    def run(data: bytes) -> None:
        TARGETS[name](data)

    run()


@pytest.mark.parametrize("name", MUTATORS)
def test_input_of_its_form_parses_or_is_the_one_error(name: str) -> None:
    """Changed value by value, several times over, so that it gets behind the first line of its reader."""

    @settings(max_examples=EXAMPLES)
    @given(st.sampled_from(SEEDS[name]), st.randoms(use_true_random=False), st.integers(1, 6))
    def run(data: bytes, chance: random.Random, times: int) -> None:
        for _ in range(times):
            data = MUTATORS[name](data, chance)
        TARGETS[name](data)

    run()


@pytest.mark.parametrize("name", MUTATORS)
def test_a_mutator_takes_any_bytes_and_mostly_changes_good_input(name: str) -> None:
    chance, changed = random.Random(1), 0
    for data in (b"", b"\0", b"\x91", b"\xc1rubbish", bytes(100)):
        MUTATORS[name](data, chance)
    for _ in range(200):
        data = chance.choice(SEEDS[name])
        changed += MUTATORS[name](data, chance) != data
    assert changed > 60


def test_the_deep_targets_samples_are_read_to_their_end() -> None:
    """A sample that is refused at its first line leads nowhere."""
    accepted = [data for data in SEEDS["submissions"] if _is_read(data)]
    assert len(accepted) >= 8
    for data in SEEDS["conversations"]:
        session = Session(server=True)
        for said in targets._conversation.decode(data):
            targets._hear(session, bytes(said), server=True)


def _is_read(data: bytes) -> bool:
    said = targets._submitted.decode(data)
    try:
        validation.validate(said.submit, targets._OFFER, said.sent, targets._SHARED_TREES)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("name", TARGETS)
def test_every_sample_is_read(name: str) -> None:
    assert SEEDS[name]
    for data in SEEDS[name]:
        TARGETS[name](data)
