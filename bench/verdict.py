"""Tables of what was measured, and whether the targets are met."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_RESULTS = Path(__file__).resolve().parents[1] / "build/bench"


@dataclass(frozen=True, slots=True)
class Target:
    """`measured` must be at most `bound`, or, with `least`, at least `bound`."""

    what: str
    measured: float
    bound: float
    unit: str = ""
    least: bool = False

    @property
    def met(self) -> bool:
        return self.measured >= self.bound if self.least else self.measured <= self.bound


def table(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """The first column is left-aligned, all others right-aligned."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    print(f"\n{title}")
    for row in [heads, *rows]:
        first, *rest = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]))


def judge(name: str, targets: list[Target]) -> None:
    """Prints targets, figures and verdicts, and keeps them as build/bench/NAME.json."""
    rows = [
        (
            target.what,
            f"{'>=' if target.least else '<='} {target.bound:g}{target.unit}",
            f"{target.measured:.3g}{target.unit}",
            "met" if target.met else "MISSED",
        )
        for target in targets
    ]
    table(f"{name}: targets", ("", "target", "measured", "verdict"), rows)
    _RESULTS.mkdir(parents=True, exist_ok=True)
    kept = [{**asdict(target), "met": target.met} for target in targets]
    (_RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"
