"""One farm for all lines that a pytest worker runs: nothing here breaks it."""

from collections.abc import Iterator

import pytest

from tests.conformance import compilers
from tests.farm.farmside import Farm


@pytest.fixture(scope="session")
def farm() -> Iterator[Farm]:
    with compilers.some_farm() as made:
        yield made
