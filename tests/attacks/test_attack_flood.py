"""Strangers by the thousand, as `bench/flood.py` measures them, while alice works: all that she compiles is compiled
there, and what the strangers held is given back.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.health import Health
from tests.farm.farmside import Farm
from tests.farm.serverside import TOP

FLOODS = {"silent": ("silent", 2000), "thrown": ("thrown", 300, 5)}


@pytest.fixture(scope="module")
def farm(farm: Farm) -> Farm:
    """Which waits for strangers for three seconds alone."""
    farm.server.configure(limits="{preauth_deadline: 3s}")
    farm.server.restart()
    return farm


@pytest.mark.parametrize("name", FLOODS)
def test_a_user_works_on_and_the_memory_comes_back(farm: Farm, health: Health, tmp_path: Path, name: str) -> None:
    """The probe that follows each attack looks for memory, descriptors and all else."""
    source, compiles = tmp_path / "a.c", 0
    kind, *amounts = map(str, FLOODS[name])
    command = [sys.executable, str(TOP / "bench/flood.py"), kind, str(farm.server.port), *amounts]
    while compiles <= 10:  # however many floods these take on this machine
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as flood:
            while flood.poll() is None:
                compiles += 1
                source.write_text(f"int a{compiles};\n")
                done = farm.compile(source, SECURECC_FALLBACK="0")
                assert (done.returncode, done.stderr) == (0, "")
            said, wrong = flood.communicate()
        assert (flood.returncode, wrong) == (0, "")
        if kind == "silent":
            assert said.startswith("2000 in ")
        else:
            assert float(said.partition("/s")[0]) > 0, said  # as many as the machine's other work lets through
    assert len(health.records(kind="job-end", outcome="done")) == compiles
