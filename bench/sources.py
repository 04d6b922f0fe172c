"""What is compiled: generated files, the same for all that are compared."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

_STANDARD = (
    *("algorithm", "deque", "functional", "iostream", "list", "map", "memory"),
    *("set", "sstream", "string", "unordered_map", "vector"),
)
_HEADERS = 50
_HEADERS_OF_A_FILE = 10
_FUNCTIONS_OF_A_HEADER = 40


@dataclass(frozen=True, slots=True)
class Sources:
    """A folder, its files, and how they are compiled."""

    where: Path
    files: tuple[str, ...]
    compiler: str
    flags: tuple[str, ...]

    def command(self, name: str, target: Path | str) -> list[str]:
        return [self.compiler, *self.flags, "-c", name, "-o", str(target)]


def small_c(where: Path, files: int, mark: str = "") -> Sources:
    """Small C files that each include ten of fifty headers. `mark` changes the bytes of every file, nothing else."""
    rng = random.Random(3643)
    (where / "include").mkdir(parents=True)
    for number in range(_HEADERS):
        (where / f"include/part{number}.h").write_text(_header(number, rng, mark))
    names = tuple(f"unit{number}.c" for number in range(files))
    for number, name in enumerate(names):
        used = rng.sample(range(_HEADERS), _HEADERS_OF_A_FILE)
        lines = [f"/* {mark} */", "#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>"]
        lines += [f'#include "part{header}.h"' for header in used]
        terms = " + ".join(f"part{header}_{rng.randrange(_FUNCTIONS_OF_A_HEADER)}(x)" for header in used)
        lines.append(f"int unit{number}(int x)\n{{\n    return {terms};\n}}")
        (where / name).write_text("\n".join(lines) + "\n")
    return Sources(where, names, "gcc", ("-O2", "-Iinclude"))


def _header(number: int, rng: random.Random, mark: str) -> str:
    lines = [f"/* {mark} */", f"#ifndef PART{number}_H", f"#define PART{number}_H"]
    if number:
        lines.append(f'#include "part{rng.randrange(number)}.h"')
    lines += [
        f"static inline int part{number}_{function}(int x) {{ return (x ^ {function}) * {number + 3}; }}"
        for function in range(_FUNCTIONS_OF_A_HEADER)
    ]
    return "\n".join([*lines, "#endif"]) + "\n"


def cplusplus(where: Path, files: int = 1, mark: str = "") -> Sources:
    """C++ files that read some 240 headers, one of them the project's own."""
    where.mkdir(parents=True)
    (where / "own.h").write_text(f"// {mark}\n#pragma once\ninline int own(int x) {{ return x + 1; }}\n")
    names = tuple(f"unit{number}.cc" for number in range(files))
    for number, name in enumerate(names):
        lines = [
            f"// {mark}",
            *(f"#include <{header}>" for header in _STANDARD),
            '#include "own.h"',
            _BODY % (number, number),
        ]
        (where / name).write_text("\n".join(lines))
    return Sources(where, names, "g++", ("-O2", "-std=c++17"))


_BODY = """
int unit%d(const std::string &text) {
    std::map<std::string, std::vector<int>> seen;
    for (char letter : text) seen[std::string(2, letter)].push_back(own(letter));
    std::ostringstream out;
    for (auto &entry : seen) {
        std::sort(entry.second.begin(), entry.second.end());
        out << entry.first << entry.second.size();
    }
    return static_cast<int>(out.str().size() + std::set<int>{1, %d}.size());
}
"""


def makefile(sources: Sources, where: Path) -> Path:
    """A makefile that makes every object of `sources` below $(O) with $(CC)."""
    path = where / "objects.mk"
    rules = [f"all: {' '.join(f'$(O)/{name}.o' for name in sources.files)}\n"]
    flags = " ".join(sources.flags)
    rules += [f"$(O)/{name}.o: {name}\n\t@$(CC) {flags} -c {name} -o $@\n" for name in sources.files]
    path.write_text("\n".join(rules))
    return path
