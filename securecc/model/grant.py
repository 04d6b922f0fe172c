"""What a principal is granted. Only the policy makes a Grant; whatever uses resources needs one."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from securecc.model import limits as bound

CacheScope = Literal["none", "principal", "group", "all"]
"""Who may be given a result made by a principal's job."""


@dataclass(frozen=True, slots=True)
class JobLimits:
    """What one job may use: `wall_s` and `cpu_s` in seconds, the number of `processes`, all others in bytes."""

    wall_s: float = bound.WALL_S
    cpu_s: float = bound.CPU_S
    memory: int = bound.MEMORY
    processes: int = bound.PROCESSES
    output: int = bound.OUTPUT
    diagnostics: int = bound.DIAGNOSTICS
    source: int = bound.JOB_SOURCE


@dataclass(frozen=True, slots=True)
class Quota:
    """What one principal may use at a time, all its jobs and channels together. `rate` is how many jobs may begin per
    second, `burst` how many at once; `memory` is the sum of its jobs' memory limits, `store` that of its blobs, in
    bytes. 0 means no quota, or the daemon's for `store`.
    """

    rate: float = 0.0
    burst: int = 1
    memory: int = 0
    store: int = 0
    connections: int = bound.CONNECTIONS_PER_PRINCIPAL


@dataclass(frozen=True, slots=True)
class Grant:
    """The policy's yes to one principal from one address.

    `rule` is the rule's name and `revision` the digest of the policy document that contains it. `toolchains` are
    shell patterns over a toolchain's name (``gcc-12``). `jobs` bounds the principal's concurrent jobs; `weight` is
    its share of a contended server; `cache` says who shares its results.
    """

    principal: str
    rule: str
    revision: str
    toolchains: tuple[str, ...] = ("*",)
    limits: JobLimits = JobLimits()
    quota: Quota = Quota()
    jobs: int = bound.JOBS_PER_PRINCIPAL
    weight: float = 1.0
    cache: CacheScope = "none"

    def covers(self, toolchain: str) -> bool:
        """Whether a toolchain of this name may be used."""
        return any(fnmatchcase(toolchain, pattern) for pattern in self.toolchains)
