"""securecc.compiler.command_line.specs_files: a specs file as the options that it adds."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.command_line import specs_files
from securecc.model.errors import StaysLocal
from tests.waiting import CEILING_S

FOLDER = Path("/usr/share/dpkg")
CASES = [
    "",
    "-g -O2",
    "-fPIC",
    "-fpic -g",
    "-fPIE",
    "-fpie",
    "-fno-pic",
    "-O2 -shared",
    "-static",
    "-r",
    "-fno-plt -flto",
]
UNSURE = ["-fPIC -fno-PIC", "-fno-pie", "-static-pie", "-fpie -fPIC"]
PIE = b"*self_spec:\n+ %{!r:%{!fpie:-fno-PIE}}\n"


def proper(words: Any) -> Any:
    """How gcc calls the compiler proper and the assembler."""
    said = subprocess.run(
        ["gcc", *words, "-c", "a.c", "-###"], capture_output=True, check=True, timeout=CEILING_S
    ).stderr
    lines = [line for line in said.splitlines() if line.startswith(b" ")]
    assert len(lines) >= 2
    return [[word for word in line.split() if b"/tmp/" not in word] for line in lines if b"COLLECT" not in line]


@pytest.mark.parametrize("name", ["no-pie-compile.specs", "pie-compile.specs", "no-pie-link.specs", "pie-link.specs"])
@pytest.mark.parametrize("words", CASES)
def test_gcc_does_the_same_without_the_file(name: Any, words: Any) -> None:
    option = f"-specs={FOLDER / name}"
    command = [b"gcc", option.encode(), *words.encode().split()]
    try:
        found = specs_files.without(command, (FOLDER / name).read_bytes())
    except StaysLocal:
        assert "link" in name or words in UNSURE
        return
    assert option.encode() not in found
    assert proper([word.decode() for word in found[1:]]) == proper([option, *words.split()])


@pytest.mark.parametrize("words", UNSURE)
def test_where_options_undo_each_other_gcc_decides(words: Any) -> None:
    with pytest.raises(StaysLocal):
        specs_files.without([b"gcc", *words.encode().split()], (FOLDER / "no-pie-compile.specs").read_bytes())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"*cc1:\n+ -fno-PIE\n",
        b"*self_spec:\n+ %{!r:-fplugin=x.so}\n",
        b"*self_spec:\n+ %{!r:-fno-PIE}}\n",
        b"*self_spec:\n+ %{!r:-fno-PIE}\n*cc1:\nx\n",
        b"*self_spec:\n%{!r:-fno-PIE}\n",
        b"%include <x>\n" + PIE,
        PIE + PIE,
        b"*self_spec:\n+ %{r:-fno-PIE}\n",
        b"*self_spec:\n+ %{!r:%:getenv(X -fno-PIE)}\n",
    ],
)
def test_a_file_that_does_more_stays(content: Any) -> None:
    with pytest.raises(StaysLocal) as local:
        specs_files.without([b"gcc", b"-c", b"a.c"], content)
    assert local.value.reason == "program"


def test_which_file_a_command_names() -> None:
    assert specs_files.named([b"gcc", b"-c", b"a.c"]) == b""
    assert specs_files.named([b"gcc", b"-specs=/a/b", b"-c"]) == b"/a/b"
    assert specs_files.named([b"gcc", b"--specs=/a/b", b"-c"]) == b"/a/b"
    for words in ([b"-specs=x"], [b"-specs=/a", b"--specs=/b"], [b"-specs="]):
        with pytest.raises(StaysLocal):
            specs_files.named([b"gcc", *words])


@given(st.lists(st.sampled_from(" ".join(CASES + UNSURE).split()), max_size=4), st.binary(max_size=40) | st.just(PIE))
def test_what_is_left_is_the_command_and_known_options(words: Any, content: Any) -> None:
    command = [b"gcc", *(word.encode() for word in words)]
    try:
        found = specs_files.without(command, content)
    except StaysLocal:
        return
    assert found[: len(command)] == tuple(command)
    assert found[len(command) :] in {(), (b"-fno-PIE",)}
