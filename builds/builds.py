#!/usr/bin/env python3
"""Builds real projects twice, locally and through the farm, and compares every object. Run by builds/run.

Exit status 0 only if every object of every build is identical to the local build's, and at least 98 % of the compiles
were remote, not counting linking and the build systems' own probes.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparing import differing, objects
from fetching import BuildFailed, Source, archive, run, unpack
from systems import SYSTEMS, Compilers

_HERE = Path(__file__).resolve().parent
_WORK = _HERE.parent / "build/builds"
_CACHE = _WORK / "cache"
_CPUS = os.cpu_count() or 1
_OFFERED_S = 60
SHARE = 0.98
ASIDE = frozenset(("link", "conftest", "information", "preprocess-only", "no-source"))
"""Reasons for staying local that do not concern compiles of the build: linking, and probes by the build system."""
_QUESTIONS = ("/conftest.", "/CMakeScratch/", "/CMakeTmp/", "/meson-private/")  # where build systems run probes


@dataclass(frozen=True, slots=True)
class Build:
    """One project with one compiler."""

    project: str
    source: Source
    system: str
    options: tuple[str, ...]
    special: tuple[str, ...]
    cc: str
    cxx: str

    @property
    def title(self) -> str:
        """The name as printed."""
        return " ".join((self.project, f"({self.system})", "with", self.cc, *self.special))


@dataclass(frozen=True, slots=True)
class Compared:
    """How one build went. `reasons` counts what stayed local; times are in seconds."""

    build: Build
    objects: int
    differ: tuple[str, ...]
    remote: int
    reasons: Mapping[str, int]
    local_s: float
    remote_s: float

    @property
    def compiles(self) -> int:
        """All that could have been remote: those that the agent knows of, and those that a launcher ran without it."""
        known = self.remote + sum(count for reason, count in self.reasons.items() if reason not in ASIDE)
        return max(known, self.objects)

    @property
    def share(self) -> float:
        """The share of these that was remote."""
        return self.remote / self.compiles if self.compiles else 0.0

    @property
    def good(self) -> bool:
        """Whether it met the promise."""
        return self.objects > 0 and not self.differ and self.share >= SHARE

    @property
    def word(self) -> str:
        """The verdict as printed."""
        return "as promised" if self.good else "NOT as promised"


def projects(text: str) -> Iterator[Build]:
    """All builds in a list of projects. Raises KeyError if a required key is missing."""
    for project in tomllib.loads(text)["project"]:
        registry = "apt" if "apt" in project else "pip"
        source = Source(registry, project[registry], project.get("folder", ""), project.get("patches", False))
        for build in project["build"]:
            yield Build(
                project["name"],
                source,
                project["system"],
                tuple(project.get("options", ())),
                tuple(build.get("options", ())),
                build["cc"],
                build["cxx"],
            )


def reasons(told: Mapping[str, Any]) -> dict[str, int]:
    """What stayed local, according to `securecctl why`; a probe with an unknown option still counts as a probe."""
    found: dict[str, int] = {}
    for reason in told["reasons"]:
        sources = [f"/{example['source']}" for example in reason["examples"]]
        asked = sum(any(place in source for place in _QUESTIONS) for source in sources)
        asked = 0 if reason["reason"] in ASIDE else asked
        for name, count in ((reason["reason"], reason["count"] - asked), ("conftest", asked)):
            if count:
                found[name] = found.get(name, 0) + count
    return found


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _make(build: Build, tree: Path, jobs: int, *, remote: bool) -> float:
    unpack(build.source, archive(build.source, _CACHE), tree)
    began = time.monotonic()
    compilers = Compilers(build.cc, build.cxx, remote)
    for step in SYSTEMS[build.system](compilers, (*build.options, *build.special), jobs, tree):
        run(*step, where=tree)
    return time.monotonic() - began


def _compare(build: Build, jobs: int) -> Compared:
    tree, apart = _WORK / build.project, _WORK / f"{build.project}.local"
    shutil.rmtree(apart, ignore_errors=True)
    local_s = _make(build, tree, jobs, remote=False)
    alone = objects(tree)
    tree.rename(apart)
    run("securecctl", "stats", "--zero", where=_WORK)
    remote_s = _make(build, tree, jobs, remote=True)
    told = _told()
    differ = differing(alone, objects(tree))
    if not differ:
        _remove(tree, apart)
    return Compared(build, len(alone), differ, told["remote"], reasons(told), local_s, remote_s)


def _told() -> dict[str, Any]:
    """The output of `securecctl why` once nothing more is added: the agent writes at most once a second."""
    told: dict[str, Any] = {}
    while True:
        before, told = told, json.loads(run("securecctl", "why", "--format", "json", where=_WORK))
        if told == before:
            return told
        time.sleep(2.5)


def _remove(tree: Path, apart: Path) -> None:
    shutil.rmtree(tree)
    shutil.rmtree(apart)
    tree.with_suffix(".ini").unlink(missing_ok=True)


def _show(compared: Compared) -> None:
    equal = compared.objects - len(compared.differ)
    for left, right in (
        ("local, remote", f"{compared.local_s:.0f} s, {compared.remote_s:.0f} s, on the same processors"),
        ("objects identical to the local build's", f"{equal} of {compared.objects}, byte for byte"),
        ("compiles that were remote", f"{compared.remote} of {compared.compiles} ({compared.share:.1%})"),
        ("linking and probes", f"{sum(n for reason, n in compared.reasons.items() if reason in ASIDE)}"),
    ):
        _say(f"  {left:32} {right}")
    for name in compared.differ[:5]:
        _say(
            f"  DIFFERS: {_WORK / compared.build.project / name} (the local one: below {compared.build.project}.local)"
        )
    if set(compared.reasons) - ASIDE:
        _say(run("securecctl", "why", where=_WORK).rstrip())


def _alone() -> int:
    """Keeps others out of the folder until this process ends."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    lock = os.open(_WORK / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _chosen(names: Sequence[str]) -> list[Build]:
    builds = list(projects((_HERE / "projects.toml").read_text()))
    unknown = set(names) - {build.project for build in builds}
    if unknown:
        raise BuildFailed(f"no such project: {' '.join(sorted(unknown))}; projects.toml lists them")
    return [build for build in builds if not names or build.project in names]


