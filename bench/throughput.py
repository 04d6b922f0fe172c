"""Jobs a second with a compiler that does nothing: the price of transport, authentication and sandbox alone."""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

import farm
import peers
import sources
from measure import Agents, RunFailed, processor_time, run, settle
from verdict import Target, judge, ms, table

_HERE = Path(__file__).resolve().parent
_JOBS = 8


def _rate(rival: peers.Peer, compiler: Path, files: sources.Sources, where: Path) -> float:
    """Jobs a second; 0 if the build fails."""
    objects = where / "objects"
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir()
    rules = sources.makefile(files, where)
    compile_with = " ".join([*rival.prefix, str(compiler)])
    command = ["make", "-s", "-f", str(rules), f"-j{_JOBS}", f"O={objects}", f"CC={compile_with}"]
    settle()
    try:
        return len(files.files) / run(command, rival.environment, files.where).wall_s
    except RunFailed as failure:
        print(f"{rival.name}: {failure}")
        return 0.0


def _spenders(server: Path) -> dict[str, int]:
    """Which processes spend processor time on a job, apart from the launcher."""
    agents = Agents()
    agents.look()
    return {"agent": agents.pids[0], **farm.processes(server)}


def _trivial(where: Path, count: int) -> sources.Sources:
    where.mkdir()
    names = tuple(f"unit{number}.c" for number in range(count))
    for name in names:
        (where / name).write_text(f"int {name.partition('.')[0]};\n")
    return sources.Sources(where, names, "gcc", ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3, help="counted rounds (%(default)s)")
    parser.add_argument("--files", type=int, default=400, help="(%(default)s)")
    options = parser.parse_args()
    with ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="securecc-bench-")))
        where.chmod(0o755)
        compiler = where / "bin/gcc"
        compiler.parent.mkdir()
        subprocess.run(["gcc", "-O2", "-static", "-o", compiler, _HERE / "noop.c"], check=True)
        files = _trivial(where / "files", options.files)
        plain = stack.enter_context(peers.distcc(where, _JOBS, authenticated=False, path=str(compiler.parent)))
        proven = stack.enter_context(peers.distcc(where, _JOBS, authenticated=True, path=str(compiler.parent)))
        server, host = stack.enter_context(farm.another("noop", compiler, _JOBS))
        rivals = (peers.bare(), plain, proven, peers.ours(SECURECC_HOSTS=host))
        rates: dict[str, list[float]] = {rival.name: [] for rival in rivals}
        for number in range(options.n + 1):
            for rival in rivals:
                rate = _rate(rival, compiler, files, where)
                if number:
                    rates[rival.name].append(rate)
            if number == 0:
                spenders = _spenders(server)
                before = {name: processor_time(pid) for name, pid in spenders.items()}
        done, met = farm.jobs_done(server), farm.handshakes(server)
        rows = [(name, f"{statistics.median(rate):.0f}") for name, rate in rates.items()]
        table(f"{options.files} jobs that do nothing, -j{_JOBS} (n={options.n})", ("", "jobs/s"), rows)
        spent = {name: processor_time(pid) - before[name] for name, pid in spenders.items()}
        each = [(name, ms(seconds / options.n / options.files)) for name, seconds in spent.items()]
        table("securecc: CPU of a job, children included", ("", "ms"), each)
        print(f"securecc's audit log: {done} jobs, {met} handshakes")
        ours = statistics.median(rates["securecc"])
        judge(
            "throughput",
            [
                Target("jobs a second, authenticated and sandboxed", ours, 250, least=True),
                Target("handshakes for all jobs", met, 1),
                Target("jobs on the server", done, (options.n + 1) * options.files, least=True),
            ],
        )


if __name__ == "__main__":
    main()
