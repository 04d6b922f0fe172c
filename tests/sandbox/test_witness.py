"""The witness in front of real compilers: it sees what the kernel sees, and is not to be seen itself."""

import os
import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from securecc.compiler.questions import Kind, Question, parse
from securecc.runner.witness_log import SIZE

SOURCES = Path(__file__).parents[2] / "securecc/sandbox/witness"
HEADER = struct.Struct("=IIQQQII24x")
FORM = int.from_bytes(b"SCW1", "little")
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
UNSEEN = re.compile(
    r".*\.so(\.[0-9.]+)?$|/etc/ld\.so\.(cache|preload|nohwcap)|.*/glibc-hwcaps(/.*)?|.*/(tls|haswell|x86_64|avx512_1)/?$"
    # the dynamic loader's search: the libraries are the toolchain's own, known by their digests
    # read inside libc: the client translates locales
    r"|.*/(locale|locale-langpack|gconv|charset\.alias|LC_[A-Z]+)(/.*)?"
    # names of temporary files
    r"|.*/st[A-Za-z0-9]{6}$|.*-[0-9a-f]{8}\.(o|ll|s|i|dwo|bc)\.tmp$|.*/cc[A-Za-z0-9]{6}(\..*)?$"
    r"|/lib/lib|/proc/self/.*|/sys/.*|/proc/(meminfo|cpuinfo|version.*)"
)


class Stand:
    """Sources, and a witness whose log and temporary files are in a directory of the test's."""

    def __init__(self, top: Path) -> None:
        self.place, self.own = top / "w", top / "job"
        for folder in (self.place, self.own / "tmp", self.place / "inc", self.place / "out"):
            folder.mkdir(parents=True)
        files = {
            "a.c": '#include <stdio.h>\n#include <stdlib.h>\nint a(void) { return printf("x"); }\n',
            "n.c": "int n;\n",
            "b.h": "#pragma once\nint b;\n",
            "warn.c": "int f(void) { int unused; return x; }\n",
            "s.s": ".globl s\ns: ret\n",
            "s.S": "#define S s\n.globl S\nS: ret\n",
            "b.cc": "#include <map>\n#include <string>\nint b() { return std::map<int, std::string>().size(); }\n",
        }
        for name, text in files.items():
            (self.place / name).write_text(text)
        self.library, self.log = top / "witness.so", self.own / "witness"
        sources = [str(path) for path in SOURCES.glob("*.c")]
        options = ("-shared", "-fPIC", "-O2", "-fvisibility=hidden", "-fno-builtin", "-nostdlib")
        where = f'-DFOLDER_OF_JOB="{self.own}/"'
        more = ("-fno-tree-loop-distribute-patterns", "-fno-stack-protector", "-U_FORTIFY_SOURCE", where)
        subprocess.run(("gcc", *options, *more, "-o", str(self.library), *sources), check=True)

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C", "TMPDIR": str(self.own / "tmp"), **more}

    def asked(self, *command: str) -> tuple[subprocess.CompletedProcess[bytes], tuple[Question, ...]]:
        """What a command asks, each question once."""
        capacity = SIZE - HEADER.size
        with self.log.open("wb") as file:
            file.write(HEADER.pack(FORM, 0, capacity, 0, 0, 0, 0))
            file.truncate(SIZE)
        environment = self.environment(LD_PRELOAD=str(self.library))
        done = subprocess.run(command, cwd=self.place, env=environment, capture_output=True, check=False)
        data = self.log.read_bytes()
        _, overflow, _, taken, finished, begun, started = HEADER.unpack_from(data)
        assert (overflow, taken, begun) == (0, finished, started + 1)
        records = data[HEADER.size : HEADER.size + taken].split(b"\0")[:-1]
        return done, parse(b"\0".join(sorted(set(records))))

    def traced(self, *command: str) -> set[str]:
        """The paths of a command's system calls, normalised."""
        trace = self.own / "trace"
        calls = ("strace", "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o", str(trace))
        subprocess.run((*calls, *command), cwd=self.place, env=self.environment(), capture_output=True, check=False)
        lines = trace.read_text(errors="surrogateescape").splitlines()
        found = (re.search(r'\w+\((?:AT_FDCWD, )?"((?:[^"\\]|\\.)*)"', line) for line in lines)
        return {self.normal(match[1]) for match in found if match}

    def normal(self, path: str) -> str:
        return os.path.normpath(os.path.join(self.place, path))


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return Stand(tmp_path_factory.mktemp("witness"))


def paths(stand: Stand, questions: Sequence[Question]) -> set[str]:
    kinds = {Kind.NAME, Kind.LINK, Kind.ALLOWED, Kind.DIRECTORY, Kind.WRITTEN, Kind.PROGRAM}
    return {stand.normal(os.fsdecode(each.text)) for each in questions if each.kind in kinds}


@pytest.mark.parametrize("command", COMMANDS.splitlines())
def test_every_name_that_the_kernel_is_asked_for_is_witnessed(stand: Stand, command: str) -> None:
    words = shlex.split(command)
    _, questions = stand.asked(*words)
    # What strace itself looks for before the compiler runs: its program along PATH, and the working directory.
    own = {*(f"{folder}/{words[0]}" for folder in os.environ["PATH"].split(":")), str(stand.place)}
    missing = stand.traced(*words) - paths(stand, questions) - own
    assert {path for path in missing if not UNSEEN.match(path) and not path.startswith(str(stand.own))} == set()


@pytest.mark.parametrize("command", ["gcc -c a.c -o a.o", "g++ -g -c b.cc -o b.o", "clang -c a.c -o a.o"])
def test_it_changes_nothing_and_asks_the_same_each_time(stand: Stand, command: str) -> None:
    words = shlex.split(command)
    alone = subprocess.run(words, cwd=stand.place, env=stand.environment(), capture_output=True, check=True)
    object_ = (stand.place / words[-1]).read_bytes()
    first, questions = stand.asked(*words)
    assert (first.stdout, first.stderr) == (alone.stdout, alone.stderr)
    assert (stand.place / words[-1]).read_bytes() == object_
    assert stand.asked(*words)[1] == questions


def test_a_program_that_cannot_load_it_is_noticed(stand: Stand) -> None:
    (stand.place / "static.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(("gcc", "-static", "static.c", "-o", "static"), cwd=stand.place, check=True)
    with pytest.raises(AssertionError):
        stand.asked("/bin/sh", "-c", "./static; exit 0")
    with pytest.raises(AssertionError):
        stand.asked("./static")


def test_it_is_not_in_the_environment_that_programs_see(stand: Stand) -> None:
    code = "import ctypes; c = ctypes.CDLL(None); c.getenv.restype = ctypes.c_char_p; print(c.getenv(b'LD_PRELOAD'))"
    done, questions = stand.asked(sys.executable, "-I", "-c", code)
    assert done.stdout == b"None\n"
    assert b"LD_PRELOAD" not in {question.text for question in questions}
