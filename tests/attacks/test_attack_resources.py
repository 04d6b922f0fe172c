"""The corpus over resources, raw, against small limits: corpus/resources.yaml."""

import farmside
import pytest
from corpus import cases
from submitting import RAW_PLACE, Names, submit_raw

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
def farm(realms, tmp_path_factory):
    """A farm whose jobs may use little."""
    policy = tmp_path_factory.mktemp("resources") / "policy.yaml"
    policy.write_text(POLICY)
    with farmside.some_farm(realms, policy=policy) as made:
        yield made


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_it_ends_at_its_limit(farm, health, tmp_path, case):
    end = submit_raw(farm, case, Names(RAW_PLACE, tmp_path / "owned"))
    if end.how == "result":
        how = f"limited {end.result.limit}" if end.result.limit else "failed" if end.result.status else "compiled"
        assert end.result.usage.wall_s < 5
        (record,) = health.records(kind="job-end")
        assert record["limit"] == end.result.limit
    else:
        how = f"{end.how} {end.code}"
    assert how in case.may, (how, end.content[:300])
