"""What a check found, in one line, and what to do about it: for `doctor` commands and the sandbox's probes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "bad"]
"""``note``: it works, but less well than it could; ``bad``: it does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is what was checked, `says` what was found, `advice` what to do about it (empty if all is well)."""

    subject: str
    state: State
    says: str
    advice: str = ""


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether none of them is bad."""
    return all(finding.state != "bad" for finding in findings)
