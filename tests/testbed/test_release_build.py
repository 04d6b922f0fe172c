"""What `make release-check` builds: the archive builds a wheel, whose programs run where nothing else is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows, as they are here."""
    folder = tmp_path_factory.mktemp("copy")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    for name in names.split("\0"):
        if (TOP / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, folder / name)
    return folder


def build(folder: Path) -> tuple[int, str]:
    command = [sys.executable, str(folder / "tools/release-check"), "build"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_archive_and_wheel(copy: Path) -> None:
    status, said = build(copy)
    assert status == 0, said
    assert said.startswith("ok   build ")


def test_a_wheel_without_its_licence_is_noticed(copy: Path) -> None:
    (copy / "LICENSE").unlink()
    status, said = build(copy)
    assert status == 1
    assert "LICENSE" in said
