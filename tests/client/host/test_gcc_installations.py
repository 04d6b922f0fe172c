"""Other versions of gcc beside the one that clang uses."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from securecc.client.host import gcc_installations
from securecc.compiler.command_line.option_table import Family
from securecc.compiler.toolchain.closure import ClosureFile
from securecc.model.manifest import Kind
from tests.client.compile.compile_rig import CLOSURE


@pytest.mark.parametrize(("family", "expected"), [("clang", ["11"]), ("gcc", [])])
def test_other_versions_are_those_that_clang_takes_for_one(tmp_path: Path, family: Family, expected: list[str]) -> None:
    for version in ("11", "12"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "crtbegin.o").touch()
    (tmp_path / "13").mkdir()
    used = ClosureFile(os.fsencode(tmp_path / "12/crtbegin.o"), Kind.FILE, b"")
    toolchain = replace(CLOSURE, family=family, files=(used,))
    found = gcc_installations.marks(toolchain)
    assert found == tuple(os.fsencode(tmp_path / version / "crtbegin.o") for version in expected)


def test_a_directory_that_is_gone_has_none(tmp_path: Path) -> None:
    gone = ClosureFile(os.fsencode(tmp_path / "gone/12/crtbegin.o"), Kind.FILE, b"")
    assert gcc_installations.marks(replace(CLOSURE, family="clang", files=(gone,))) == ()
