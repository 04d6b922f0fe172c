"""What stands behind an option, and is no header: it changes, and the object with it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.farm.farmside import Farm
from tests.farm.twins import Twins, put

COUNTED = "int f(int n) { return n > 3 ? n * 7 : n - 1; }\nint main(void) { return f(9) - 63; }\n"


@pytest.fixture
def twins(farm: Farm, tmp_path: Path) -> Twins:
    return Twins(farm, tmp_path / "w")


def here_and_there(twins: Twins, *command: str | bytes, **options: Any) -> tuple[bytes, bytes]:
    """What the compiler alone makes, which is what securecc makes on a server, twice."""
    alone = twins.gcc(*command, **options)
    made = twins.content("a.o")
    for _ in range(2):
        (twins.folder / "a.o").unlink()
        through = twins.securecc(*command, **options)
        assert through.remote, through.place
        assert (through.status, through.err, twins.content("a.o")) == (alone.status, alone.err, made)
    return made, alone.err


@pytest.mark.parametrize(
    ("generate", "use", "place"),
    [
        ("-fprofile-generate", "-fprofile-use", "a.gcda"),
        ("-fprofile-generate=p", "-fprofile-use=p", "p/{mangled}#a.gcda"),
    ],
)
def test_counts_come_change_and_go(twins: Twins, generate: str, use: str, place: str) -> None:
    twins.make({"a.c": COUNTED, "p/x": ""})
    seen = set()
    command = ("gcc", "-O2", use, "-Wmissing-profile", "-c", "a.c", "-o", "a.o")
    before = here_and_there(twins, *command)
    subprocess.run(["gcc", "-O2", generate, "-c", "a.c", "-o", "a.o"], cwd=twins.folder, check=True)
    subprocess.run(["gcc", generate, "a.o", "-o", "prog"], cwd=twins.folder, check=True)
    for _ in range(2):
        subprocess.run(["./prog"], cwd=twins.folder, check=True)
        assert (twins.folder / place.format(mangled=str(twins.folder).replace("/", "#"))).exists()
        seen.add(here_and_there(twins, *command))
    (twins.folder / place.format(mangled=str(twins.folder).replace("/", "#"))).unlink()
    assert here_and_there(twins, *command) == before
    assert before not in seen


def test_counts_below_a_symlinked_directory(twins: Twins) -> None:
    """gcc puts the working directory, as PWD spells it, into the name."""
    twins.make({"real/a.c": COUNTED, "real/p/x": "", "alias": "-> real"})
    twins.folder = twins.folder / "alias"
    env = {"PWD": str(twins.folder)}
    command = ("gcc", "-O2", "-fprofile-use=p", "-Wmissing-profile", "-c", "a.c", "-o", "a.o")
    before = here_and_there(twins, *command, env=env)
    twins.gcc("gcc", "-O2", "-fprofile-generate=p", "a.c", "-o", "prog", env=env)
    twins.gcc("./prog", env=env)
    name = next((twins.folder / "p").glob("*.gcda"))
    name.rename(name.with_name(f"{str(twins.folder).replace('/', '#')}#a.gcda"))
    assert here_and_there(twins, *command, env=env) != before


def test_a_response_file_changes(twins: Twins) -> None:
    twins.make({"a.c": "int a = V;\n", "args": "-DV=1"})
    made = set()
    for text in ("-DV=1", "'-DV=1 + 1'", "@more"):
        put(twins.folder, {"args": text, "more": "-DV=3"})
        made.add(here_and_there(twins, "gcc", "@args", "-c", "a.c")[0])
    assert len(made) == 3


def test_a_file_that_a_linemarker_names_is_quoted(twins: Twins) -> None:
    files = {"a.i": '# 1 "g.y"\nint f(void) { int unused; return 0; }\n', "g.y": "what %the user { wrote }\n"}
    alone = twins.same(files, "gcc", "-Wall", "-c", "a.i")
    assert b"what %the user" in alone.err


def test_a_header_of_assembly_changes(twins: Twins) -> None:
    twins.make({"a.S": '#include "h.h"\n mov $V, %eax\n', "h.h": "#define V 1\n"})
    made = set()
    for value in (1, 2):
        put(twins.folder, {"h.h": f"#define V {value}\n"})
        made.add(here_and_there(twins, "gcc", "-c", "a.S")[0])
    assert len(made) == 2


@pytest.mark.parametrize("name", ["a.s", "a.i", "a.S"])
def test_a_source_changes(twins: Twins, name: str) -> None:
    made = set()
    for value in (1, 2):
        text = f"int a = {value};\n" if name == "a.i" else f".data\n.long {value}\n"
        twins.make({name: text})
        made.add(here_and_there(twins, "gcc", "-c", name)[0])
    assert len(made) == 2


SEVERAL = {
    "a.c": '#include "h.h"\nint a = V; static int unused;\n',
    "t/b.c": '#include "../h.h"\nint b = V; static int unused;\n',
    "S.S": '#include "h.h"\n mov $V, %eax\n',
    "h.h": "#define V 1\n",
    "bad.c": "int c = undeclared;\n",
}


def test_several_sources_in_one_command(twins: Twins) -> None:
    alone = twins.same(SEVERAL, "gcc", "-Wall", "-g", "-MD", "-c", "a.c", "t/b.c", "S.S", "-fstack-usage")
    assert {b"a.o", b"b.o", b"S.o", b"a.d", b"b.d", b"S.d", b"a.su", b"b.su"} < set(alone.files)
    assert alone.err.count(b"unused") > 2


@pytest.mark.parametrize("words", ["a.c bad.c t/b.c", "bad.c a.c", "a.c t/b.c missing.c"])
def test_one_of_several_sources_fails(twins: Twins, words: str) -> None:
    alone, through = twins.both(SEVERAL, "gcc", "-Wall", "-c", *words.split())
    assert through.seen == alone.seen
    assert alone.status == 1
    assert b"a.o" in alone.files


def test_the_processor_at_hand(twins: Twins) -> None:
    text = "float f(float *a, int n) { float s = 0; for (int i = 0; i < n; i++) s += a[i] * a[i]; return s; }\n"
    twins.same({"a.c": text}, "gcc", "-O3", "-ffast-math", "-march=native", "-c", "a.c")
    twins.kept("native", {"a.c": text}, "gcc", "-O3", "-march=native", "-g", "-c", "a.c")
