import os
from pathlib import Path

import pytest

from securecc.model.errors import StoreError
from securecc.server.blobs import blob_directory
from securecc.server.blobs.blob_directory import claim, clear


def test_a_folder_is_one_daemons_alone(tmp_path: Path) -> None:
    root = claim(tmp_path / "a/store")
    assert (tmp_path / "a/store").stat().st_mode & 0o777 == 0o700
    with pytest.raises(StoreError, match="in use by another daemon"):
        claim(tmp_path / "a/store")
    os.close(root)
    os.close(claim(tmp_path / "a/store"))


def test_it_removes_what_a_store_makes_and_nothing_else(tmp_path: Path) -> None:
    for name in ("ab", "cd", "Documents", "ef.txt", "abc"):
        (tmp_path / name).mkdir()
    (tmp_path / "12").write_text("a file")
    clear(tmp_path).join()
    assert sorted(os.listdir(tmp_path)) == ["12", "Documents", "abc", "ef.txt"]


def test_what_is_no_folder_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(StoreError, match="a directory that the daemon owns"):
            claim(tmp_path / name)


def test_what_is_to_be_removed_is_out_of_the_way_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its removal takes; what an end leaves of it goes the next time."""
    (tmp_path / "ab/cd").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(blob_directory, "_remove", lambda _folders: None)
        clear(tmp_path).join()
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".leaving-")
    (tmp_path / ".leaving-by-name-alone").write_text("a file")
    clear(tmp_path).join()
    assert os.listdir(tmp_path) == [".leaving-by-name-alone"]


def test_a_folder_that_cannot_be_cleared_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        clear(tmp_path / "gone")
