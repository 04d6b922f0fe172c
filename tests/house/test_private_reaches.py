"""Tests show behaviour: few of them reach into what is private, and no more do as time goes on."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]
MOST = 60


def test_tests_reach_into_few_private_parts() -> None:
    command = [f"{sys.prefix}/bin/ruff", "check", "--isolated", "--select", "SLF001", "--output-format", "concise"]
    done = subprocess.run([*command, "tests"], cwd=TOP, capture_output=True, text=True, check=False)
    reaches = [line for line in done.stdout.splitlines() if " SLF001 " in line]
    assert done.returncode == bool(reaches), done.stderr
    assert len(reaches) <= MOST, "\n".join(reaches)
