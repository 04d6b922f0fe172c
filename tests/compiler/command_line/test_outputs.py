"""securecc.compiler.command_line.outputs: the files that gcc and clang really make."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from securecc.compiler.command_line.compile_plan import parse
from securecc.compiler.command_line.languages import SourceType
from securecc.compiler.command_line.outputs import OutputOptions, outputs_of
from securecc.model.errors import StaysLocal
from tests.waiting import CEILING_S

COMMANDS = [
    "{cc} -c a.c",
    "{cc} -c s/a.b.c -MD",
    "{cc} -S s/a.c -MMD -fstack-usage",
    "{cc} -c a.c -o o/x.tar.o -MD -gsplit-dwarf -g -fstack-usage --coverage",
    "{cc} -S -g -gsplit-dwarf s/a.c -o o/x.s",
    "{cc} -c -g -gsplit-dwarf s/a.c",
    "{cc} -c -MD s/.x.c -o o/.y",
    "{cc} -c -MD -MF o/z s/.x.c",
    "{cc} -c -Wp,-MD,o/q a.c -o o/x.",
    "{cc} -c -MD -g -gsplit-dwarf -fstack-usage --coverage s.S -o o/x.o",
    "{cc} -c -MD s.s",
    "{cc} -c -g a.i -fstack-usage -gsplit-dwarf -o o/i.o",
    "{cc} -c -flto -MD a.c -o o/l.o",
    "gcc -c -fcallgraph-info=su,da -fstack-usage a.c -o o/x.y.o",
    "gcc -S -fcallgraph-info s/a.b.c",
    "gcc -c -g -gsplit-dwarf s.s -o o/x.o",
    "clang -c -ftime-trace a.c",
    "clang -c -ftime-trace s/a.c -o o/x.y.o",
    "clang -c -emit-llvm a.c",
    "clang -S -emit-llvm s/a.b.c",
    "clang -c -gsplit-dwarf=single -g a.c",
    "clang -c -gsplit-dwarf -g a.c -o o/.y",
]


@pytest.mark.parametrize("command", [c.format(cc=cc) for c in COMMANDS for cc in ("gcc", "clang")[: 1 + ("{" in c)]])
def test_outputs_are_what_the_compiler_makes(command: str, tmp_path: Path) -> None:
    for folder in ("s", "o"):
        (tmp_path / folder).mkdir()
    for source in ("a.c", "s/a.c", "s/a.b.c", "s/.x.c", "a.i"):
        (tmp_path / source).write_text("int f(int a) { return a + 1; }\n")
    for source in ("s.s", "s.S"):
        (tmp_path / source).write_text(".text\nnop\n")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    words = tuple(word.encode() for word in shlex.split(command))
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False, timeout=CEILING_S)
    assert done.returncode == 0, done.stderr
    found = {bytes(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() and path not in before}
    assert found == set(parse(words).outputs)


def test_one_file_for_two_things_stays_local() -> None:
    with pytest.raises(StaysLocal) as caught:
        outputs_of(
            OutputOptions(output=b"a.d", assembly=False, effects={b".su": True}), b"a.su", SourceType("c"), "gcc"
        )
    assert caught.value.reason == "output"


@pytest.mark.parametrize("output", [b"/dev/null", b"x/", b"..", b"x/."])
def test_what_is_no_file_stays_local(output: Any) -> None:
    with pytest.raises(StaysLocal):
        outputs_of(OutputOptions(output=output), b"a.c", SourceType("c"), "gcc")
