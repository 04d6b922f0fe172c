"""securecc.compiler.tree.shared_tree: equal trees have one name, and trees that a compiler can tell apart have two."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securecc.compiler.tree import shared_tree
from securecc.model import limits
from securecc.model.errors import ToolchainError


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    top = tmp_path / "include"
    for name in ("a.h", "sub/b.h", "sub/deep/c.h", "sub.h"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(f"/* {name} */\n")
        os.utime(top / name, ns=(1, 2))
    (top / "link.h").symlink_to("sub/b.h")
    return top


def digest(tree: Any) -> Any:
    return shared_tree.digest_of(shared_tree.entries(os.fsencode(tree)))


def test_what_it_holds(tree: Any) -> None:
    assert [entry.path for entry in shared_tree.entries(os.fsencode(tree))] == [
        *(b"/a.h", b"/link.h", b"/sub", b"/sub.h", b"/sub/b.h", b"/sub/deep", b"/sub/deep/c.h"),
    ]
    folders: list[bytes] = []
    list(shared_tree.entries(os.fsencode(tree), folders.append))
    assert folders == [os.fsencode(path) for path in (tree, tree / "sub", tree / "sub/deep")]


def test_where_it_lies_and_when_directories_changed_does_not_matter(tree: Any, tmp_path: Path) -> None:
    before = digest(tree)
    os.utime(tree / "sub", ns=(5, 5))
    tree.rename(tmp_path / "other")
    assert digest(tmp_path / "other") == before


def rewrite(path: Path, content: str) -> None:
    """Other content, at the same time."""
    path.write_text(content)
    retime(path, 2)


def retime(path: Path, mtime_ns: int) -> None:
    os.utime(path, ns=(1, mtime_ns))


def relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


CHANGES: dict[str, Callable[[Path], Any]] = {
    "content": lambda tree: rewrite(tree / "a.h", "/* A.h */\n"),
    "time": lambda tree: retime(tree / "sub/b.h", 3),
    "mode": lambda tree: (tree / "a.h").chmod(0o600),
    "name": lambda tree: (tree / "a.h").rename(tree / "z.h"),
    "more": lambda tree: (tree / "sub/deep/new.h").write_text(""),
    "less": lambda tree: (tree / "sub/deep/c.h").unlink(),
    "an empty directory": lambda tree: (tree / "empty").mkdir(),
    "a directory's mode": lambda tree: (tree / "sub").chmod(0o700),
    "a link": lambda tree: relink(tree / "link.h", "a.h"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_a_compiler_can_tell_makes_another(tree: Any, change: Any) -> None:
    before = digest(tree)
    CHANGES[change](tree)
    assert digest(tree) != before


def test_what_is_no_shared_tree(tree: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="cannot read"):
        digest(tmp_path / "nowhere")
    os.mkfifo(tree / "fifo")
    with pytest.raises(ToolchainError, match="not a file, directory or link"):
        digest(tree)
    (tree / "fifo").unlink()
    os.link(tree / "a.h", tmp_path / "other")
    with pytest.raises(ToolchainError, match="other hard links"):
        digest(tree)
    (tmp_path / "other").unlink()
    monkeypatch.setattr(limits, "SHARED_TREE_ENTRIES", 6)
    with pytest.raises(ToolchainError, match="too many files"):
        digest(tree)
    monkeypatch.setattr(limits, "SHARED_TREE_ENTRIES", 7)
    monkeypatch.setattr(limits, "SHARED_TREE", 30)
    with pytest.raises(ToolchainError, match="too many files"):
        digest(tree)
