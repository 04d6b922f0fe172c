"""`make soak`: worlds of sources that change at random; securecc makes what the compiler alone makes, at each step.

    python tests/soak/worlds.py [STEPS [SEED]]

Exits with 1 at the first difference, and says which world and step it was in.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent)]

from tests.farm import farmside  # noqa: E402
from tests.farm.random_world import REMOTE_SHARE, remote_share, wander  # noqa: E402

EACH = 50
"""Steps of one world."""


def main(words: list[str]) -> int:
    """The exit status."""
    left = int(words[0]) if words else 10_000
    seed = int(words[1]) if words[1:] else random.SystemRandom().getrandbits(32)
    done = []
    with farmside.some_realms() as realms, farmside.some_farm(realms) as farm:
        farm.server.configure(toolchains="[/usr/bin/gcc, /usr/bin/clang]")
        farm.server.restart()
        os.environ["KRB5_CONFIG"] = farm.env["KRB5_CONFIG"]
        while left > 0:
            with tempfile.TemporaryDirectory(prefix="securecc-world-") as folder:
                world, steps, other = wander(farm, Path(folder) / "w", seed, min(EACH, left))
                if other is not None:
                    print("\n".join([f"WRONG: seed {seed}, step {len(steps)}", *other.differences, world.story()]))
                    return 1
            done += steps
            left -= EACH
            print(f"seed {seed}: {len(done)} steps, {remote_share(done):.0%} remote", flush=True)
            seed += 1
    if remote_share(done) < REMOTE_SHARE:
        print("too few compiles were the server's: the rest tries nothing")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
