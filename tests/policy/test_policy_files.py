import os

import pytest

from securecc.policy.files import read_file
from securecc.words.errors import PolicyError


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_bytes(b"version: 1\n")
    file.chmod(0o644)
    return file


def test_a_file_of_ones_own(path):
    content = read_file(path, 100)
    assert content.data == b"version: 1\n"
    assert content.distrust == ""


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o664, 0o620])
def test_a_file_that_others_may_write_is_not_trusted(path, mode):
    path.chmod(mode)
    assert f"chmod go-w {path}" in read_file(path, 100).distrust


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_not_trusted(path):
    os.chown(path, 12345, -1)
    assert "owned by uid 12345" in read_file(path, 100).distrust


def test_a_huge_file_is_refused_before_it_is_read(path):
    with path.open("r+b") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(PolicyError, match="at most 1048576 are read"):
        read_file(path, 2**20)


def test_the_limit_itself_is_read(path):
    assert len(read_file(path, 11).data) == 11
    with pytest.raises(PolicyError):
        read_file(path, 10)


def test_a_pipe_does_not_keep_us_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PolicyError, match="not a regular file"):
        read_file(tmp_path / "pipe", 100)


@pytest.mark.parametrize("name", [".", "absent", "absent/x", "nul\0", "x" * 5000])
def test_what_is_no_file(tmp_path, name):
    with pytest.raises(PolicyError):
        read_file(tmp_path / name, 100)
