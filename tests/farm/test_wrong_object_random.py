"""Worlds that change at random between compiles: securecc makes what the compiler alone makes, each time.

A failure names its seed; the world is the same again for the same seed. `make soak` goes on for longer.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm import farmside
from tests.farm.farmside import Farm, Realms
from tests.farm.random_world import REMOTE_SHARE, remote_share, wander

STEPS = 30


@pytest.fixture(scope="module")
def farm(realms: Realms) -> Iterator[Farm]:
    """A server that has clang as well."""
    with farmside.some_farm(realms) as made:
        made.server.configure(toolchains="[/usr/bin/gcc, /usr/bin/clang]")
        made.server.restart()
        yield made


@pytest.mark.parametrize("seed", range(10))
def test_a_world_that_changes(farm: Farm, tmp_path: Path, seed: int) -> None:
    world, steps, other = wander(farm, tmp_path / "w", seed, STEPS)
    assert other is None, "\n".join([f"seed {seed}, step {len(steps)}", *other.differences, world.story()])
    assert remote_share(steps) >= REMOTE_SHARE, world.story()
