"""Two servers: both get jobs, and when one dies the other goes on."""

import signal
import time
from pathlib import Path

from tests.farm.farmside import Farm, FarmMaker, slow_source, sources, until
from tests.waiting import CEILING_S


def served(farm: Farm) -> list[int]:
    return [len(server.audit(kind="job-end", outcome="done")) for server in farm.servers]


def test_both_servers_get_jobs_and_one_takes_over_from_the_other(some_farm: FarmMaker, tmp_path: Path) -> None:
    with some_farm(servers=2, slots=1) as farm:
        files = sources(tmp_path, 24)
        farm.makefile(tmp_path, files)
        done = farm.run("make", "-s", "-j4", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert sum(served(farm)) == 24
        assert min(served(farm)) >= 4

        first, second = farm.servers
        second.stop(signal.SIGKILL)
        for file in files:
            file.with_suffix(".o").unlink()
        done = farm.run("make", "-s", "-j4", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert sum(served(farm)) == 48
        assert farm.why() == {}

        second.start()
        before = len(second.audit(kind="job-end", outcome="done"))
        for _ in range(10):
            for file in files:
                file.with_suffix(".o").unlink()
            assert farm.run("make", "-s", "-j4", cwd=tmp_path).returncode == 0
            if len(second.audit(kind="job-end", outcome="done")) > before:
                break
            time.sleep(0.5)
        else:
            raise AssertionError("not once used again in ten builds")
        assert farm.why() == {}
        assert first.process.poll() is None


def test_a_server_that_dies_mid_job_costs_no_object(some_farm: FarmMaker, tmp_path: Path) -> None:
    """Its jobs are compiled locally or by the other; nothing is lost and nothing is half there."""
    with some_farm(servers=2, slots=1) as farm:
        files = [slow_source(tmp_path, parts=2, name=f"slow{number}.cc") for number in range(4)]
        farm.makefile(tmp_path, files)
        make = farm.begin("make", "-s", "-j4", cwd=tmp_path)
        until(lambda: all(server.sandboxed for server in farm.servers), what="a job on each")
        farm.servers[1].stop(signal.SIGKILL)
        out, err = make.communicate(timeout=CEILING_S)
        assert (make.returncode, out) == (0, "")
        assert err.count("securecc: ") <= 1
        assert all(file.with_suffix(".o").stat().st_size > 0 for file in files)
