"""A CMake project with securecc as compiler launcher: every object is the one that CMake makes without it."""

import shutil
from pathlib import Path

from tests.farm.farmside import Farm, until
from tests.farm.twins import put

PROJECT = {
    "CMakeLists.txt": """cmake_minimum_required(VERSION 3.16)
project(sample C CXX)
set(CMAKE_CXX_STANDARD 17)
configure_file(version.h.in version.h)
add_library(one STATIC src/a.c src/b.c "src/with space.c")
target_include_directories(one PUBLIC include ${CMAKE_CURRENT_BINARY_DIR})
target_compile_options(one PRIVATE -Wall -Wextra)
add_custom_command(OUTPUT made.c COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_CURRENT_SOURCE_DIR}/made.in made.c
                   DEPENDS made.in)
add_executable(two src/main.cpp src/box.cpp ${CMAKE_CURRENT_BINARY_DIR}/made.c)
target_link_libraries(two one)
""",
    "version.h.in": '#define VERSION "@CMAKE_PROJECT_NAME@ 1"\n',
    "made.in": '#include "one.h"\nint made(void) { return ONE; }\n',
    "include/one.h": '#pragma once\n#define ONE 1\n#ifdef __cplusplus\nextern "C" {\n#endif\nint a(void), b(void), '
    "made(void), spaced(void);\n#ifdef __cplusplus\n}\n#endif\n",
    "src/a.c": '#include "one.h"\n#include <stdio.h>\nint a(void) { int unused; return puts("a"); }\n',
    "src/b.c": '#include <one.h>\n#include "version.h"\n#include <string.h>\nint b(void) { return strlen(VERSION); }\n',
    "src/with space.c": '#include "one.h"\nint spaced(void) { return ONE; }\n',
    "src/box.hpp": "#include <map>\n#include <string>\nint box(const std::map<std::string, int> &all);\n",
    "src/box.cpp": '#include "box.hpp"\nint box(const std::map<std::string, int> &all) { return all.at("b"); }\n',
    "src/main.cpp": '#include "box.hpp"\n#include "one.h"\n'
    'int main() { return box({{"b", b()}}) + made() + spaced() + a() - 12; }\n',
}
SOURCES = 6


def built(farm: Farm, folder: Path, *options: str) -> tuple[dict[str, bytes], list[str]]:
    shutil.rmtree(folder, ignore_errors=True)
    put(folder, PROJECT)
    steps = (
        ("cmake", "-S", ".", "-B", "out", "-G", "Unix Makefiles", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", *options),
        ("cmake", "--build", "out", "-j2"),
        ("out/two",),
    )
    said = []
    for step in steps:
        done = farm.run(*step, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        said += [line for line in done.stderr.splitlines() if "warning:" in line]
    objects = {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("out/CMakeFiles/*.dir/**/*.o*")}
    return objects, said


def test_a_cmake_project(farm: Farm, tmp_path: Path) -> None:
    launchers = [f"-DCMAKE_{language}_COMPILER_LAUNCHER=securecc" for language in ("C", "CXX")]
    alone, warned = built(farm, tmp_path / "p")
    through, said = built(farm, tmp_path / "p", *launchers)
    assert len(alone) == 2 * SOURCES  # with the .o.d of each
    assert through == alone
    assert said == warned != []
    until(lambda: farm.journal()["remote"] >= SOURCES, what="word of every source")
    assert farm.journal()["remote"] == SOURCES
