"""What a server makes is taken only if its run read what the client found; a failure there is judged here."""

from pathlib import Path

import pytest

from tests.farm.farmside import Farm, until
from tests.farm.twins import Twins

SMALL = """version: 1
groups:
  committers: {principals: [alice@EXAMPLE.COM, bob@EXAMPLE.COM]}
  bob: {principals: [bob@EXAMPLE.COM]}
rules:
  - name: little
    who: [bob]
    toolchains: ["*"]
    limits: {wall: 10min, cpu: 5min, memory: 2GiB, output: 64KiB, jobs: 64}
  - name: committers
    who: [committers]
    toolchains: ["*"]
    limits: {wall: 10min, cpu: 5min, memory: 2GiB, output: 256MiB, jobs: 64}
"""
LARGE = {"a.c": "int table[40000] = {1};\n"}
TARGET = {
    "a.c": '#define F "i2/f.h"\n#include F\n#pragma GCC target("avx2")\n'
    "#ifdef __AVX2__\n#undef V\n#include <f.h>\n#endif\nint a = V;\n",
    "i1/f.h": "#define V 1\n",
    "i2/f.h": "#define V 2\n",
}
BAD = {"a.c": "int h(void) { return undeclared; }\n"}


@pytest.fixture
def twins(farm: Farm, tmp_path: Path) -> Twins:
    return Twins(farm, tmp_path / "w")


@pytest.fixture
def bobs(farm: Farm, tmp_path: Path) -> Twins:
    """bob's compiles may make 64 KiB on this server."""
    farm.server.put_policy(SMALL)
    return Twins(farm.as_principal("bob", own_agent=True), tmp_path / "w")


# F: a macro names a file, so that the compiler is asked what it reads; and -M does not obey such pragmas.


def test_a_run_that_reads_another_file_is_not_accepted_and_is_counted(twins: Twins) -> None:
    command = ("gcc", "-Ii1", "-Ii2", "-c", "a.c")
    twins.make(TARGET)
    status, wrong = twins.naive(twins.listed(*command), *command, output="a.o")
    alone = twins.kept("disagreement", TARGET, *command)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]
    until(lambda: twins.farm.audit(kind="job-end", outcome="done"))


def test_a_run_that_reads_a_listed_file_no_more_is_not_accepted(twins: Twins) -> None:
    files = {
        "a.c": '#pragma GCC optimize("O2")\n'
        '#ifndef __OPTIMIZE__\n#define F "f.h"\n#include F\n#else\n#define V 1\n#endif\nint a = V;\n',
        "f.h": "#define V 2\n",
    }
    twins.kept("disagreement", files, "gcc", "-c", "a.c")


def test_fallback_0_does_not_make_it_accepted(twins: Twins) -> None:
    alone, through = twins.both(TARGET, "gcc", "-Ii1", "-Ii2", "-c", "a.c", env={"SECURECC_FALLBACK": "0"})
    assert through.files.get(b"a.o", alone.files[b"a.o"]) == alone.files[b"a.o"]


def test_an_error_is_said_once_and_by_the_local_compiler(twins: Twins) -> None:
    twins.farm.forget()
    alone, through = twins.both(BAD, "gcc", "-c", "a.c")
    assert through.seen == alone.seen
    assert alone.status == 1
    twins.farm.counts("fails")


def test_with_fallback_0_the_servers_error_is_shown(twins: Twins) -> None:
    alone, through = twins.both(BAD, "gcc", "-c", "a.c", env={"SECURECC_FALLBACK": "0"})
    assert through.seen == alone.seen
    assert alone.status == 1


def test_warnings_are_said_once(twins: Twins) -> None:
    alone = twins.same({"a.c": "static int unused;\n"}, "gcc", "-Wall", "-c", "a.c")
    assert alone.err.count(b"unused") == 3


def test_a_limit_of_the_server_is_judged_by_a_local_run(bobs: Twins) -> None:
    alone, through = bobs.both(LARGE, "gcc", "-c", "a.c")
    assert through.seen == alone.seen
    assert alone.status == 0
    bobs.farm.counts("limit")


def test_a_file_that_only_the_run_asks_for_is_shown_to_the_server(twins: Twins) -> None:
    """The -M of a compile with this pragma does not name f.h, which the compile reads."""
    files = {
        "a.c": '#pragma GCC target("avx2")\n#ifdef __AVX2__\n#define F "f.h"\n#include F\n#endif\n',
        "f.h": "int a;\n",
    }
    assert twins.same(files, "gcc", "-c", "a.c").status == 0


def test_with_fallback_0_the_limit_is_shown(bobs: Twins) -> None:
    bobs.make(LARGE)
    ran = bobs.gcc("securecc", "gcc", "-c", "a.c", env={"SECURECC_FALLBACK": "0"})
    assert ran.status != 0
    assert b"output limit" in ran.err
    assert not (bobs.folder / "a.o").exists()


def test_what_is_within_the_limit_goes_through(bobs: Twins) -> None:
    bobs.same({"a.c": "int a;\n"}, "gcc", "-c", "a.c")
