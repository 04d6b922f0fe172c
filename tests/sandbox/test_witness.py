"""The witness in front of real compilers: it sees what the kernel sees, and is not to be seen itself."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from securecc.compiler.questions import Kind, Question
from tests.conformance.table import Line, lines
from tests.farm.twins import put
from tests.sandbox.witness_stand import Incomplete, Stand

COMMANDS = """\
gcc -c a.c -o a.o
gcc -g -O2 -pipe -c a.c -o a.o
gcc -S a.c -o a.s
gcc -E a.c -o a.i
gcc -M a.c -o a.d
gcc -MMD -MF a.d -c a.c -o a.o
gcc -g -gsplit-dwarf -c a.c -o a.o
gcc -fprofile-arcs -ftest-coverage -c a.c -o a.o
gcc -flto -c a.c -o a.o
gcc -Iinc -include b.h -c a.c -o a.o
gcc --sysroot=inc -Iinc -c n.c -o n.o
gcc -isystem inc -iquote . -idirafter out -c a.c -o a.o
gcc -Wall -Wextra -c warn.c -o warn.o
gcc -c s.s -o s.o
gcc -c s.S -o s.o
gcc -x assembler-with-cpp -c s.s -o s.o
gcc -save-temps=obj -c a.c -o a.o
gcc -fcallgraph-info -fstack-usage -c a.c -o a.o
gcc -Wp,-MD,a.d -Wa,-I,inc -c a.c -o a.o
gcc -std=c89 -ansi -c n.c -o n.o
g++ -c b.cc -o b.o
g++ -g -O2 -std=c++20 -c b.cc -o b.o
g++ -x c++-header -fsyntax-only b.h
clang -c a.c -o a.o
clang -g -gsplit-dwarf -c a.c -o a.o
clang -S -emit-llvm a.c -o a.ll
clang -E a.c -o a.i
clang -MMD -c a.c -o a.o
clang -fno-integrated-as -c a.c -o a.o
clang -Iinc -include b.h -c a.c -o a.o
clang -flto -c a.c -o a.o
clang -Wall -c warn.c -o warn.o
clang --target=aarch64-linux-gnu -c n.c -o n.o
clang -c s.s -o s.o
clang -x assembler-with-cpp -c s.s -o s.o
clang++ -c b.cc -o b.o
clang++ -g -O2 -std=c++17 -c b.cc -o b.o
"""
FILES = {
    "a.c": '#include <stdio.h>\n#include <stdlib.h>\nint a(void) { return printf("x"); }\n',
    "n.c": "int n;\n",
    "b.h": "#pragma once\nint b;\n",
    "warn.c": "int f(void) { int unused; return x; }\n",
    "s.s": ".globl s\ns: ret\n",
    "s.S": "#define S s\n.globl S\nS: ret\n",
    "b.cc": "#include <map>\n#include <string>\nint b() { return std::map<int, std::string>().size(); }\n",
    "inc/.keep": "",
    "out/.keep": "",
}
TABLE = [
    line
    for line in lines(Path(__file__).parents[1] / "conformance/conformance.yaml")
    if line.stdin is None and line.terminal is None and not line.before and not line.together
]
SOME = TABLE[:: len(TABLE) // 300]
"""Of the command lines that a farm is tested with: from every topic, and of every compiler."""
UNSEEN = re.compile(
    # the dynamic loader's search: the libraries are the toolchain's own, known by their digests
    r".*\.so(\.[0-9.]+)?$|/etc/ld\.so\.(cache|preload|nohwcap)|.*/glibc-hwcaps(/.*)?|.*/(tls|haswell|x86_64|avx512_1)/?$"
    # read inside libc: the client translates locales and the time zone
    r"|.*/(locale|locale-langpack|gconv|charset\.alias|LC_[A-Z]+)(/.*)?"
    r"|/etc/localtime|/usr/share/zoneinfo(/.*)?"
    # names of temporary files
    r"|.*/st[A-Za-z0-9]{6}$|.*-[0-9a-f]{8}(\.[^/]*)?\.tmp$|.*/cc[A-Za-z0-9]{6}(\..*)?$"
    r"|/lib/lib|/proc/self/.*|/sys/.*|/proc/(meminfo|cpuinfo|version.*)"
)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    made = Stand(tmp_path_factory.mktemp("witness"))
    put(made.place, FILES)
    return made


@pytest.fixture
def beside(stand: Stand) -> Iterator[Path]:
    """A directory of its own beside the common files."""
    folder = stand.place / "beside"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def paths(stand: Stand, questions: Sequence[Question], cwd: str = "") -> set[str]:
    kinds = {Kind.NAME, Kind.LINK, Kind.ALLOWED, Kind.DIRECTORY, Kind.WRITTEN, Kind.PROGRAM}
    return {stand.normal(os.fsdecode(each.text), cwd) for each in questions if each.kind in kinds}


def unwitnessed(stand: Stand, command: Sequence[str], cwd: str = "", env: dict[str, str] | None = None) -> set[str]:
    """What the kernel was asked for and the witness has not, but for what it cannot see."""
    _, questions = stand.asked(*command, cwd=cwd, env=env)
    # What strace itself looks for before the compiler runs: its program along PATH, and the working directory.
    own = {*(f"{folder}/{command[0]}" for folder in os.environ["PATH"].split(":")), os.path.realpath(stand.place / cwd)}
    missing = stand.traced(*command, cwd=cwd, env=env) - paths(stand, questions, cwd) - own
    return {path for path in missing if not UNSEEN.match(path) and not path.startswith(str(stand.own))}


OTHER_VERSIONS = {"gcc": "gcc-11", "g++": "g++-11", "clang": "clang-19", "clang++": "clang++-19"}


def of_other_versions() -> list[str]:
    """The same commands with other versions of the compilers."""
    called = [command.partition(" ") for command in COMMANDS.splitlines()]
    return [f"{OTHER_VERSIONS[program]} {rest}" for program, _, rest in called if program in OTHER_VERSIONS]


@pytest.mark.parametrize("command", [*COMMANDS.splitlines(), *of_other_versions()])
def test_every_name_that_the_kernel_is_asked_for_is_witnessed(stand: Stand, command: str) -> None:
    assert unwitnessed(stand, shlex.split(command)) == set()


@pytest.mark.parametrize("line", SOME, ids=lambda line: line.name)
def test_also_of_the_command_lines_that_a_farm_is_tested_with(stand: Stand, beside: Path, line: Line) -> None:
    put(beside, line.files)
    command = [word.replace("PLACE", str(beside)) for word in line.run]
    env = {name: value.replace("PLACE", str(beside)) for name, value in line.env.items() if value is not None}
    assert unwitnessed(stand, command, f"beside/{line.cwd}", env) == set()


@pytest.mark.parametrize(
    "command",
    [f"{program} -c a.c -o a.o" for program in ("gcc", "gcc-11", "clang", "clang-19")] + ["g++ -g -c b.cc -o b.o"],
)
def test_it_changes_nothing_and_asks_the_same_each_time(stand: Stand, command: str) -> None:
    words = shlex.split(command)
    alone = stand.alone(*words)
    object_ = (stand.place / words[-1]).read_bytes()
    printed, questions = stand.asked(*words)
    assert printed == alone
    assert (stand.place / words[-1]).read_bytes() == object_
    assert stand.asked(*words)[1] == questions


def test_a_program_that_cannot_load_it_is_noticed(stand: Stand) -> None:
    (stand.place / "static.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(("gcc", "-static", "static.c", "-o", "static"), cwd=stand.place, check=True)
    with pytest.raises(Incomplete):
        stand.asked("/bin/sh", "-c", "./static; exit 0")
    with pytest.raises(Incomplete):
        stand.asked("./static")


def test_it_is_not_in_the_environment_that_programs_see(stand: Stand) -> None:
    code = "import ctypes; c = ctypes.CDLL(None); c.getenv.restype = ctypes.c_char_p; print(c.getenv(b'LD_PRELOAD'))"
    printed, questions = stand.asked(sys.executable, "-I", "-c", code)
    assert printed == b"0\nNone\n"
    assert b"LD_PRELOAD" not in {question.text for question in questions}
