"""compiler.command_line.compile_plan: the table of command lines, and what real gcc makes of the accepted ones."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.compiler.command_line import compile_plan, option_table
from securecc.compiler.command_line.compile_plan import SearchOption, dependency_command, is_probe, parse, parse_command
from securecc.compiler.source import dependency_output
from securecc.model import limits
from securecc.model.errors import StaysLocal
from tests.waiting import CEILING_S


def split(command: str) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in shlex.split(command))


def table() -> Iterator[Any]:
    for line in (Path(__file__).parent / "commands.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            meaning, _, command = line.partition(" : ")
            yield pytest.param(meaning.split(), command, id=command[:60])


ROWS = list(table())
REMOTE = [row for row in ROWS if not row.values[0][0].startswith("!")]
LOCAL = [row for row in ROWS if row.values[0][0].startswith("!")]


def test_table_is_large_enough() -> None:
    assert len(ROWS) >= 150


@pytest.mark.parametrize(("meaning", "command"), REMOTE)
def test_remote(meaning: Any, command: str) -> None:
    plan = parse(split(command))
    assert [plan.language, *(output.decode() for output in plan.outputs)] == meaning
    assert plan.output == plan.outputs[0]
    assert plan.arguments == split(command)


@pytest.mark.parametrize(("meaning", "command"), LOCAL)
def test_local(meaning: Any, command: str) -> None:
    with pytest.raises(StaysLocal) as caught:
        parse(split(command))
    assert "!" + caught.value.reason == meaning[0]
    assert str(caught.value).isprintable()


def test_plan_keeps_search_and_macros_in_order() -> None:
    plan = parse(split("gcc -I . -DA -isystems -include c.h -UB -iquote q --sysroot=/r -Wp,-DC,-UD -c d/a.c"))
    assert plan.search_options == (
        SearchOption(b"-I", b"."),
        SearchOption(b"-isystem", b"s"),
        SearchOption(b"-iquote", b"q"),
        SearchOption(b"--sysroot", b"/r"),
    )
    assert plan.forced_includes == (SearchOption(b"-include", b"c.h"),)
    assert plan.macros == (b"DA", b"UB", b"DC", b"UD")
    assert (plan.compiler, plan.driver_language, plan.source) == (b"gcc", "c", b"d/a.c")


def test_dependency_command_keeps_what_decides_what_is_read() -> None:
    plan = parse(split("gcc -O2 -MD -MF x -MT y -MP -Wp,-DA -Wl,-z -lm -L . -x c -c a.c -o o/a.o -fstack-usage -g"))
    assert dependency_command(plan) == split("gcc -O2 -Wp,-DA -x c a.c -g -M")


def test_sizes_are_bounded() -> None:
    for arguments in (
        (b"gcc", b"-c", b"a.c", *[b"-O2"] * limits.ARGUMENTS),
        (b"gcc", b"-c", b"a.c", b"-D" + b"x" * limits.ARGUMENT),
        (b"gcc", b"-c", b"a.c", *[b"-D" + b"x" * 100_000] * 11),
    ):
        with pytest.raises(StaysLocal) as caught:
            parse(arguments)
        assert caught.value.reason == "limit"


@pytest.mark.parametrize("arguments", [(), (b"gc\0/gcc", b"-c", b"a.c"), (b"gcc", b"-c", b"a\0.c"), (b"",)])
def test_words_that_are_none(arguments: Any) -> None:
    with pytest.raises(StaysLocal):
        parse(arguments)


def test_messages_are_short_and_printable() -> None:
    with pytest.raises(StaysLocal) as caught:
        parse((b"gcc", b"-c", b"\x1b[31m\n" + b"x" * 100_000))
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("source", "cwd", "probe"),
    [
        ("conftest.c", b"/src", True),
        ("conftest.cpp", b"/src", True),
        ("/b/CMakeFiles/CMakeScratch/TryCompile-x/src.c", b"/b", True),
        ("src.c", b"/b/CMakeFiles/CMakeTmp", True),
        ("testfile.c", b"/b/meson-private/tmpx", True),
        ("CMakeCCompilerId.c", b"/b", True),
        ("/dev/null", b"/src", True),
        ("a.c", b"/src", False),
        ("conftester.c", b"/src", False),
    ],
)
def test_probes(source: Any, cwd: Any, probe: Any) -> None:
    assert is_probe(parse(split(f"gcc -x c -c {source}")), cwd) is probe


WORDS = sorted(
    {word for row in ROWS for word in split(row.values[1])}
    | {row.name for row in list(option_table.table("gcc").exact.values())[::40]}
    | {b"-o", b"-x", b"-D", b"@f", b"-", b"", b"\xff\n", b"a.c", b"-c"}
)


@settings(max_examples=150)
@given(st.lists(st.sampled_from(WORDS) | st.binary(max_size=12), max_size=12))
def test_anything_is_a_plan_or_stays_local(words: Any) -> None:
    for arguments in ((b"gcc", *words), (b"g++", b"-c", b"a.c", *words)):
        try:
            plan = parse(tuple(arguments))
        except StaysLocal:
            continue
        else:
            assert plan.source in arguments
            assert len(set(plan.outputs)) == len(plan.outputs)
            assert not any(word.startswith(b"@") for word in dependency_command(plan))


@settings(max_examples=150)
@given(st.lists(st.sampled_from(WORDS), max_size=8), st.sampled_from(["gcc", "clang"]))
def test_the_server_reads_what_the_client_planned(words: Any, family: Any) -> None:
    """It gets the plan's own arguments, and the family from its own toolchain. Nothing in them stands for more."""
    try:
        plan = parse((b"cc", b"-c", b"a.c", *words), family)
    except StaysLocal:
        return
    assert parse(plan.arguments, family) == plan
    assert not any(word.startswith(b"@") or word.endswith(b"=native") for word in plan.arguments)


