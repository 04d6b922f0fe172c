"""Fixtures of tests that need a farm: the realms live as long as the pytest worker, a farm as long as a module."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.farm import farmside
from tests.farm.farmside import Farm, FarmMaker, Realms


@pytest.fixture(scope="session")
def realms() -> Iterator[Realms]:
    with farmside.some_realms() as made:
        yield made


@pytest.fixture(scope="module")
def farm(realms: Realms) -> Iterator[Farm]:
    """One server with two slots, and alice with a ticket. Whoever breaks something of it mends it again."""
    with farmside.some_farm(realms) as made:
        yield made


@pytest.fixture
def some_farm(realms: Realms) -> FarmMaker:
    """For farms of another size or policy: ``with some_farm(servers=2) as farm``."""
    return partial(farmside.some_farm, realms)
