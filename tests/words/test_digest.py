"""securecc.words.digest against hashlib."""

import hashlib
import io
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from securecc.words.digest import sha256, sha256_of_file


@given(st.lists(st.binary(max_size=300)))
def test_parts_count_as_one(parts):
    assert sha256(*parts) == hashlib.sha256(b"".join(parts)).digest()


def test_a_file_larger_than_a_chunk():
    content = bytes(range(256)) * 5000
    file = io.BytesIO(b"skipped" + content)
    file.seek(7)
    assert sha256_of_file(file) == hashlib.sha256(content).digest()


def test_an_agent_loads_one_openssl():
    code = "import securecc.client.__main__, pathlib; print(pathlib.Path('/proc/self/maps').read_text())"
    maps = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    assert "_rust" in maps
    assert "libcrypto" not in maps
