"""What a path leads to, by its type."""

import os
import stat
from pathlib import Path

from securecc.system.file_type import file_type


def test_types(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nothing")
    os.mkfifo(tmp_path / "fifo")
    names = ("file", "link", "fifo", ".", "broken", "nothing")
    types = [file_type(os.fsencode(tmp_path / name)) for name in names]
    assert types == [stat.S_IFREG, stat.S_IFREG, stat.S_IFIFO, stat.S_IFDIR, 0, 0]
