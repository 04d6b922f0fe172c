"""Toolchains on their tmpfs: what is copied, what is made of it for a job, and what is left where it fails."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from securecc.compiler.toolchain.closure import ClosureFile
from securecc.model import limits, manifest
from securecc.model.errors import SandboxError, ToolchainError
from securecc.model.manifest import Kind
from securecc.runner.toolchain_copies import ToolchainCopy, copy_files
from securecc.sandbox import namespaces
from tests.closure_sample import CLOSURE


@pytest.fixture
def source(tmp_path: Path) -> list[ClosureFile]:
    """Files of a toolchain below a directory of the test's; the files as a closure has them."""
    folder = tmp_path / "source"
    folder.mkdir()
    found = []
    for name, mode in (("as", 0o755), ("specs", 0o644)):
        (folder / name).write_text(name)
        (folder / name).chmod(mode)
        blob = manifest.digest(name.encode())
        found.append(ClosureFile(os.fsencode(folder / name), Kind.FILE, blob, mode, len(name)))
    return [*found, ClosureFile(os.fsencode(folder / "ld"), Kind.LINK, b"as")]


class Shelved(ToolchainCopy):
    """A copy whose mounts are noted."""

    mounted: list[bytes]


@pytest.fixture
def shelved(tmp_path: Path, source: list[ClosureFile], monkeypatch: pytest.MonkeyPatch) -> Shelved:
    """Without the mounts, which take a namespace."""
    mounted: list[bytes] = []
    monkeypatch.setattr(namespaces, "bind_read_only", lambda root, _root: mounted.append(root))
    monkeypatch.setattr(namespaces, "unmount", mounted.remove)
    closure = replace(CLOSURE, files=tuple(source), calls=(), directories=(), include_directories=())
    shelved = Shelved(closure, os.fsencode(tmp_path / "store"))
    shelved.mounted = mounted
    return shelved


def trees(tmp_path: Path) -> list[str]:
    return sorted(os.listdir(tmp_path / "store"))


def test_a_copy_is_what_the_closure_says(tmp_path: Path, source: list[ClosureFile]) -> None:
    copy_files(source, os.fsencode(tmp_path / "copy"))
    there = tmp_path / f"copy{tmp_path}/source"
    assert [(there / name).stat().st_mode & 0o777 for name in ("as", "specs")] == [0o555, 0o444]
    assert (os.readlink(there / "ld"), (there / "specs").read_text()) == ("as", "specs")


def test_a_file_that_has_changed_or_gone_is_not_copied(tmp_path: Path, source: list[ClosureFile]) -> None:
    os.rename(source[1].path, source[0].path)
    with pytest.raises(ToolchainError, match="as changed while it was copied"):
        copy_files(source[:1], os.fsencode(tmp_path / "one"))
    with pytest.raises(ToolchainError, match=r"cannot read .*specs: No such file"):
        copy_files(source[1:], os.fsencode(tmp_path / "two"))


def test_no_room_for_a_copy_is_said_with_what_to_do(
    tmp_path: Path, source: list[ClosureFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "symlink", _full)
    with pytest.raises(SandboxError, match="no room for a copy of a toolchain: No space left on device; list fewer"):
        copy_files(source, os.fsencode(tmp_path / "copy"))


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_one_tree_for_each_set_of_places(tmp_path: Path, shelved: Shelved) -> None:
    one = shelved.take((b"/usr/include",))
    assert shelved.take((b"/usr/include",)) == one
    assert shelved.take(()) != one
    assert os.path.isdir(one + b"/usr/include")
    assert trees(tmp_path) == ["1", "2", "copy"]


def test_a_tree_that_is_in_use_is_never_dropped(
    tmp_path: Path, shelved: Shelved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TREE_VARIANTS", 2)
    for name in (b"/a", b"/b"):
        shelved.take((name,))
    with pytest.raises(SandboxError, match="too many"):
        shelved.take((b"/c",))
    shelved.give_back((b"/b",))
    shelved.take((b"/c",))
    assert trees(tmp_path) == ["1", "3", "copy"]
    assert [os.path.basename(root) for root in shelved.mounted] == [b"1", b"3"]


def test_no_room_for_a_tree_leaves_no_half_of_one(
    tmp_path: Path, shelved: Shelved, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each job that asks for it would fill the tmpfs a little more."""
    real = os.link
    monkeypatch.setattr(os, "link", _full)
    for _ in range(3):
        with pytest.raises(SandboxError, match="no room for a toolchain's tree: No space left on device; list fewer"):
            shelved.take((b"/usr/include",))
    assert trees(tmp_path) == ["copy"]
    monkeypatch.setattr(os, "link", real)
    assert os.path.isdir(shelved.take((b"/usr/include",)))
