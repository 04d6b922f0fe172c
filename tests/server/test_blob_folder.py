import os

import pytest

from securecc.server.blob_folder import claim, empty
from securecc.words.errors import StoreError


def test_a_folder_is_one_daemons_alone(tmp_path):
    root = claim(tmp_path / "a/store")
    assert (tmp_path / "a/store").stat().st_mode & 0o777 == 0o700
    with pytest.raises(StoreError, match="in use by another daemon"):
        claim(tmp_path / "a/store")
    os.close(root)
    os.close(claim(tmp_path / "a/store"))


def test_it_removes_what_a_store_makes_and_nothing_else(tmp_path):
    for name in ("ab", "cd", "Documents", "ef.txt", "abc"):
        (tmp_path / name).mkdir()
    (tmp_path / "12").write_text("a file")
    empty(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["12", "Documents", "abc", "ef.txt"]


def test_what_is_no_folder_of_its_own_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(StoreError, match="of the daemon's own"):
            claim(tmp_path / name)
