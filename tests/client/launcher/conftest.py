"""The launcher, built in each way that it may be, and an agent of the test's own to play with it."""

import pytest

from tests.client.launcher.launcher_rig import VARIANTS, Agent, Rig, build, remove_builds


@pytest.fixture(scope="module")
def launchers():
    yield
    remove_builds()


@pytest.fixture(params=sorted(VARIANTS))
def rig(request, tmp_path, launchers):
    user = Rig(build(request.param), tmp_path)
    yield user
    user.close()


@pytest.fixture
def agent(rig):
    played = Agent(rig)
    yield played
    played.close()
