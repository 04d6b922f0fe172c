"""securecc.model.digest against hashlib."""

import hashlib
import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.model import digest

WAYS = [digest._by_hashlib, digest._by_cryptography()]


@pytest.mark.parametrize("way", WAYS)
@given(parts=st.lists(st.binary(max_size=300)))
def test_parts_count_as_one(way, parts):
    assert way(parts) == hashlib.sha256(b"".join(parts)).digest()


@pytest.mark.parametrize("begun", [digest._begun_by_hashlib, digest._begun_by_cryptography])
def test_parts_may_come_one_at_a_time(begun, monkeypatch):
    monkeypatch.setattr(digest, "_begun", begun)
    hasher = digest.Sha256()
    hasher.update(b"one")
    hasher.update(b"two")
    assert hasher.digest() == digest.sha256(b"onetwo")


@pytest.mark.parametrize("way", WAYS)
def test_a_file_larger_than_a_chunk(way, monkeypatch):
    monkeypatch.setattr(digest, "_digest", way)
    content = bytes(range(256)) * 5000
    file = io.BytesIO(b"skipped" + content)
    file.seek(7)
    assert digest.sha256_of_file(file) == digest.sha256(content) == hashlib.sha256(content).digest()


@pytest.mark.parametrize(("module", "libraries"), [("client.__main__", {"_rust"}), ("model.digest", {"libcrypto"})])
def test_a_process_has_one_openssl(module, libraries):
    code = f"import securecc.{module}, pathlib; print(pathlib.Path('/proc/self/maps').read_text())"
    line = [sys.executable, "-I", "-c", code]  # without an environment: measuring coverage would load one more
    maps = subprocess.run(line, env={}, capture_output=True, text=True, check=True).stdout
    assert {name for name in ("_rust", "libcrypto") if name in maps} == libraries
