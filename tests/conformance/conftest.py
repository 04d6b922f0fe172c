"""One farm for all lines that a pytest worker runs: nothing here breaks it."""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "farm"))

import compilers
import pytest
from farmside import Farm


@pytest.fixture(scope="session")
def farm() -> Iterator[Farm]:
    with compilers.some_farm() as made:
        yield made
