"""`make soak`: builds go on while connections, processes and policies come and go; at the end all is accounted for.

    python tests/soak/run.py [MINUTES [SEED]]

Exits with 1 and says what is wrong: a process, descriptor, file or memory that is left, a compile that failed though
nobody ended it, an audit chain that is not whole, a job whose attempt is not on record exactly once.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent)]

from tests.farm import farmside  # noqa: E402
from tests.farm.farmside import POLICY, Farm  # noqa: E402
from tests.soak import troubles  # noqa: E402
from tests.soak.accounts import Accounts  # noqa: E402

BUILDERS = 2
KILLED = (-9, 137)
PAUSE_S = 0.4
RARELY_S = 20.0  # between the ends of whole daemons; none in the last third, by which memory is judged
ENOUGH = 150  # of those who leave: each stage and way has had its turn, twice
SERVED = 0.3  # of all compiles; launchers without an agent or a server compile by themselves
AGENT_S = 10.0  # between the ends of agents: one that begins takes seconds on a busy machine
CALM_S = 20.0  # longer than HEARTBEAT_LOST_S: whoever was silent has been given up


class Builders:
    """Compiles one small file after the other, each another; what became of them."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        self._farm, self._folder = farm, folder
        self._ending = threading.Event()
        self.fates: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._threads = [threading.Thread(target=self._build, args=(number,)) for number in range(BUILDERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _build(self, builder: int) -> None:
        number = 0
        while not self._ending.is_set():
            number += 1
            source = self._folder / f"b{builder}-{number % 50}.c"
            source.write_text(f"int b{builder}_{number}(int n) {{ return n + {number}; }}\n")
            source.with_suffix(".o").unlink(missing_ok=True)
            try:
                done = self._farm.compile(source)
            except subprocess.TimeoutExpired:
                self.wrong.append(f"{source.name}: no end within a minute")
                continue
            made = source.with_suffix(".o").exists()
            fate = "made" if made and done.returncode == 0 else "killed" if done.returncode in KILLED else "failed"
            self.fates[fate] += 1
            if fate == "failed":
                self.wrong.append(f"{source.name}: status {done.returncode}, {done.stderr.strip()[:300]}")


def soak(farm: Farm, minutes: float, chance: random.Random) -> int:
    """The number of things that are wrong."""
    folder = Path(tempfile.mkdtemp(prefix="securecc-soak-", dir=farm.folder))
    accounts = Accounts(farm)
    accounts.warm(folder)
    builders = Builders(farm, folder)
    try:
        done = _trouble(farm, minutes, chance, builders.wrong)
    finally:
        builders.stop()
    (farm.server.folder / "policy.yaml").write_text(POLICY.read_text())
    print(f"compiled at home: {farm.why()}")
    print(f"{minutes:g} min; troubles {dict(done)}; compiles {dict(builders.fates)}", flush=True)
    time.sleep(CALM_S)
    served = len(farm.audit(kind="job-end", outcome="done", cwd=str(folder)))
    print(f"{served} of {builders.fates['made']} compiles were the server's")
    wrong = [*builders.wrong, *_left_out(), *accounts.settle(folder)]
    if served < builders.fates["made"] * SERVED:
        wrong.append("too few compiles were the server's: the rest tries nothing")
    for line in wrong:
        print(f"WRONG: {line}")
    print("all is accounted for" if not wrong else f"{len(wrong)} things are wrong")
    return len(wrong)


def _left_out() -> Iterator[str]:
    """Silent connections that are still held; where time was enough for all of them, ways to leave that never came."""
    print(f"left: {', '.join(f'{stage} by {way} {count}' for (stage, way), count in sorted(troubles.left.items()))}")
    if held := troubles.still_held():
        yield f"{held} silent connections have not been ended"
    if troubles.left.total() > ENOUGH:
        for pair in itertools.product((*troubles.STAGES, "tcp", "half", "tls", "token"), troubles.WAYS):
            if not troubles.left[pair]:
                yield f"nobody left at {pair[0]!r} by {pair[1]}"


def _trouble(farm: Farm, minutes: float, chance: random.Random, wrong: list[str]) -> Counter[str]:
    """One after the other, until the time is over; how often each came. A daemon that has ended by itself is `wrong`,
    and started anew.
    """
    done: Counter[str] = Counter()
    began = rarely = agent = time.monotonic()
    rare = itertools.cycle(troubles.RARE)
    while (passed := time.monotonic() - began) < minutes * 60:
        trouble = chance.choice(troubles.USUAL)
        if trouble is troubles.kill_agent:
            if time.monotonic() - agent < AGENT_S:
                continue
            agent = time.monotonic()
        if passed < minutes * 40 and time.monotonic() - rarely > RARELY_S:
            trouble, rarely = next(rare), time.monotonic()
        trouble(farm, chance)
        done[trouble.__name__] += 1
        if (ended := farm.server.process.poll()) is not None:
            wrong.append(f"the daemon has ended with {ended} behind {trouble.__name__}: {farm.server.log()[-300:]}")
            troubles._start(farm)
        time.sleep(PAUSE_S * chance.random())
    return done


def main(words: list[str]) -> int:
    """The exit status."""
    minutes = float(words[0]) if words else 10.0
    seed = int(words[1]) if words[1:] else random.SystemRandom().getrandbits(32)
    print(f"seed {seed}", flush=True)
    with farmside.some_realms() as realms, farmside.some_farm(realms) as farm:
        os.environ["KRB5_CONFIG"] = farm.env["KRB5_CONFIG"]
        return int(soak(farm, minutes, random.Random(seed)) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
