"""The outcome says how long the server had the job."""

import itertools

from securecc.server.execution.measured import Measured
from tests.server.execution.chain import run
from tests.server.frontside import StubExecutor


def test_the_whole_time_is_in_the_outcome() -> None:
    clock = itertools.count(100.0, 2.5)
    found = run(Measured(StubExecutor(), lambda: next(clock)))
    assert found.server_s == 2.5
    found.close()
