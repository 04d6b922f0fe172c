#!/usr/bin/env python3
"""Compiles libsodium twice, locally and through a Kerberised compile server, and shows what happened.

Run by `make demo`. The same file runs again, with `--inside`, in the test bed.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_TOP = _HERE.parent
sys.path.insert(0, str(_TOP / "builds"))

from comparing import differing, objects  # noqa: E402 - found where the line above points
from fetching import BuildFailed, Source, archive, run, unpack  # noqa: E402

Record = dict[str, Any]  # an object of JSON

_WORK = _TOP / "build/demo"
_PYNACL = Source("pip", "PyNaCl", "src/libsodium")  # its source distribution contains libsodium's
_TREE = _WORK / "libsodium"  # both builds use this folder in turn, because objects may contain their path
_REFERENCE = _WORK / "reference"
_SHARE = 0.9  # the share of make's compiles that must have run on the server
_COMPILE = re.compile(r"^(?:libtool: compile: +)?securecc gcc .* -c ", re.MULTILINE)
_CPUS = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Build:
    """How one build went; times are in seconds."""

    configure_s: float
    make_s: float
    said: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of make's compiles: objects by path, each with the digest of its bytes. `made_there` lists those that
    the server made, according to its audit log.
    """

    compiles: int
    made_there: dict[str, str]
    objects: dict[str, str]
    reference: dict[str, str]

    @property
    def through(self) -> int:
        """Compiles whose object is the one that the server made: a result that the client rejected does not count."""
        return sum(self.objects.get(path) == digest for path, digest in self.made_there.items())

    @property
    def share(self) -> float:
        """The share of make's compiles that this is, from 0 to 1."""
        return self.through / self.compiles if self.compiles else 0.0

    @property
    def differ(self) -> tuple[str, ...]:
        """Objects that differ from the local build's, or that only one of the two builds has."""
        return differing(self.objects, self.reference)

    @property
    def is_as_promised(self) -> bool:
        """Whether nine tenths went through the server and every object equals the local build's."""
        return bool(self.objects) and self.share >= _SHARE and not self.differ


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _title(text: str) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    _say(f"\n{bold}== {text}{plain}")


def _build(package: Path, compiler: str, jobs: int) -> Build:
    """A fresh tree, configured and made with CC=`compiler`."""
    unpack(_PYNACL, package, _TREE)
    began = time.monotonic()
    run("./configure", f"CC={compiler}", where=_TREE)
    configured = time.monotonic()
    said = run("make", f"-j{jobs}", "V=1", where=_TREE)
    return Build(configured - began, time.monotonic() - configured, said)


