"""What environment and terminal decide: each changes what the compiler alone says or makes, and securecc as well."""

from pathlib import Path

import pytest

from tests.farm.farmside import Farm
from tests.farm.twins import Terminal, Twins

WARNS = {
    "a.c": 'int f(unsigned u) { const char *name = "grüße"; if (u < 0) return 1; return undeclared_function(u); }\n'
}
WARN = ("gcc", "-Wall", "-Wextra", "-c", "a.c")
LONG = {
    "a.c": "int f(int first_argument_of_many, int second_argument_of_many) { return first_argument_of_many == "
    "second_argument_of_many ? not_declared_anywhere_at_all(first_argument_of_many, second_argument_of_many) : 1; }\n"
}


@pytest.fixture
def twins(farm: Farm, tmp_path: Path) -> Twins:
    return Twins(farm, tmp_path / "w")


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C.UTF-8"},
        {"LC_ALL": None, "LANG": "C.UTF-8"},
        {"LC_ALL": None, "LC_CTYPE": "C.UTF-8"},
        {"LC_ALL": "", "LANG": "C.UTF-8"},
    ],
    ids=str,
)
def test_quotes_of_the_locale(twins: Twins, env: dict[str, str | None]) -> None:
    assert twins.same(WARNS, *WARN, env=env).err != twins.same(WARNS, *WARN).err


@pytest.mark.parametrize(
    "env", [{"LANG": "xx_YY.UTF-8", "LC_ALL": None}, {"LC_ALL": "nonsense"}, {"LC_ALL": "POSIX"}], ids=str
)
def test_locales_that_there_are_not(twins: Twins, env: dict[str, str | None]) -> None:
    assert twins.same(WARNS, *WARN, env=env).err == twins.same(WARNS, *WARN).err


@pytest.mark.parametrize(
    "env",
    [
        {"COLUMNS": "60"},
        {"COLUMNS": "200"},
        {"TERM": "dumb"},
        {"TERM": None},
        {"TERM": "xterm-256color"},
        {"GCC_COLORS": ""},
        {"GCC_COLORS": "warning=01;32:quote=4"},
        {"GCC_URLS": "st"},
        {"GCC_URLS": "bel"},
        {"GCC_URLS": "no"},
        {"TERM_URLS": "st"},
        {"TERM": "linux", "COLORTERM": "truecolor"},
        {"LC_ALL": "C.UTF-8"},
    ],
    ids=str,
)
def test_a_terminal(twins: Twins, env: dict[str, str | None]) -> None:
    env = {"TERM": "xterm", **env}
    alone = twins.same(LONG, *WARN, env=env, terminal=Terminal())
    assert alone.err


@pytest.mark.parametrize("columns", [0, 40, 80, 132, 300])
@pytest.mark.parametrize("descriptors", [{0, 1, 2}, {2}, {0}, {0, 2}, {1}], ids=str)
def test_which_descriptors_are_a_terminal_and_how_wide(twins: Twins, descriptors: set[int], columns: int) -> None:
    terminal = Terminal(frozenset(descriptors), columns)
    twins.same(LONG, *WARN, env={"TERM": "xterm"}, terminal=terminal)


def test_the_terminal_decides_on_colour_and_width(twins: Twins) -> None:
    env = {"TERM": "xterm"}
    said = {
        twins.same(LONG, *WARN, env=env, terminal=terminal).err.replace(b"\r\n", b"\n")
        for terminal in (None, Terminal(columns=40), Terminal(columns=300))
    }
    assert len(said) == 3


@pytest.mark.parametrize("name", ["CPATH", "C_INCLUDE_PATH"])
def test_directories_named_by_the_environment(twins: Twins, name: str) -> None:
    files = {"a.c": "#include <c.h>\nint a = V;\n", "i1/c.h": "#define V 1\n", "i2/c.h": "#define V 2\n"}
    command = ("gcc", "-c", "a.c")
    twins.make(files)
    listed = twins.listed(*command, env={name: "i1"})
    status, _ = twins.naive(listed, *command)
    assert status == 1
    one, other = (twins.same(files, *command, env={name: path}) for path in ("i1:nowhere", "nowhere:i2:i1"))
    assert one.files[b"a.o"] != other.files[b"a.o"]


def test_an_empty_part_of_cpath_is_the_working_directory(twins: Twins) -> None:
    files = {"sub/a.c": "#include <c.h>\nint a = V;\n", "c.h": "#define V 1\n"}
    for path in (":i1", "i1:", "i1::i2"):
        twins.same(files, "gcc", "-c", "sub/a.c", "-o", "a.o", env={"CPATH": path})


def test_each_language_has_its_directories(twins: Twins) -> None:
    files = {"a.c": "#include <c.h>\nint a = V;\n", "i1/c.h": "#define V 1\n", "i2/c.h": "#define V 2\n"}
    env = {"C_INCLUDE_PATH": "i1", "CPLUS_INCLUDE_PATH": "i2"}
    one, other = (twins.same(files, *command, env=env) for command in (("gcc", "-c", "a.c"), ("g++", "-c", "a.c")))
    assert b"a.o" in one.files
    assert b"a.o" in other.files


@pytest.mark.parametrize(
    "name",
    [
        "GCC_EXEC_PREFIX",
        "GCC_COMPARE_DEBUG",
        "COMPILER_PATH",
        "DEPENDENCIES_OUTPUT",
        "SUNPRO_DEPENDENCIES",
        "LD_AUDIT",
        "CCC_OVERRIDE_OPTIONS",
        "POSIXLY_CORRECT",
    ],
)
def test_what_else_decides_stays_local(twins: Twins, name: str) -> None:
    values = {
        "COMPILER_PATH": "/usr/bin",
        "GCC_EXEC_PREFIX": "/usr/lib/gcc/",
        "DEPENDENCIES_OUTPUT": "dep x",
        "SUNPRO_DEPENDENCIES": "dep x",
        "GCC_COMPARE_DEBUG": "-g0",
    }
    twins.farm.forget()
    alone, through = twins.both({"a.c": "int a;\n"}, "gcc", "-c", "a.c", env={name: values.get(name, "1")})
    assert through.seen == alone.seen
    assert f"'{name}' is set".encode() in through.place
    twins.farm.counts("environment")


@pytest.mark.parametrize("epoch", ["", "nonsense", "-1", "99999999999999"])
def test_a_date_that_is_none_stays_local(twins: Twins, epoch: str) -> None:
    alone, through = twins.both({"a.c": "int a;\n"}, "gcc", "-c", "a.c", env={"SOURCE_DATE_EPOCH": epoch})
    assert through.seen == alone.seen
    assert b"SOURCE_DATE_EPOCH" in through.place


def test_the_time_zone_does_not_matter(twins: Twins) -> None:
    text = {"a.c": "const char *t = __DATE__ __TIME__;\n"}
    made = {
        twins.same(text, "gcc", "-c", "a.c", env={"TZ": zone, "SOURCE_DATE_EPOCH": "86399"}).files[b"a.o"]
        for zone in ("UTC", "XXX-14", "XXX+11")
    }
    assert len(made) == 1
