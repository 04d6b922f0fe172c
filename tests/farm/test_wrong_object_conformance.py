"""Every command line of conformance.yaml: the compiler alone and securecc leave the very same behind."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from twins import Twins, put

TABLE = yaml.safe_load((Path(__file__).parent / "conformance.yaml").read_text())


def _name(case):
    return " ".join([case["run"], *(f"{name}={value}" for name, value in case.get("env", {}).items())])


@pytest.mark.parametrize("case", TABLE["cases"], ids=_name)
def test_alone_and_through_securecc_leave_the_same(farm, tmp_path, case):
    def make(folder):
        put(folder, {**TABLE["files"], **case.get("files", {})})

    alone, through = Twins(farm, tmp_path / "w").both(
        make, *shlex.split(case["run"]), env=case.get("env"), cwd=case.get("cwd", "")
    )
    if case.get("random"):
        alone, through = (
            replace(ran, files={path: seen[:-1] for path, seen in ran.files.items()}) for ran in (alone, through)
        )
    assert through.seen == alone.seen
    assert case.get("where", "remote").encode() in through.place
