"""200 small C files with make: bare, distcc plain and --auth, securecc with known inputs and for the first time."""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

import farm
import peers
import sources
from measure import RunFailed, run, settle
from verdict import Target, judge, table

_FIRST = "securecc, first time"
_KNOWN = "securecc, known"
_WARM = 3
"""Builds until an agent knows all: what is within reach, then with layers, then what the runs have read."""


def _make(rival: peers.Peer, files: sources.Sources, where: Path, jobs: int) -> float:
    objects = where / "objects"
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir()
    compiler = " ".join([*rival.prefix, files.compiler])
    rules = sources.makefile(files, where)
    command = ["make", "-s", "-f", str(rules), f"-j{jobs}", f"O={objects}", f"CC={compiler}"]
    return run(command, rival.environment, files.where).wall_s


def _remote(rival: peers.Peer, files: sources.Sources, where: Path, jobs: int) -> float:
    """As `_make`, and every job must have run on the server."""
    before = farm.jobs_done()
    wall = _make(rival, files, where, jobs)
    ran = farm.jobs_done() - before
    if ran != len(files.files):
        raise SystemExit(f"{ran} of {len(files.files)} compiles went through the server; figures mean nothing")
    return wall


def _round(number: int, jobs: int, count: int, rivals: tuple[peers.Peer, ...], where: Path) -> dict[str, float | None]:
    kept = sources.Sources(where / "kept", tuple(f"unit{n}.c" for n in range(count)), "gcc", ("-O2", "-Iinclude"))
    walls: dict[str, float | None] = {}
    for rival in rivals:
        settle()
        if rival.name == "securecc":
            walls[_KNOWN] = _remote(rival, kept, where, jobs)
            fresh = sources.small_c(where / f"fresh{jobs}-{number}", count, f"mark {jobs} {number}")
            settle()
            walls[_FIRST] = _remote(rival, fresh, where, jobs)
            continue
        try:
            walls[rival.name] = _make(rival, kept, where, jobs)
        except RunFailed:
            walls[rival.name] = None  # distcc --auth gives a handshake one second
    return walls


def _measure(jobs: int, rounds: int, count: int, rivals: tuple[peers.Peer, ...], where: Path) -> list[Target]:
    each = [_round(number, jobs, count, rivals, where) for number in range(rounds)]
    names = list(each[0])
    middles = {name: _median([walls[name] for walls in each]) for name in names}
    bare, distcc = middles["bare"], middles["distcc"]
    rows = [
        (name, "fails" if wall is None else f"{wall:.2f}", "" if wall is None else f"{wall / bare:.2f}")
        for name, wall in middles.items()
    ]
    table(f"{count} small C files at -j{jobs} (n={rounds})", ("", "wall s", "/ bare"), rows)
    return [
        Target(f"-j{jobs}: wall, known / distcc", middles[_KNOWN] / distcc, 1.0),
        Target(f"-j{jobs}: wall, first / distcc", middles[_FIRST] / distcc, 1.2),
    ]


def _median(walls: list[float | None]) -> float | None:
    """None if any of them failed."""
    return None if None in walls else statistics.median(walls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3, help="counted rounds (%(default)s)")
    parser.add_argument("--files", type=int, default=200, help="(%(default)s)")
    options = parser.parse_args()
    with ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="securecc-bench-")))
        where.chmod(0o711)
        plain = stack.enter_context(peers.distcc(where, 8, authenticated=False))
        proven = stack.enter_context(peers.distcc(where, 8, authenticated=True))
        kept = sources.small_c(where / "kept", options.files)
        for _ in range(_WARM):  # from now on the inputs are known, the system's headers as layers
            _remote(peers.ours(), kept, where, 8)
            settle()
        targets = []
        for jobs in (2, 8):
            targets += _measure(jobs, options.n, options.files, (peers.bare(), plain, proven, peers.ours()), where)
        judge("builds", targets)


if __name__ == "__main__":
    main()
