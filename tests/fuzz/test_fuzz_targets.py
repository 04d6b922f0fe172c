"""The targets of `make fuzz` in the gate: any bytes, and good input changed a little."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from seeds import seeds
from targets import TARGETS

SEEDS = seeds()
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))


def changed(samples):
    """One of the samples with a piece taken out and another put in, as often as may be."""
    edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=9)), max_size=4)

    def apply(data, some):
        for where, taken, put in some:
            at = int(where * len(data))
            data = data[:at] + put + data[at + taken :]
        return data

    return st.builds(apply, st.sampled_from(samples), edits)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_parse_or_are_the_one_error(name):
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(changed(SEEDS[name]) | st.binary(max_size=200))
    def run(data):
        TARGETS[name](data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_every_sample_is_read(name):
    assert SEEDS[name]
    for data in SEEDS[name]:
        TARGETS[name](data)
