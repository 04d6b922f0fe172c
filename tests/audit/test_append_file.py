import contextlib
import ctypes
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from securecc.audit import append_file
from securecc.audit.append_file import AppendFile, open_own, translated
from securecc.model import limits
from securecc.model.errors import AuditError
from tests.audit.disks import fill, needs_root, small_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_lines_are_added_and_counted(path: Path) -> None:
    file = AppendFile(path)
    file.append(b"one\n")
    file.append(b"two\n")
    assert (path.read_bytes(), file.size, file.tail(4)) == (b"one\ntwo\n", 8, b"two\n")
    file.close()
    file.close()


def test_it_is_readable_by_its_group_whatever_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        AppendFile(path).close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o600)
    AppendFile(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_room_is_reserved_and_given_back(path: Path) -> None:
    file = AppendFile(path)
    file.append(b"x" * 100, leaving=limits.AUDIT_RESERVE)
    assert path.stat().st_size == 100
    assert blocks(path) >= limits.AUDIT_RESERVE
    file.close()
    assert blocks(path) < limits.AUDIT_RESERVE


def test_a_file_system_that_reserves_nothing_is_written_to_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Libc:
        asked = 0

        def fallocate(self, *_: Any) -> int:
            self.asked += 1
            ctypes.set_errno(errno.EOPNOTSUPP)
            return -1

    libc = Libc()
    monkeypatch.setattr(append_file, "_libc", libc)
    file = AppendFile(path)
    for _ in range(3):
        file.append(b"line\n", leaving=1000)
    assert (file.size, libc.asked) == (15, 1)
    file.close()


@needs_root
def test_what_was_reserved_can_be_written_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        file = AppendFile(disk / "log")
        file.append(b"start\n", leaving=64 * 1024)
        fill(disk / "ballast")
        written = 0
        with contextlib.suppress(OSError):
            while written < 100:
                file.append(b"s" * 4096, leaving=64 * 1024)
                written += 1
        assert written < 70  # what had been reserved ahead, and no more
        before = file.size
        for _ in range(15):
            file.append(b"e" * 4095 + b"\n")
        assert file.size == before + 15 * 4096
        (disk / "ballast").unlink()
        file.append(b"start\n", leaving=64 * 1024)
        file.close()


def test_half_a_line_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = AppendFile(path)
    file.append(b"one\n")
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: real(fd, data[:2]))
        with pytest.raises(OSError, match="No space"):
            file.append(b"two\n")
    assert (path.read_bytes(), file.size) == (b"one\n", 4)
    file.append(b"three\n")
    assert path.read_bytes() == b"one\nthree\n"
    file.close()


def test_a_renamed_file_is_noticed(path: Path) -> None:
    file = AppendFile(path)
    assert not file.renamed()
    path.rename(path.with_name("old"))
    assert file.renamed()
    path.touch()
    assert file.renamed()
    file.close()


def test_only_a_file_of_our_own_with_one_name(path: Path, tmp_path: Path) -> None:
    path.touch(mode=0o640)
    path.with_name("second").hardlink_to(path)
    with pytest.raises(AuditError, match="a single link"):
        AppendFile(path)
    path.with_name("second").unlink()
    path.chmod(0o666)
    with pytest.raises(AuditError, match="others may write"):
        AppendFile(path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditError, match="symbolic links"):
        AppendFile(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_in_use_is_said_to_be(path: Path) -> None:
    fd = open_own(path, os.O_RDWR)
    with pytest.raises(AuditError, match="another daemon"):
        AppendFile(path)
    os.close(fd)


def test_errors_name_the_file() -> None:
    with pytest.raises(AuditError, match="audit log /x: Input/output error"), translated(Path("/x")):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