def _offer(builds: Sequence[Build]) -> None:
    """Makes the server offer all compilers of these builds.

    Raises:
        BuildFailed: the server does not offer one of them.
    """
    config = Path(os.environ["SECURECC_TESTENV"]) / "server1/config.yaml"
    compilers = sorted({shutil.which(name) or name for build in builds for name in (build.cc, build.cxx)})
    for compiler in compilers:
        run("securecctl", "toolchain", "add", compiler, "--config", config, where=_WORK)
    until = time.monotonic() + _OFFERED_S
    while not all(_is_offered(compiler, config) for compiler in compilers):
        if time.monotonic() > until:
            raise BuildFailed(f"the server does not offer {', '.join(compilers)} after {_OFFERED_S} s")
        time.sleep(0.5)


def _is_offered(compiler: str, config: Path) -> bool:
    """Whether the server offers the compiler: it takes some seconds to examine a new one."""
    offered = json.loads(run("securecctl", "toolchain", "list", "--config", config, "--format", "json", where=_WORK))
    return any(compiler in one["called_by"] for one in offered)


def _all(builds: Sequence[Build], jobs: int) -> int:
    _offer(builds)
    done = []
    for build in builds:
        _say(f"\n== {build.title}")
        done.append(_compare(build, jobs))
        _show(done[-1])
    _say("\n== Verdict")
    for compared in done:
        equal = compared.objects - len(compared.differ)
        figures = f"{equal:4}/{compared.objects:<4} equal  {compared.share:6.1%} remote"
        _say(f"  {compared.word:16} {figures}  {compared.build.title}")
    return 0 if done and all(compared.good for compared in done) else 1


def main(arguments: Sequence[str]) -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="builds/run", description=__doc__)
    parser.add_argument("projects", nargs="*", metavar="NAME", help="only these projects of builds/projects.toml")
    parser.add_argument("-j", "--jobs", type=int, default=_CPUS + 1, help="simultaneous jobs (%(default)s)")
    parser.add_argument("--check", action="store_true", help="only fetch what is to be built")
    options = parser.parse_args(arguments)
    try:
        builds = _chosen(options.projects)
        _alone()
        for build in builds:
            archive(build.source, _CACHE)
        return 0 if options.check else _all(builds, options.jobs)
    except BuildFailed as failure:
        _say(f"\nbuilds: {failure}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
