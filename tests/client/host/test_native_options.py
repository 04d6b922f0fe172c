"""securecc.client.host.native_options: -march=native in words that mean the same on another machine."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from securecc.client.host.native_options import NativeOptions, Processor, clang_processor, gcc_machine_options
from securecc.compiler.command_line.compile_plan import parse, parse_command
from securecc.model.errors import StaysLocal
from tests.waiting import CEILING_S

SAID = b"""Using built-in specs.
COLLECT_GCC=gcc
 /usr/lib/gcc/x/12/cc1 -quiet /dev/null "-march=core i" -mavx --param l1-cache-size=32 -quiet -mno-fma --param=a=b -o x
 as -o y -mfoo
"""


def test_all_that_chooses_the_processor_is_found() -> None:
    assert gcc_machine_options(SAID) == (
        b"-march=core i",
        b"-mavx",
        b"--param",
        b"l1-cache-size=32",
        b"-mno-fma",
        b"--param=a=b",
    )


CLANG = b' "/usr/bin/clang-14" "-cc1" "-target-cpu" "znver3" "-target-feature" "+avx" "-x" "c"\n'


def test_what_clang_says() -> None:
    assert clang_processor(b"clang version 14\n" + CLANG) == Processor("znver3", "", frozenset({"+avx"}))
    for said in (b"", CLANG.replace(b"-target-cpu", b"-cpu"), CLANG.replace(b"+avx", b"avx")):
        with pytest.raises(StaysLocal):
            clang_processor(said)


@pytest.mark.parametrize("said", [b"", b"gcc: error\n", b" as -mavx\n", b" /usr/bin/clang -cc1 -mavx\n"])
def test_no_answer_stays_local(said: bytes) -> None:
    with pytest.raises(StaysLocal):
        gcc_machine_options(said)


@pytest.mark.parametrize("compiler", [b"/bin/false", b"/nowhere/gcc"])
def test_a_compiler_that_does_not_answer_stays_local(compiler: bytes) -> None:
    with pytest.raises(StaysLocal):
        asyncio.run(NativeOptions().options(compiler, "gcc", b"", (b"-march=native",)))


@pytest.mark.parametrize(
    "command",
    [
        "gcc -O3 -march=native -c a.c",
        "gcc -O3 -mtune=native -c a.c",
        "gcc -O3 -march=native -mno-avx2 -mtune=generic -c a.c",
        "gcc -O3 -march=haswell -mtune=native --param l1-cache-size=16 -c a.c",
        "clang -O3 -g -march=native -c a.c",
        "clang -O3 -march=native -mno-avx512f -mtune=generic -mcmodel=large -c a.c",
        "clang -O3 -march=haswell -mtune=native -c a.c",
        "clang++ -O2 -march=native -mno-red-zone -c a.c",
    ],
)
def test_the_object_is_the_same(command: str, tmp_path: Path) -> None:
    source = "float f(float *a, int n) { float s = 0; for (int i = 0; i < n; i++) s += a[i] * a[i]; return s; }\n"
    (tmp_path / "a.c").write_text(source)
    words = tuple(word.encode() for word in command.split())
    parsed = parse_command(words)
    native = parsed.native_options()
    assert native

    async def twice() -> Any:
        processors = NativeOptions()
        return [await processors.options(b"/usr/bin/" + words[0], parsed.family, b"", native) for _ in range(2)]

    one, other = asyncio.run(twice())
    assert one is other
    plan = parsed.with_native_options(one).plan()
    assert parse(plan.arguments) == plan
    assert not any(word.endswith(b"=native") for word in plan.arguments)
    objects = []
    for arguments in (words, plan.arguments):
        subprocess.run(arguments, cwd=tmp_path, check=True, timeout=CEILING_S)
        objects.append((tmp_path / "a.o").read_bytes())
    assert objects[0] == objects[1]


@pytest.mark.parametrize("option", ["-g", "-ggdb3", "-flto", "-fverbose-asm", "-frecord-gcc-switches"])
def test_where_the_options_are_written_down_it_stays_local(option: str) -> None:
    with pytest.raises(StaysLocal) as caught:
        parse_command((b"gcc", b"-march=native", option.encode(), b"-c", b"a.c")).native_options()
    assert caught.value.reason == "native"
    assert parse_command((b"gcc", b"-march=native", b"-g0", b"-c", b"a.c")).native_options()


def test_what_only_looks_like_it() -> None:
    assert parse_command((b"gcc", b"-m64", b"-c", b"a.c")).native_options() == ()
    assert parse_command((b"gcc", b"-D", b"-march=native", b"-c", b"a.c")).native_options() == ()
    for option in (b"-grecord-command-line", b"-flto", b"-emit-llvm"):
        with pytest.raises(StaysLocal):
            parse_command((b"clang", b"-march=native", option, b"-c", b"a.c")).native_options()
