"""securecc.compiler.command_line.languages: what gcc and clang take a source for."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from securecc.compiler.command_line import languages
from securecc.compiler.command_line.languages import SourceType, of_file, of_name
from securecc.model.errors import StaysLocal
from tests.waiting import CEILING_S

SUFFIXES = sorted({*languages.SUFFIXES, b".sx", b".CC", b".CXX", b".C++", b".h", b".f90", b".o", b".xyz"})
STAGES = {b"-fpreprocessed": "preprocessed", b"cc1": "source"}


@pytest.mark.parametrize("driver", ["gcc", "g++"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_gcc_agrees(tmp_path: Path, driver: str, suffix: Any) -> None:
    source = b"a" + suffix
    (tmp_path / source.decode()).write_text("")
    said = subprocess.run(
        [driver, "-###", "-c", source], cwd=tmp_path, capture_output=True, check=False, timeout=CEILING_S
    ).stderr
    try:
        text = of_file(source, "c++" if driver == "g++" else "c", "gcc")
    except StaysLocal:
        return
    program = re.search(rb"cc1(obj(?:plus)?|plus)?\b", said)
    if text.stage == "assembler":
        assert program is None
        assert re.search(rb"^ \S*as ", said, re.MULTILINE)
        return
    names = {b"plus": "c++", b"obj": "objective-c", b"objplus": "objective-c++", None: "c"}
    if program is None:  # the compiler for that language is not installed
        assert text.language.startswith("objective")
        return
    assert text.language == names[program[1]]
    assert (b"-fpreprocessed" in said) == (text.stage == "preprocessed")
    assert (b"-lang-asm" in said) == (text.stage == "assembler-with-cpp")


@pytest.mark.parametrize("driver", ["clang", "clang++"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_clang_agrees(tmp_path: Path, driver: str, suffix: Any) -> None:
    source = b"a" + suffix
    (tmp_path / source.decode()).write_text("")
    said = subprocess.run(
        [driver, "-###", "-c", source], cwd=tmp_path, capture_output=True, check=False, timeout=CEILING_S
    ).stderr
    kinds = re.findall(rb'"-x" "([a-z+-]+)"', said)
    try:
        text = of_file(source, "c++" if driver == "clang++" else "c", "clang")
    except StaysLocal:
        return
    if text.stage.startswith("assembler"):
        assert b'"-cc1as"' in said
        assert (kinds == [b"assembler-with-cpp"]) == text.preprocesses
        return
    assert kinds == [text.language.encode() + (b"-cpp-output" if text.stage == "preprocessed" else b"")] or kinds == [
        b"cpp-output"
    ]


def test_names_of_languages() -> None:
    assert of_name(b"c++") == SourceType("c++")
    assert of_name(b"assembler-with-cpp").preprocesses
    assert not of_name(b"assembler").compiles
    assert not of_name(b"cpp-output").preprocesses


@pytest.mark.parametrize(
    ("name", "reason"),
    [(b"c-header", "precompiled-header"), (b"c++-system-header", "precompiled-header"), (b"go", "language")],
)
def test_other_languages_stay_local(name: Any, reason: str) -> None:
    with pytest.raises(StaysLocal) as caught:
        of_name(name)
    assert caught.value.reason == reason
