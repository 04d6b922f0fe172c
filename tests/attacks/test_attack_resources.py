"""The corpus over resources, raw and through the wrapper, against small limits: corpus/resources.yaml."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.corpus import Case, cases
from tests.attacks.health import Health
from tests.attacks.submitting import RAW_PLACE, Names, submit_by_wrapper, submit_raw
from tests.farm import farmside
from tests.farm.farmside import Farm, Realms

ALL = list(cases("resources"))
POLICY = """
version: 1
network: {allow: [127.0.0.0/8]}
rules:
  - name: small
    who: [alice@EXAMPLE.COM]
    limits: {wall: 3s, cpu: 3s, memory: 256MiB, output: 8MiB, jobs: 8}
"""


@pytest.fixture(scope="module")
def farm(realms: Realms, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm whose jobs may use little."""
    policy = tmp_path_factory.mktemp("resources") / "policy.yaml"
    policy.write_text(POLICY)
    with farmside.some_farm(realms, policy=policy) as made:
        yield made


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_it_ends_at_its_limit(farm: Farm, health: Health, tmp_path: Path, case: Case) -> None:
    end = submit_raw(farm, case, Names(RAW_PLACE, tmp_path / "owned"))
    if end.how == "result":
        how = f"limited {end.ran.limit}" if end.ran.limit else "failed" if end.ran.status else "compiled"
        assert end.ran.usage.wall_s < 60
        (record,) = health.records(kind="job-end")
        assert record["limit"] == end.ran.limit
    else:
        how = f"{end.how} {end.code}"
    assert how in case.may, (how, end.content[:300])


@pytest.mark.parametrize("case", [case for case in ALL if case.wrapper], ids=lambda case: case.name)
def test_through_the_wrapper_it_costs_no_more(farm: Farm, health: Health, tmp_path: Path, case: Case) -> None:
    """Nothing is compiled locally here, so that the person sees how it ended on the server."""
    done = submit_by_wrapper(farm, case, Names(str(tmp_path), tmp_path / "owned"))
    (record,) = health.records(kind="job-end", cwd=str(tmp_path))
    assert record["usage"]["wall_s"] < 60
    assert record["outcome"] == "done"
    assert record["limit"] or record["exit"]
    assert ("failed" if done.returncode else "compiled") in case.wrapper
    assert done.stderr
    assert {path.name for path in tmp_path.iterdir()} == set(case.files)
