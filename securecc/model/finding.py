"""What somebody found who looked whether all is well: one line each, and what to do where it is not."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "bad"]
"""``note``: it works, but less well than it could; ``bad``: it does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is what was looked at, `says` what was seen, `advice` what to do about it (empty where all is well)."""

    subject: str
    state: State
    says: str
    advice: str = ""


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing among them does not work."""
    return all(finding.state != "bad" for finding in findings)
