"""Two servers: both get jobs, and when one dies the other goes on."""

import signal
from pathlib import Path

from tests.farm.farmside import Farm, FarmMaker, slow_source, sources, until
from tests.waiting import CEILING_S


def served(farm: Farm) -> list[int]:
    return [len(server.audit(kind="job-end", outcome="done")) for server in farm.servers]


def build(farm: Farm, folder: Path, files: list[Path]) -> None:
    for file in files:
        file.with_suffix(".o").unlink(missing_ok=True)
    done = farm.run("make", "-s", "-j4", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")


def use_all(farm: Farm, folder: Path, files: list[Path]) -> None:
    """Builds until each server has had four jobs more: one that answers late gets few of the first build's."""
    before = served(farm)
    builds = 0

    def all_used() -> bool:
        nonlocal builds
        build(farm, folder, files)
        builds += 1
        return min(now - then for now, then in zip(served(farm), before, strict=True)) >= 4

    until(all_used, what="four jobs on each server")
    assert sum(served(farm)) == sum(before) + builds * len(files)


def test_both_servers_get_jobs_and_one_takes_over_from_the_other(some_farm: FarmMaker, tmp_path: Path) -> None:
    with some_farm(servers=2, slots=1) as farm:
        files = sources(tmp_path, 24)
        farm.makefile(tmp_path, files)
        use_all(farm, tmp_path, files)

        first, second = farm.servers
        second.stop(signal.SIGKILL)
        before = sum(served(farm))
        build(farm, tmp_path, files)
        assert sum(served(farm)) == before + 24
        assert farm.why() == {}

        second.start()
        use_all(farm, tmp_path, files)
        assert farm.why() == {}
        assert first.process.poll() is None


def test_a_server_that_dies_mid_job_costs_no_object(some_farm: FarmMaker, tmp_path: Path) -> None:
    """Its jobs are compiled locally or by the other; nothing is lost and nothing is half there."""
    with some_farm(servers=2, slots=1) as farm:
        small = sources(tmp_path, 24)
        farm.makefile(tmp_path, small)
        use_all(farm, tmp_path, small)
        files = [slow_source(tmp_path, parts=2, name=f"slow{number}.cc") for number in range(4)]
        farm.makefile(tmp_path, files)
        make = farm.begin("make", "-s", "-j4", cwd=tmp_path)
        until(lambda: all(server.sandboxed for server in farm.servers), what="a job on each")
        farm.servers[1].stop(signal.SIGKILL)
        out, err = make.communicate(timeout=CEILING_S)
        assert (make.returncode, out) == (0, "")
        assert err.count("securecc: ") <= 1
        assert all(file.with_suffix(".o").stat().st_size > 0 for file in files)
