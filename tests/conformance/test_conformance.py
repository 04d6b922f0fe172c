"""Every command line of conformance.yaml: the compiler alone and securecc leave the very same behind."""

import time
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.conformance.runs import Runs, differences
from tests.conformance.table import Line, lines
from tests.farm.farmside import Farm

LINES = list(lines(Path(__file__).parent / "conformance.yaml"))
MOST_LOCAL = 15
_AGAIN = 60  # runs, of which one must differ where only names are compared; the time of day does after a second


def _parameter(line: Line) -> ParameterSet:
    marks = [pytest.mark.xfail(reason=line.todo)] if line.todo else []
    return pytest.param(line, id=line.name, marks=marks)


@pytest.fixture
def runs(farm: Farm, tmp_path: Path) -> Runs:
    return Runs(farm, tmp_path)


@pytest.mark.parametrize("line", [_parameter(line) for line in LINES])
def test_alone_and_through_securecc_leave_the_same(runs: Runs, line: Line) -> None:
    runs.prepare(line)
    alone, through = runs.alone(line), runs.through(line)
    jobs = runs.jobs()
    assert differences(alone, through, line.by_name) == []
    if line.fails is not None or (line.either and alone.status):
        assert alone.status
        assert (line.fails or "").encode() in through.place
        return
    assert alone.status == 0, alone.err
    assert (line.local or "remote").encode() in through.place
    assert jobs == (0 if line.local else line.jobs)
    if line.by_name:
        if line.topic == "times":
            time.sleep(1 - time.time() % 1)  # what a compile says of the time of day changes with the second
        assert any(differences(alone, runs.alone(line)) for _ in range(_AGAIN)), "the compiler repeats itself"


def test_few_lines_stay_local() -> None:
    assert len({(line.topic, line.number) for line in LINES if line.local}) <= MOST_LOCAL


def test_the_table_is_large() -> None:
    assert len({(line.topic, line.number) for line in LINES}) >= 200
    assert min(sum(line.family == family for line in LINES) for family in ("gcc", "clang")) >= 150
