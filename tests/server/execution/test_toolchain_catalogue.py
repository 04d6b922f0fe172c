"""What is offered, and to whom."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from securecc.compiler.toolchain import toolchain_list
from securecc.model.messages import SharedTree
from securecc.server.execution.toolchain_catalogue import ToolchainCatalogue
from tests.server.frontside import CLANG, GCC, GRANT

TREE = SharedTree(b"/usr/include", b"i" * 32)


def test_what_is_offered_is_replaced_whole_and_written_down(tmp_path: Path) -> None:
    catalogue = ToolchainCatalogue(tmp_path / "toolchains.json")
    assert (catalogue.toolchains, catalogue.shared_trees) == ((), frozenset())
    catalogue.replace((GCC,), frozenset((TREE,)))
    assert (catalogue.get(GCC.digest), catalogue.get(CLANG.digest)) == (GCC, None)
    assert catalogue.shared_trees == {TREE}
    catalogue.replace((CLANG,), frozenset())
    assert (catalogue.toolchains, catalogue.shared_trees) == ((CLANG,), frozenset())
    assert [known.digest for known in toolchain_list.read(tmp_path / "toolchains.json").toolchains] == [CLANG.digest]


def test_a_grant_sees_what_it_covers(tmp_path: Path) -> None:
    catalogue = ToolchainCatalogue(tmp_path / "toolchains.json")
    catalogue.replace((GCC, CLANG), frozenset())
    assert catalogue.granted(GRANT) == (GCC, CLANG)
    assert catalogue.granted(replace(GRANT, toolchains=("clang-*",))) == (CLANG,)


def test_a_list_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    catalogue = ToolchainCatalogue(tmp_path / "nowhere" / "toolchains.json")
    catalogue.replace((GCC,), frozenset())
    assert catalogue.toolchains == (GCC,)
    assert "cannot write" in caplog.text
