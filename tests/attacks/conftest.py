"""The farm of tests/farm, and a look at its health before and after each attack."""

from collections.abc import Callable, Iterator

import pytest

from tests.attacks.health import Health
from tests.farm import farmside
from tests.farm.farmside import Farm, Realms


@pytest.fixture(scope="session")
def realms() -> Iterator[Realms]:
    with farmside.some_realms() as made:
        yield made


@pytest.fixture(scope="module")
def farm(realms: Realms) -> Iterator[Farm]:
    """One server with two slots, and alice with a ticket. It has all the time for strangers, so that a silence of its
    own is not taken for an answer.
    """
    with farmside.some_farm(realms, settings="limits: {preauth_deadline: 10min}\n") as made:
        yield made


@pytest.fixture(scope="module")
def health(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Health:
    """What the server is like before anything was done to it."""
    return Health(farm, tmp_path_factory.mktemp("health"))


@pytest.fixture
def kerberos(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """This process's own Kerberos is the farm's: raw clients are part of it."""
    monkeypatch.setenv("KRB5_CONFIG", farm.env["KRB5_CONFIG"])
    return lambda: None


@pytest.fixture(autouse=True)
def healthy(health: Health, kerberos: Callable[[], None]) -> Iterator[None]:
    """After every attack the server is as well as before."""
    health.count()
    yield
    health.check()
