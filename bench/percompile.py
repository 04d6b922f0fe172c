"""What one compile costs its user, compared with distcc (plain, --auth, pump) and `gcc -E` in the same run."""

from __future__ import annotations

import argparse
import filecmp
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import peers
import sources
from measure import Agents, Cost, middle, run, settle
from verdict import Target, judge, ms, table

_FIRST = "securecc, first time"
_KNOWN = "securecc, known"
_WARM = 12


@dataclass(slots=True)
class Contest:
    """One kind of file, compiled by each rival in turn, so that all meet the same conditions."""

    title: str
    make: Callable[[Path, int, str], sources.Sources]
    where: Path
    rivals: tuple[peers.Peer, ...]
    agents: Agents
    costs: dict[str, list[Cost]] = field(default_factory=dict)

    def run(self, rounds: int) -> None:
        """Round 0 warms everything up and is not counted; nor is the second that an agent takes, once, to examine its
        system headers.
        """
        kept = self.make(self.where / "kept", 1, "kept")
        for _ in range(_WARM):
            self._compile(self.rivals[-1], kept, "warm")
        settle()
        wanted = self._compile(peers.bare(), kept, "wanted")[1]
        for number in range(rounds + 1):
            for rival in self.rivals:
                self._turn(number, _KNOWN if rival.name == "securecc" else rival.name, rival, kept, wanted)
            fresh = self.make(self.where / f"fresh{number}", 1, f"mark {number}")
            reference = self._compile(peers.bare(), fresh, "reference")[1]
            self._turn(number, _FIRST, self.rivals[-1], fresh, reference)

    def _turn(self, number: int, name: str, rival: peers.Peer, files: sources.Sources, wanted: Path) -> None:
        cost, made = self._compile(rival, files, "made")
        if not rival.suffix and not filecmp.cmp(made, wanted, shallow=False):
            raise SystemExit(f"{name} made a different object from the bare compiler's; figures are meaningless")
        self.agents.look()
        if number:
            self.costs.setdefault(name, []).append(cost)

    def _compile(self, rival: peers.Peer, files: sources.Sources, target: str) -> tuple[Cost, Path]:
        made = self.where / f"{target}.o"
        made.unlink(missing_ok=True)
        command = [*rival.prefix, *files.command(files.files[0], made), *rival.suffix]
        agents = self.agents if rival.prefix == ("securecc",) else Agents((rival.beside,) if rival.beside else ())
        return run(command, rival.environment, files.where, agents), made

    def report(self) -> dict[str, Cost]:
        middles = {name: middle(costs) for name, costs in self.costs.items()}
        rows = [
            (name, ms(cost.wall_s), ms(cost.cpu_s), ms(cost.client_s), ms(cost.agent_s))
            for name, cost in middles.items()
        ]
        heads = ("", "wall ms", "client CPU ms", "of it command", "of it agent")
        table(f"{self.title} (n={len(self.costs[_KNOWN])})", heads, rows)
        return middles


def _targets(title: str, costs: dict[str, Cost], known_bound: float) -> list[Target]:
    bare, distcc = costs["bare"], costs["distcc"]
    beyond = max(distcc.wall_s - bare.wall_s, 1e-4)
    return [
        Target(f"{title}: client CPU, known / distcc", costs[_KNOWN].cpu_s / distcc.cpu_s, known_bound),
        Target(f"{title}: client CPU, first / distcc", costs[_FIRST].cpu_s / distcc.cpu_s, 1.0),
        Target(f"{title}: wall beyond bare, known / distcc", (costs[_KNOWN].wall_s - bare.wall_s) / beyond, 1.0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=15, help="counted rounds (%(default)s)")
    options = parser.parse_args()
    with ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="securecc-bench-")))
        where.chmod(0o711)
        plain = stack.enter_context(peers.distcc(where, 8, authenticated=False))
        proven = stack.enter_context(peers.distcc(where, 8, authenticated=True))
        pump = stack.enter_context(peers.pump(where, plain))
        rivals = (peers.bare(), peers.preprocessed(), plain, proven, pump, peers.ours())
        targets = []
        for title, make, bound in (
            ("small C", sources.small_c, 0.25),
            ("C++ with 240 headers", sources.cplusplus, 0.08),
        ):
            folder = where / make.__name__
            folder.mkdir()
            settle()
            contest = Contest(title, make, folder, rivals, Agents())
            contest.run(options.n)
            targets += _targets(title, contest.report(), bound)
        judge("percompile", targets)


if __name__ == "__main__":
    main()
