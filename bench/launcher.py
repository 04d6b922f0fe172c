"""The launcher's own cost: with a warm agent and a job that stays local, all time beyond the bare compiler is ours."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import peers
from measure import run, settle
from verdict import Target, judge, ms, table

_LOCAL = ["gcc", "-E", "unit.c", "-o", "unit.i"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=100, help="counted rounds (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="securecc-bench-") as folder:
        where = Path(folder)
        (where / "unit.c").write_text("#include <stdio.h>\nint unit(void) { return 0; }\n")
        bare, ours = peers.bare(), peers.Peer("securecc", ("securecc",), dict(os.environ))
        walls: dict[str, list[float]] = {bare.name: [], ours.name: []}
        settle()
        for number in range(options.n + 3):
            for rival in (bare, ours):
                cost = run([*rival.prefix, *_LOCAL], rival.environment, where)
                if number >= 3:
                    walls[rival.name].append(cost.wall_s)
        beyond = statistics.median(walls[ours.name]) - statistics.median(walls[bare.name])
        rows = [(name, ms(statistics.median(wall)), ms(min(wall)), ms(max(wall))) for name, wall in walls.items()]
        table(f"{' '.join(_LOCAL)} (n={options.n})", ("", "wall ms", "least", "most"), rows)
        judge("launcher", [Target("launcher beyond the bare compiler", beyond * 1e3, 2.0, " ms")])


if __name__ == "__main__":
    main()