@pytest.mark.parametrize(
    ("command", "single"),
    [
        ("gcc -c a.c", ["gcc -c a.c"]),
        ("gcc -O2 -c a.c a.c -w", ["gcc -O2 -c a.c -w", "gcc -O2 -c a.c -w"]),
        ("gcc -c a.c -O2 b.c", ["gcc -c a.c -O2", "gcc -c -O2 b.c"]),
        ("gcc -c -x c a.c b.c -I b.c -w", ["gcc -c -x c a.c -I b.c -w", "gcc -c -x c b.c -I b.c -w"]),
        ("gcc -c -x c a.c -x c++ b.c -w", []),
        ("gcc -c a.c b.c -o x.o", []),
        ("gcc -c a.c b.c -MD -MF x", []),
        ("gcc -c a.c b.c -Wp,-MD,x", []),
        ("gcc -c a.c -o b.c", ["gcc -c a.c -o b.c"]),
        ("gcc -c" + " a.c" * (limits.SOURCES + 1), []),
    ],
)
def test_sources_one_by_one(command: str, single: Any) -> None:
    parsed = parse_command(split(command))
    if not single:
        with pytest.raises(StaysLocal, match="compiled by one command"):
            parsed.plans()
        return
    assert parsed.plans() == tuple(parse(split(words)) for words in single)


@pytest.mark.parametrize(
    ("words", "family"),
    [
        ("-m32", "gcc"),
        ("-mabi=ms", "gcc"),
        ("-stdlib=libc++", "clang"),
        ("--target=x", "clang"),
        ("-target x", "clang"),
    ],
)
def test_other_directories_are_noted(words: str, family: Any) -> None:
    """Without asking the compiler nobody knows then where it looks for its headers."""
    assert parse(split(f"cc -c a.c {words}"), family).alters_system_search
    assert not parse(split("cc -c a.c -m64 -O2"), family).alters_system_search


def test_options_in_place_of_those_of_this_processor() -> None:
    command = parse_command(split("gcc -O2 -march=native -m32 --param l1-cache-size=16 -c a.c -I i b.c"))
    assert command.native_options() == split("-march=native -m32 --param l1-cache-size=16")
    with_others = command.with_native_options(split("-march=haswell --param l1-cache-size=32"))
    assert with_others.plans() == tuple(
        parse(split(f"gcc -march=haswell --param l1-cache-size=32 -O2 -c {sources}"))
        for sources in ("a.c -I i", "-I i b.c")
    )
    for options in ("-mtune=native", "-mno-such-option", "-O2", "a.c"):
        with pytest.raises(StaysLocal):
            command.with_native_options(split(options))


def test_families() -> None:
    assert [
        compile_plan.family_of(name) for name in ("gcc-12", b"/usr/bin/x86_64-linux-gnu-g++", "clang-14", b"clang++")
    ] == [
        *("gcc", "gcc", "clang", "clang"),
    ]
    assert parse(split("cc -c -ftime-trace a.c"), "clang").outputs == (b"a.o", b"a.json")
    for name in ("tcc", b"", "clangd", "\udcff"):
        with pytest.raises(StaysLocal):
            compile_plan.family_of(name)


@pytest.mark.parametrize(
    ("command", "listing"),
    [
        ("gcc -c a.s", ""),
        ("gcc -c -O2 a.i", ""),
        ("gcc -O2 -c a.S -DX", "gcc -O2 a.S -DX -M"),
        ("clang -c -x cpp-output -O2 a.i -w", "clang -x cpp-output -O2 -x c a.i -w -M"),
        ("clang++ -c a.ii", "clang++ -x c++ a.ii -M"),
        ("clang -c a.s", ""),
    ],
)
def test_how_to_ask_what_is_read(command: str, listing: Any) -> None:
    assert dependency_command(parse(split(command))) == split(listing)


def run(arguments: Any, folder: Any) -> Any:
    return subprocess.run(arguments, cwd=folder, capture_output=True, timeout=CEILING_S, check=False)


def files(folder: Any) -> Any:
    return {str(path.relative_to(folder)).encode() for path in folder.rglob("*") if path.is_file()}


