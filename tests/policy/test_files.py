import os
from pathlib import Path

import pytest

from securecc.model.errors import PolicyError
from securecc.policy.files import folders_distrust, list_folder, read_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_bytes(b"version: 1\n")
    file.chmod(0o644)
    return file


def test_a_file_of_ones_own(path: Path) -> None:
    content = read_file(path, 100)
    assert content.data == b"version: 1\n"
    assert content.distrust == ""


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o664, 0o620])
def test_a_file_that_others_may_write_is_not_trusted(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert f"chmod go-w {path}" in read_file(path, 100).distrust


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_not_trusted(path: Path) -> None:
    os.chown(path, 12345, -1)
    assert "owned by uid 12345" in read_file(path, 100).distrust


def test_a_huge_file_is_refused_before_it_is_read(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(PolicyError, match="the limit is 1048576"):
        read_file(path, 2**20)


def test_the_limit_itself_is_read(path: Path) -> None:
    assert len(read_file(path, 11).data) == 11
    with pytest.raises(PolicyError):
        read_file(path, 10)


def test_a_pipe_does_not_keep_us_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PolicyError, match="not a regular file"):
        read_file(tmp_path / "pipe", 100)


@pytest.mark.parametrize("name", [".", "absent", "absent/x", "nul\0", "x" * 5000])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(PolicyError):
        read_file(tmp_path / name, 100)


def test_names_in_a_folder_are_in_order_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml", ".a.yaml.swp", "c.txt"):
        (tmp_path / name).touch()
    assert list_folder(tmp_path, 3) == ("a.yaml", "b.yaml", "c.txt")
    with pytest.raises(PolicyError, match="3 files; the limit is 2"):
        list_folder(tmp_path, 2)
    with pytest.raises(PolicyError, match="No such file"):
        list_folder(tmp_path / "absent", 2)
    with pytest.raises(PolicyError, match="Not a directory"):
        list_folder(tmp_path / "c.txt", 2)


def test_a_folder_on_the_way_that_others_may_write(tmp_path: Path) -> None:
    deep = tmp_path / "a/b/c"
    deep.mkdir(parents=True)
    assert folders_distrust(deep / "policy.yaml") == ""
    (tmp_path / "a").chmod(0o777)
    assert folders_distrust(deep / "policy.yaml").startswith(f"{tmp_path}/a: others than its owner may write it")
    (tmp_path / "a").chmod(0o1777)
    assert folders_distrust(deep / "policy.yaml") == ""


def test_a_link_is_looked_at_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open/policy.yaml").write_text("version: 1")
    (tmp_path / "closed/policy.yaml").symlink_to("../open/policy.yaml")
    (tmp_path / "open/link.yaml").symlink_to("../closed/other.yaml")
    for name in ("closed/policy.yaml", "open/link.yaml"):
        assert folders_distrust(tmp_path / name).startswith(f"{tmp_path}/open: others")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_somebody_else_unless_he_may_own_it(tmp_path: Path, path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    os.chown(path, 12345, -1)
    assert "owned by uid 12345" in folders_distrust(path)
    assert folders_distrust(path, (12345,)) == ""
    assert read_file(path, 100, (12345,)).distrust == ""


def test_a_place_that_is_not_there_yet_is_nobodys(tmp_path: Path) -> None:
    assert folders_distrust(tmp_path / "absent/x") == ""
    tmp_path.chmod(0o777)
    assert folders_distrust(tmp_path / "absent/x").startswith(f"{tmp_path}: others")


def test_a_place_that_cannot_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert "Too many levels" in folders_distrust(tmp_path / "loop/x")
