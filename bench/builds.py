"""200 small C files with make: bare compiler, distcc plain and --auth, securecc with known inputs and a first time."""

from __future__ import annotations

import argparse
import math
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
_BASES = ("bare", "distcc")
_WARM = 3
"""Builds until an agent knows everything: what is in reach, then the shared trees, then what the runs have read."""


def _make(rival: peers.Peer, files: sources.Sources, where: Path, jobs: int) -> float:
    objects = where / "objects"
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir()
    compiler = " ".join([*rival.prefix, files.compiler])
    rules = sources.makefile(files, where)
    command = ["make", "-s", "-f", str(rules), f"-j{jobs}", f"O={objects}", f"CC={compiler}"]
    return run(command, rival.environment, files.where).wall_s


def _remote(rival: peers.Peer, files: sources.Sources, where: Path, jobs: int) -> float:
    """Like `_make`, but every job must have run on the server."""
    before = farm.jobs_done()
    wall = _make(rival, files, where, jobs)
    ran = farm.jobs_done() - before
    if ran != len(files.files):
        raise SystemExit(f"{ran} of {len(files.files)} compiles ran on the server; figures are meaningless")
    return wall


def _round(number: int, jobs: int, count: int, rivals: tuple[peers.Peer, ...], where: Path) -> dict[str, float | None]:
    kept = sources.Sources(where / "kept", tuple(f"unit{n}.c" for n in range(count)), "gcc", ("-O2", "-Iinclude"))
    walls: dict[str, float | None] = {}
    for rival in rivals if number % 2 else reversed(rivals):  # in case the machine slows down
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
            walls[rival.name] = None  # distcc --auth allows one second for a handshake
    return walls


def _measure(jobs: int, rounds: int, count: int, rivals: tuple[peers.Peer, ...], where: Path) -> list[Target]:
    each = [_round(number, jobs, count, rivals, where) for number in range(rounds)]
    rows: list[tuple[str, ...]] = []
    for name in ("bare", *(rival.name for rival in rivals[1:-1]), _KNOWN, _FIRST):
        walls = [wall for found in each if (wall := found[name]) is not None]
        if len(walls) < len(each):
            rows.append((name, "fails", "", ""))
        else:
            rows.append((name, f"{statistics.median(walls):.2f}", *(f"{_ratio(each, name, to):.2f}" for to in _BASES)))
    table(f"{count} small C files at -j{jobs} (n={rounds})", ("", "wall s", *(f"/ {base}" for base in _BASES)), rows)
    return [
        Target(f"-j{jobs}: wall, known / distcc", _ratio(each, _KNOWN, "distcc"), 1.0),
        Target(f"-j{jobs}: wall, first / distcc", _ratio(each, _FIRST, "distcc"), 1.2),
    ]


def _ratio(each: list[dict[str, float | None]], name: str, base: str) -> float:
    """The middle of what the rounds say: what disturbs the machine for a while disturbs both of a round. Not a number
    where one of the two failed.
    """
    pairs = [(walls[name], walls[base]) for walls in each]
    return statistics.median(math.nan if one is None or other is None else one / other for one, other in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=5, help="counted rounds (%(default)s)")
    parser.add_argument("--files", type=int, default=200, help="(%(default)s)")
    options = parser.parse_args()
    with ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="securecc-bench-")))
        where.chmod(0o711)
        plain = stack.enter_context(peers.distcc(where, 8, authenticated=False))
        proven = stack.enter_context(peers.distcc(where, 8, authenticated=True))
        kept = sources.small_c(where / "kept", options.files)
        for _ in range(_WARM):  # from here on, inputs are known and the system's headers are shared trees
            _remote(peers.ours(), kept, where, 8)
            settle()
        targets = []
        for jobs in (2, 8):
            targets += _measure(jobs, options.n, options.files, (peers.bare(), plain, proven, peers.ours()), where)
        judge("builds", targets)


if __name__ == "__main__":
    main()