def _alone() -> int:
    """Waits until no other demo uses the same folder; keeps others out until this process ends."""
    _WORK.mkdir(parents=True, exist_ok=True)
    lock = os.open(_WORK / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("another demo is running in this checkout; waiting for it to end ...")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _outside() -> int:
    """Builds the reference, then runs the rest in the test bed."""
    _alone()
    _say("securecc demo: a real C library, compiled on a Kerberised and sandboxed server")
    package = archive(_PYNACL, _WORK / "cache")
    _title(f"A local build to compare with: ./configure && make -j{_CPUS}")
    build = _build(package, "gcc", _CPUS)
    made = objects(_TREE)
    shutil.rmtree(_REFERENCE, ignore_errors=True)
    _REFERENCE.mkdir()
    (_REFERENCE / "reference.json").write_text(json.dumps({"make_s": build.make_s, "objects": made}))
    _say(f"configure {build.configure_s:.1f} s, make {build.make_s:.1f} s, {len(made)} objects")
    bed = _TOP / "krb5-testenv/run"
    command = [
        str(bed),
        "--as",
        "alice@EXAMPLE.COM",
        "--",
        sys.executable,
        str(Path(__file__)),
        "--inside",
        str(package),
    ]
    return subprocess.run(command, check=False).returncode


# --- in the test bed --------------------------------------------------------------------------------------------


def _audit_log() -> Path:
    return Path(os.environ["SECURECC_TESTENV"]) / "server1/audit.jsonl"


def _jobs_ended(principal: str) -> list[Record]:
    """The audit log's records of jobs of `principal` that have ended."""
    records = map(json.loads, _audit_log().read_text().splitlines())
    return [record for record in records if record["kind"] == "job-end" and record.get("principal") == principal]


def _inside(package: Path) -> int:
    reference = json.loads((_REFERENCE / "reference.json").read_text())
    _title("A Kerberos realm, a compile server, a ticket")
    _say("\n".join(line for line in run("klist").splitlines() if line))
    _say(f"SECURECC_HOSTS={os.environ['SECURECC_HOSTS']}")
    went_well = _compile_as_alice(package, reference)
    _deny_mallory()
    _show_audit()
    _answer()
    _title("Verdict")
    _say("as promised" if went_well else "NOT as promised, see above")
    return 0 if went_well else 1


def _compile_as_alice(package: Path, reference: Record) -> bool:
    jobs = _CPUS + 2
    _title(f'alice: ./configure CC="securecc gcc" && make -j{jobs}')
    began = time.time()
    build = _build(package, "securecc gcc", jobs)
    made_from = began + build.configure_s
    ended = [job for job in _jobs_ended("alice@EXAMPLE.COM") if _time_of(job) >= made_from and job["exit"] == 0]
    compiles = len(_COMPILE.findall(build.said))
    outcome = Outcome(compiles, _made_by(ended, _TREE), objects(_TREE), reference["objects"])
    for left, right in (
        ("configure", f"{build.configure_s:.1f} s"),
        ("make", f"{build.make_s:.1f} s; locally {reference['make_s']:.1f} s, on the same processors as the server"),
        ("compiles (-c) by make", f"{outcome.compiles}"),
        ("on the server", f"{outcome.through} ({outcome.share:.0%}), for alice@EXAMPLE.COM"),
        ("locally", f"{outcome.compiles - outcome.through}"),
        ("one compile on the server", f"{_median_wall(ended):.2f} s (median, {jobs} at a time)"),
        (
            "objects identical to the local ones",
            f"{len(outcome.reference.keys() - outcome.differ)} of {len(outcome.reference)}, byte for byte",
        ),
    ):
        _say(f"  {left:32} {right}")
    for path in outcome.differ[:5]:
        _say(f"  DIFFERS: {path}")
    _say("\nwhy compiles stayed local, those of configure included (securecctl why):")
    _say(run("securecctl", "why").rstrip())
    return outcome.is_as_promised


def _made_by(jobs: list[Record], tree: Path) -> dict[str, str]:
    """The objects below `tree` that these jobs made, with their digests according to the audit log."""
    made = [(Path(output["path"]), output["sha256"]) for job in jobs for output in job["outputs"]]
    return {
        str(path.relative_to(tree)): digest
        for path, digest in made
        if path.suffix == ".o" and path.is_relative_to(tree)
    }


def _median_wall(ended: list[Record]) -> float:
    return statistics.median([float(job["usage"]["wall_s"]) for job in ended] or [0.0])


def _time_of(record: Record) -> float:
    return dt.datetime.fromisoformat(str(record["time"])).timestamp()


def _deny_mallory() -> None:
    _title("mallory: a valid ticket, but not listed in the policy")
    bed = Path(os.environ["SECURECC_TESTENV"])
    cache = f"FILE:{bed}/mallory.ccache"
    run("kinit", "-k", "-t", bed / "keytabs/mallory.keytab", "mallory@EXAMPLE.COM", KRB5CCNAME=cache)
    source, target = _HERE / "answer.c", _WORK / "mallory.o"
    compile_it = ("securecc", "gcc", f"-I{_TREE}/src/libsodium/include", "-c", source, "-o", target)
    target.unlink(missing_ok=True)
    said = run(*compile_it, KRB5CCNAME=cache)
    _say("$ securecc gcc -c answer.c -o mallory.o")
    _say(said.rstrip() + f"\n  exit status 0: compiled locally, {target.stat().st_size} bytes")
    strict = subprocess.run(
        [str(word) for word in compile_it],
        env={**os.environ, "KRB5CCNAME": cache, "SECURECC_FALLBACK": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    _say("$ SECURECC_FALLBACK=0 securecc gcc -c answer.c -o mallory.o")
    _say(strict.stderr.rstrip() + f"\n  exit status {strict.returncode}")
    if strict.returncode == 0 or _jobs_ended("mallory@EXAMPLE.COM"):
        raise BuildFailed("mallory's compile ran on the server")


def _show_audit() -> None:
    _title("The server's audit log (securecctl audit show, verify)")
    for person in ("alice", "mallory"):
        lines = run("securecctl", "audit", "show", _audit_log(), "--principal", f"{person}@EXAMPLE.COM").splitlines()
        _say("\n".join(line[:160] for line in [lines[0], *lines[1:][-4:]]))
        _say(f"  (the last of {len(lines) - 1} for {person})\n")
    _say(run("securecctl", "audit", "verify", _audit_log()).rstrip())


def _answer() -> None:
    _title("A program linked with the library that was built")
    program = _WORK / "answer"
    library = _TREE / "src/libsodium"
    include = f"-I{library}/include"
    run("gcc", include, _HERE / "answer.c", library / ".libs/libsodium.a", "-pthread", "-o", program)
    said = run(program)
    _say(said.rstrip())
    if hashlib.blake2b(b"abc", digest_size=32).hexdigest() not in said:
        raise BuildFailed("the library's BLAKE2b differs from Python's")


def main(arguments: list[str]) -> int:
    """Exit status 0 only if the server compiled at least nine tenths, and all objects equal the local ones."""
    try:
        return _inside(Path(arguments[1])) if arguments[:1] == ["--inside"] else _outside()
    except BuildFailed as failure:
        _say(f"\ndemo: {failure}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
