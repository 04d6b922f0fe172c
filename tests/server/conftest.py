"""What tests of the runner and of its sandbox share."""

import os
import subprocess
import tempfile

import pytest


@pytest.fixture(scope="session")
def intruder():
    """A compiler that means harm, where the runner's own user can read it, unlike pytest's folders."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        os.mkdir(folder + "/bin", 0o755)
        source = os.path.join(os.path.dirname(__file__), "intruder.c")
        subprocess.run(["gcc", "-static", "-O1", "-o", folder + "/bin/intruder", source], check=True)
        yield folder + "/bin/intruder"
