"""securecc.client.host.mount_table, in a mount namespace of the test's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from securecc.client.host import mount_table
from securecc.client.host.mount_table import MountTable, overlap
from tests.waiting import CEILING_S

SCRIPT = r"""
import os, subprocess, sys
from securecc.client.host.mount_table import MountTable
top = os.fsencode(sys.argv[1])
mounts = MountTable()
assert mounts.changed() == ()
def run(*words):
    subprocess.run(words, check=True)
run("mount", "-t", "tmpfs", "none", top + b"/one two")
assert mounts.changed() == (top + b"/one two",), 1
assert mounts.changed() == ()
run("mount", "--bind", top + b"/one two", top + b"/\\n")
run("umount", top + b"/one two")
assert set(mounts.changed()) == {top + b"/one two", top + b"/\\n"}, 2
run("mount", "-o", "remount,bind,ro", top + b"/\\n")
assert mounts.changed() == (top + b"/\\n",), 3
run("umount", top + b"/\\n")
assert mounts.changed() == (top + b"/\\n",), 4
run("mount", "-t", "tmpfs", "none", top + b"/one two")
assert mounts.changed() == (top + b"/one two",), 5
run("umount", top + b"/one two")
run("mount", "-t", "tmpfs", "none", top + b"/one two")
assert mounts.changed() in {(b"/",), (top + b"/one two",)}, 6
mounts.close()
"""


def test_what_is_mounted_and_unmounted_shows_once(tmp_path: Path) -> None:
    (tmp_path / "one two").mkdir()
    (tmp_path / "\\n").mkdir()
    words = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", SCRIPT, str(tmp_path)]
    subprocess.run(words, check=True, timeout=CEILING_S)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (b"/usr/include", b"/usr", True),
        (b"/usr", b"/usr/include", True),
        (b"/usr", b"/usr", True),
        (b"/", b"/usr", True),
        (b"/usr", b"/usrx", False),
        (b"/usr/lib", b"/usr/include", False),
    ],
)
def test_overlap(one: bytes, other: bytes, expected: bool) -> None:
    assert overlap(one, other) is expected


def test_where_nothing_is_mounted_nothing_shows() -> None:
    mounts = MountTable()
    assert mounts.changed() == ()
    mounts.close()


def test_without_a_table_anything_may_have_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mount_table, "_TABLE", tmp_path / "none")
    changed = mount_table.changes()
    assert [changed(), changed()] == [(b"/",), (b"/",)]
