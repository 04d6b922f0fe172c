"""One directory and one agent's parts for each test."""

from pathlib import Path

import pytest

from tests.client.compile.compile_rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)
