"""compiler.command_line.profile_data: the very names under which the compilers look for counts of earlier runs."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from securecc.compiler.command_line import profile_data
from securecc.compiler.command_line.compile_plan import parse
from tests.waiting import CEILING_S

COMMANDS = [
    "gcc -c -fprofile-use a.c",
    "gcc -c -fprofile-use a.c -o o/x.b.o",
    "gcc -c -fprofile-use s/a.c -o {cwd}/o/x.o",
    "gcc -S -fprofile-use s/.a.c",
    "gcc -c -fprofile-use=p s/a.c -o o/x.o",
    "gcc -c -fprofile-use=p/ s/a.c -o s/../o/x.o",
    "gcc -c -fprofile-use=p a.c -o {cwd}/o/x.o",
    "gcc -c -fprofile-use=p -fprofile-use a.c",
    "gcc -c -fprofile-use -fprofile-generate=o a.c",
    "gcc -c -fprofile-dir=p -fbranch-probabilities a.c",
    "gcc -c -fbranch-probabilities -fno-profile-use a.c",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_gcc_looks_there(command: str, tmp_path: Path) -> None:
    """-Wmissing-profile says where it looked."""
    for folder in "sop":
        (tmp_path / folder).mkdir()
    for name in ("a.c", "s/a.c", "s/.a.c"):
        (tmp_path / name).write_text("int f(int a) { return a; }\n")
    words = shlex.split(command.format(cwd=tmp_path))
    done = subprocess.run(
        [*words, "-Wmissing-profile", "-O1"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=CEILING_S,
        env={**os.environ, "LC_ALL": "C", "PWD": str(tmp_path)},
    )
    looked = re.search(rb"'([^']*)' profile count data file not found", done.stderr)
    assert looked, done.stderr
    (found,) = profile_data.read(parse(tuple(word.encode() for word in words)), bytes(tmp_path))
    assert os.path.join(bytes(tmp_path), found) == os.path.join(bytes(tmp_path), looked[1])


def test_without_a_profile_nothing_is_read() -> None:
    for command in ("gcc -c a.c", "gcc -c -fno-profile-use a.c", "gcc -c -fprofile-dir=x a.c"):
        assert profile_data.read(parse(tuple(word.encode() for word in command.split())), b"/w") == ()


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("-fprofile-use", (b"./default.profdata",)),
        ("-fprofile-instr-use=p.profdata", (b"p.profdata", b"p.profdata/default.profdata")),
        ("-fprofile-use=d/", (b"d/default.profdata", b"d/default.profdata")),
    ],
)
def test_clang_takes_a_file_or_a_directory(option: str, names: Any) -> None:
    plan = parse(tuple(word.encode() for word in ("clang", "-c", option, "a.c")))
    assert profile_data.read(plan, b"/w") == names
