"""The launcher, built in each way that it may be, and an agent of the test's own to play with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.launcher.launcher_rig import VARIANTS, Agent, Rig, build, remove_builds


@pytest.fixture(scope="module")
def launchers() -> Iterator[None]:
    yield
    remove_builds()


@pytest.fixture(params=sorted(VARIANTS))
def rig(request: pytest.FixtureRequest, tmp_path: Path, launchers: None) -> Iterator[Rig]:
    user = Rig(build(request.param), tmp_path)
    yield user
    user.close()


@pytest.fixture
def agent(rig: Rig) -> Iterator[Agent]:
    played = Agent(rig)
    yield played
    played.close()
