"""securecc.client.path_state: what a path is at this moment, or what it leads to."""

import os

from securecc.client.path_state import look


def test_a_path_a_link_and_nothing(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    file, link = os.fsencode(tmp_path / "file"), os.fsencode(tmp_path / "link")
    status = os.lstat(file)
    assert look(file) == (status.st_dev, status.st_ino, 1, status.st_mtime_ns, status.st_ctime_ns)
    assert look(link) != look(file)
    assert look(link, follow=True) == look(file)
    (tmp_path / "file").unlink()
    assert look(file) is None
    assert look(link) is not None
    assert look(link, follow=True) is None