REAL = [
    "gcc -c a.c",
    "gcc -MD -gsplit-dwarf -fstack-usage --coverage -O2 -c s/a.c -o o/x.lo",
    "gcc -S -MMD -MF z -fstack-usage --coverage s/a.b.c",
    "g++ -c -Wp,-MD,o/.x.d -gsplit-dwarf -fstack-usage s/.x.c -o o/.y",
    "gcc -c -MD -fstack-usage a.c -o o.d/x",
    "gcc -c -MD --coverage a.c -o o/x.",
    "gcc -x c -c -g s/a.h -o o/x.tar.o -MD",
    "gcc -c -fprofile-arcs -fprofile-generate s/.c -MD",
]


@pytest.mark.parametrize("command", REAL)
def test_outputs_are_what_gcc_makes(command: str, tmp_path: Path) -> None:
    for folder in ("s", "o", "o.d"):
        (tmp_path / folder).mkdir()
    for source in ("a.c", "s/a.c", "s/a.b.c", "s/.x.c", "s/.c", "s/a.h"):
        (tmp_path / source).write_text("#include <stdio.h>\nint f(int a) { return a + 1; }\n")
    before = files(tmp_path)
    plan = parse(split(command))
    listed = run(dependency_command(plan), tmp_path)
    assert listed.returncode == 0
    assert files(tmp_path) == before
    done = run(split(command), tmp_path)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path) - before == set(plan.outputs)
    read = dependency_output.parse(listed.stdout)
    assert read[:1] == (plan.source,)
    if b"-MD" in command.encode():
        assert dependency_output.parse((tmp_path / plan.dependency_file.decode()).read_bytes()) == read


COMMON = list(
    split(
        "-O2 -Os -g -g3 -Wall -Wextra -fPIC -fno-common -std=gnu11 -D_GNU_SOURCE -DX=1 -UX -I. -Iinc -isysteminc "
        "-fstack-protector-strong -pipe -pthread -fopenmp -m64 -mavx2 -march=x86-64-v2 -fvisibility=hidden "
        "-Wno-unused -Wno-nonsense -Werror=format -ffast-math -fwrapv -fsanitize=undefined -fmax-errors=3 -Wformat=2 "
        "--param=ssp-buffer-size=4 -fdiagnostics-color=always -fmessage-length=0 -Wa,--noexecstack -Wl,-x -lm -L."
    )
)


@settings(max_examples=8)
@given(st.lists(st.sampled_from(COMMON), max_size=10))
def test_accepted_combinations_are_accepted_by_gcc(tmp_path_factory: pytest.TempPathFactory, words: Any) -> None:
    folder = tmp_path_factory.mktemp("combination")
    (folder / "inc").mkdir()
    (folder / "a.c").write_text("#include <stddef.h>\nint f(size_t a) { return a; }\n")
    plan = parse((b"gcc", *words, b"-c", b"a.c", b"-MD"))
    listed = run(dependency_command(plan), folder)
    done = run(plan.arguments, folder)
    assert (listed.returncode, done.returncode) == (0, 0), (listed.stderr, done.stderr)
    assert dependency_output.parse(listed.stdout) == dependency_output.parse((folder / "a.d").read_bytes())
    assert files(folder) == {b"a.c", *plan.outputs}


def test_a_joined_value_is_a_response_file_to_the_compiler_proper(tmp_path: Path) -> None:
    """Why -iquote@FILE is refused: cc1 gets the value as an argument of its own and expands it."""
    (tmp_path / "more").write_text(". -DV=7")
    (tmp_path / "a.c").write_text("int v = V;\n")
    assert run(("gcc", "-c", "-iquote@more", "a.c"), tmp_path).returncode == 0
    with pytest.raises(StaysLocal):
        parse(split("gcc -c -iquote@more a.c"))


def test_a_source_name_is_a_response_file_to_the_compiler_proper(tmp_path: Path) -> None:
    """Why a base name may not start with @: it becomes the argument of -dumpbase."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/@x.c").write_text("int v = V;\n")
    (tmp_path / "x.c").write_text("x -DV=7")
    assert run(("gcc", "-c", "dir/@x.c"), tmp_path).returncode == 0
    with pytest.raises(StaysLocal):
        parse(split("gcc -c dir/@x.c"))


def test_coverage_with_a_seed_removes_the_counts_of_an_earlier_run(tmp_path: Path) -> None:
    """Why -frandom-seed with coverage stays local: the compile removes a file that no plan names."""
    (tmp_path / "a.c").write_text("int f(void) { return 1; }\n")
    (tmp_path / "a.gcda").write_text("old")
    assert run(("gcc", "-c", "--coverage", "-frandom-seed=1", "a.c"), tmp_path).returncode == 0
    assert not (tmp_path / "a.gcda").exists()


def test_language_is_what_gcc_compiles_it_as() -> None:
    assert compile_plan.parse(split("g++ -x c -c a.cc")).language == "c"
