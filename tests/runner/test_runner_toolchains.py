"""Several compilers in one runner: each makes in its sandbox what it makes outside."""

# ruff: noqa: ASYNC221 - these loops have nothing else to do

import asyncio
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.runnerside import Runner, from_disk, headers

C = b"#include <stddef.h>\n#include <string.h>\nsize_t n(const char *s) { return strlen(s) + sizeof(max_align_t); }\n"
CPP = b"#include <vector>\nint sum(const std::vector<int> &v) { int s = 0; for (int i : v) s += i; return s; }\n"
OFFERED = [
    path for path in ("/usr/bin/gcc", "/usr/bin/clang", "/usr/bin/aarch64-linux-gnu-gcc") if os.path.exists(path)
]
COMMANDS = [
    command
    for command in (
        ["/usr/bin/clang", "-O2", "-c", "a.c", "-o", "a.o"],
        ["/usr/bin/clang", "-g", "-c", "a.c", "-o", "a.o"],
        ["/usr/bin/clang", "-g", "-gsplit-dwarf", "-c", "a.c", "-o", "a.o"],
        ["/usr/bin/clang", "-fsanitize=address,undefined", "-g", "-c", "a.c", "-o", "a.o"],
        ["/usr/bin/clang++", "-g", "-c", "a.cpp", "-o", "a.o"],
        ["/usr/bin/clang++", "-O2", "-flto", "-c", "a.cpp", "-o", "a.o"],
        ["/usr/lib/llvm-14/bin/clang++", "-c", "a.cpp", "-o", "a.o"],
        ["/usr/bin/aarch64-linux-gnu-gcc", "-g", "-O2", "-c", "a.c", "-o", "a.o"],
        ["/usr/bin/aarch64-linux-gnu-g++", "-g", "-c", "a.cpp", "-o", "a.o"],
        ["/usr/bin/gcc", "-g", "-gsplit-dwarf", "-c", "a.c", "-o", "a.o"],
        ["/usr/bin/gcc", "-O2", "-flto", "-frandom-seed=1", "-c", "a.c", "-o", "a.o"],
        ["/usr/bin/gcc", "-finput-charset=ISO-8859-15", "-fexec-charset=IBM1047", "-c", "a.c", "-o", "a.o"],
    )
    if os.path.exists(command[0])
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "a.c").write_bytes(C)
    (folder / "a.cpp").write_bytes(CPP)
    return folder


def tree_of(command: list[str], cwd: Path) -> dict[bytes, Any]:
    """What the client would send: the files that the compiler reads, and the directories that it looks into."""
    said = subprocess.run([*command, "-v"], cwd=cwd, capture_output=True, check=True).stderr
    _, _, listing = said.partition(b"search starts here:\n#include <...>")
    found = [os.path.normpath(line.strip()) for line in listing.partition(b"End of")[0].splitlines()[1:]]
    # -M names lists of the compiler's own as well, which are no headers and do not travel.
    read = [path for path in headers(command, cwd) if b"/clang/" not in path or b"/share/" not in path]
    tree = from_disk(read, os.fsencode(cwd))
    return tree | {path: None for path in found if path not in tree}


def driven(said: bytes) -> list[bytes]:
    """The programs that a driver starts, as it prints them, temporary names aside."""
    lines = [line for line in said.splitlines() if re.search(rb" -cc1 |/cc1(plus)? ", line)]  # never /tmp/cc1Xyz.s
    return [re.sub(rb"/\S*/cc\w+\.s", b"TEMPORARY", line) for line in lines]


def test_objects_and_search_are_those_of_a_local_run(project: Path) -> None:
    async def body() -> None:
        async with Runner(compilers=OFFERED) as runner:
            assert len(runner.ready.toolchains) == len(OFFERED)
            for command in COMMANDS:
                offer = next(o for o in runner.ready.toolchains if os.fsencode(command[0]) in o.called_by)
                local = subprocess.run([*command, "-v"], cwd=project, capture_output=True, check=True)
                made = {name: (project / name).read_bytes() for name in ("a.o", "a.dwo") if (project / name).exists()}
                for name in made:
                    (project / name).unlink()
                outcome = await runner.run(
                    [*map(os.fsencode, command), b"-v"],
                    tree_of(command, project),
                    cwd=os.fsencode(project),
                    toolchain=offer.digest,
                )
                for name in made:
                    (project / name).unlink(missing_ok=True)
                assert outcome.report.status == 0, outcome.stderr
                assert {os.path.basename(path).decode(): c for path, c in outcome.made.items()} == made, command
                assert driven(outcome.stderr) == driven(local.stderr)
                assert driven(local.stderr)

    asyncio.run(body())
