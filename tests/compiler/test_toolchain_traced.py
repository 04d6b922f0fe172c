"""Compiles traced with strace(1): no file of the toolchain that they open, run or find is missing from the closure."""

import os
import re
import shutil
import stat
import subprocess
from typing import Any

import pytest

from securecc.client.host import gcc_installations
from securecc.compiler.toolchain.discovery import discover

PATH = b"/usr/local/bin:/usr/bin:/bin"
CALL = re.compile(rb'^(?:\d+ +)?(\w+)\((?:AT_FDCWD, |\d+, )?"((?:[^"\\]|\\.)*)".* = (?!-1)\d+', re.MULTILINE)
SOURCE = b"#include <stddef.h>\nstruct s { int a; };\nint f(struct s *p) { return p->a; }\n"

EXEMPT = {
    rb"/(proc|dev|sys|etc)/": "the machine's own: the sandbox has no /etc and no /proc",
    rb"/usr/share/locale/locale\.alias$": "names of locales other than C and C.UTF-8, which alone travel",
    rb"(/usr/local/(cuda|bin/ptxas)|/opt/)": "clang prints what it finds of CUDA and ROCm with -v, and uses it for"
    " languages that stay local",
}

COMMANDS = [
    ["/usr/bin/gcc", "-c", "a.c"],
    ["/usr/bin/gcc", "-g", "-O2", "-gsplit-dwarf", "-MD", "-c", "a.c"],
    ["/usr/bin/gcc", "-O2", "-flto", "-ffat-lto-objects", "-c", "a.c"],
    ["/usr/bin/gcc", "-fprofile-arcs", "-ftest-coverage", "-fsanitize=address,undefined", "-pg", "-c", "a.c"],
    ["/usr/bin/gcc", "-finput-charset=KOI8-R", "-fexec-charset=UTF-16", "-fwide-exec-charset=UCS-4LE", "-c", "a.c"],
    ["/usr/bin/gcc", "-m32", "-c", "-x", "c", "b.c"],
    ["/usr/bin/gcc", "-S", "-fverbose-asm", "a.c"],
    ["/usr/bin/g++", "-g", "-std=c++20", "-c", "a.cpp"],
    ["/usr/bin/gcc", "-c", "a.m"],
    ["/usr/bin/gcc", "-c", "a.mm"],
    ["/usr/bin/gcc", "-c", "error.c"],
    ["/usr/bin/clang", "-c", "a.c"],
    ["/usr/bin/clang", "-g", "-O2", "-gsplit-dwarf", "-MD", "-c", "a.c"],
    ["/usr/bin/clang", "-flto", "-fsanitize=address,undefined", "-c", "a.c"],
    ["/usr/bin/clang", "-fsanitize=memory", "-fprofile-instr-generate", "-fcoverage-mapping", "-c", "a.c"],
    ["/usr/bin/clang++", "-g", "-std=c++20", "-c", "a.cpp"],
    ["/usr/bin/clang", "-c", "error.c"],
    ["/usr/bin/aarch64-linux-gnu-gcc", "-g", "-gsplit-dwarf", "-c", "a.c"],
    ["/usr/bin/aarch64-linux-gnu-g++", "-O2", "-c", "a.cpp"],
]
here = [command for command in COMMANDS if os.path.exists(command[0])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("traced")
    sources = dict.fromkeys(("a.c", "a.cpp", "a.m", "a.mm"), SOURCE)
    for name, text in {**sources, "b.c": b"int x;\n", "error.c": b"int x = y;\n"}.items():
        (folder / name).write_bytes(text)
    return folder


@pytest.fixture(scope="module")
def closures() -> Any:
    found: dict[Any, Any] = {}
    return lambda path: found.get(path) or found.setdefault(path, discover(path.encode(), PATH))


def touched(trace: Any) -> Any:
    """The files that a traced run had any success with, as they really are, exempt ones aside."""
    found = set()
    for call, name in CALL.findall(trace):
        path = name.decode("unicode_escape").encode("latin-1")
        exempt = any(re.match(pattern, path) for pattern in EXEMPT)
        if path.startswith(b"/") and not exempt and call not in {b"unlink", b"rename"} and os.path.lexists(path):
            real = os.path.realpath(path)
            if os.path.lexists(real) and not stat.S_ISDIR(os.lstat(real).st_mode):
                found.add(real)
    return found


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("command", here, ids=" ".join)
def test_no_file_of_the_toolchain_is_missing(folder: Any, closures: Any, command: str, locale: Any) -> None:
    trace = folder / "trace"
    subprocess.run(
        ["strace", "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o", trace, *command],
        cwd=folder,
        env={"PATH": PATH.decode(), "LC_ALL": locale, "TMPDIR": str(folder)},
        capture_output=True,
        check=False,
    )
    closure = closures(command[0])
    seen = touched(trace.read_bytes())
    known = {file.path for file in closure.files} | set(gcc_installations.marks(closure))
    missing = {
        path
        for path in seen - known
        if not path.startswith(os.fsencode(folder))
        and not any(path.startswith(include + b"/") for include in closure.include_directories)
    }
    assert not missing
    assert len(seen & known) >= 5  # the trace was one
