"""securecc.client.compile.resolve_inputs: from memory, from the includes, or from the compiler that is asked."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace

import pytest

from securecc.client.inputs.compile_inputs import Inputs
from securecc.compiler.command_line import compile_plan
from securecc.compiler.command_line.environment import EffectiveLocale
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Kind, Role
from tests.client.compile.compile_rig import CLOSURE, STDIN, Rig, run, with_shared_tree
from tests.client.farm_stub import NotingLauncher


def test_the_compiler_is_asked_once_what_it_reads(rig: Rig) -> None:
    async def body() -> None:
        rig.name_by_macro()
        invocation, launcher = await rig.prepare(), rig.launcher
        first = await rig.resolve(invocation, launcher)
        assert launcher.told == [("capture", (b"/usr/bin/gcc", b"a.c", b"-M"))]
        paths = {entry.path for entry in first.entries if entry.kind is Kind.FILE}
        assert paths == {os.fsencode(rig.folder / "a.c"), os.fsencode(rig.folder / "a.h")}
        assert (await rig.resolve(invocation, launcher)).digest == first.digest
        assert len(launcher.told) == 1
        (rig.folder / "a.h").write_text("extern int b;\n")
        assert (await rig.resolve(invocation, launcher)).digest != first.digest
        assert len(launcher.told) == 2

    run(body())


def test_a_compiler_that_does_not_answer_is_asked_once(rig: Rig) -> None:
    launcher = NotingLauncher(preprocesses=1 << 8)

    async def body() -> None:
        await rig.resolve(await rig.prepare("gcc", "-m32", "-c", "a.c"), launcher)

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert local.value.reason == "does-not-preprocess"
    assert launcher.told == [("capture all", (b"/usr/bin/gcc", b"-m32", b"a.c", b"-M", b"-v"))]


@pytest.mark.parametrize("place", ["a.c", "forced"])
def test_a_fifo_is_left_to_the_compiler_that_is_run(rig: Rig, place: str) -> None:
    (rig.folder / place).unlink(missing_ok=True)
    os.mkfifo(rig.folder / place)
    launcher = rig.launcher

    async def body() -> None:
        await rig.resolve(await rig.prepare("gcc", "-include", "forced", "-c", "a.c"), launcher)

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert (local.value.reason, launcher.told) == ("special", [])


def test_a_fifo_that_the_asked_compiler_has_read_is_told(rig: Rig) -> None:
    os.mkfifo(rig.folder / "b.h")

    async def body() -> None:
        rig.name_by_macro()
        await rig.resolve(await rig.prepare(), NotingLauncher(listed=b"a.o: a.c b.h\n"))

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert local.value.reason == "special-taken"


def test_the_compiler_is_not_asked_where_the_includes_tell(rig: Rig) -> None:
    async def body() -> None:
        (rig.folder / "b.h").write_text("")
        (rig.folder / "a.c").write_text('#include "a.h"\n#ifdef B\n#include "b.h"\n#endif\nint a;\n')
        launcher = rig.launcher
        inputs = await rig.resolve(launcher=launcher)
        assert not launcher.told
        roles = rig.roles(inputs)
        assert roles == {b"a.c": Role.READ, b"a.h": Role.MAY_READ, b"b.h": Role.MAY_READ}

    run(body())


def test_a_shared_tree_stands_for_its_files(rig: Rig) -> None:
    async def body() -> None:
        inputs = await rig.resolve(await with_shared_tree(rig))
        (found,) = (entry for entry in inputs.entries if entry.kind is Kind.SHARED_TREE)
        assert (found.path, found.blob, found.size) == (rig.shared_trees[0].path, b"d" * 32, 0)
        assert set(rig.roles(inputs)) == {b"a.c", b"a.h"}
        (rig.folder / "inc/c.h").write_text("int cc;\n")
        assert (await rig.resolve(await rig.prepare("gcc", "-Iinc", "-c", "a.c", "-o", "a.o"))).digest == inputs.digest
        rig.shared_trees.clear()
        bare = await rig.resolve(await rig.prepare("gcc", "-Iinc", "-c", "a.c", "-o", "a.o"))
        assert set(rig.roles(bare)) == {b"a.c", b"a.h", b"inc/c.h"}

    run(body())


def test_other_options_or_variables_are_another_compile(rig: Rig) -> None:
    async def body() -> None:
        rig.name_by_macro()
        launcher = rig.launcher
        await rig.resolve(await rig.prepare(), launcher)
        await rig.resolve(await rig.prepare("gcc", "-c", "a.c", "-O2", "-o", "a.o"), launcher)
        await rig.resolve(await rig.prepare(environment={b"CPATH": b"/nowhere"}), launcher)
        await rig.resolve(await rig.prepare(compiler=b"/usr/local/bin/gcc"), launcher)
        assert len(launcher.told) == 4

    run(body())


def test_what_does_not_preprocess_is_the_compilers_to_explain(rig: Rig) -> None:
    async def body() -> None:
        rig.name_by_macro()
        await rig.resolve(launcher=NotingLauncher(preprocesses=256))

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert local.value.reason == "does-not-preprocess"


@pytest.mark.parametrize(("words", "given"), [(STDIN, None), ((*STDIN, "-m32"), b"int a;\n")])
def test_standard_input_that_stays(rig: Rig, words: tuple[str, ...], given: bytes | None) -> None:
    async def body() -> None:
        await rig.resolve(await rig.prepare(*words), NotingLauncher(given=given))

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert local.value.reason == "standard-input"


def test_where_it_looks_is_all_that_was_named(rig: Rig) -> None:
    async def body() -> None:
        (rig.folder / "inc").mkdir()
        words = ("gcc", "-Iinc", "--sysroot=/nosuch", "-include", "a.h", "-DX=1", "-c", "a.c", "-o", "a.o")
        environment = {b"CPATH": b":/cpath", b"PWD": os.fsencode(rig.folder), b"SOURCE_DATE_EPOCH": b"1"}
        inputs = await rig.resolve(await rig.prepare(*words, environment=environment))
        assert os.fsencode(rig.folder / "inc") in dict(inputs.directories)

    run(body())


def test_catalogues_of_a_language_are_looked_for(rig: Rig) -> None:
    async def body() -> None:
        (rig.folder / "de.mo").write_text("messages")
        rig.catalogues.spoken = EffectiveLocale(b"C.UTF-8", (b"de", b"fr"))
        invocation = await rig.prepare()
        assert invocation.environment.variables[b"LANGUAGE"] == b"de:fr"
        inputs = await rig.resolve(invocation, rig.launcher)
        assert os.fsencode(rig.folder.resolve() / "de.mo") in {entry.path for entry in inputs.entries}
        assert any(b"fr.mo" in watch.names for watch in inputs.watches)

    run(body())


def test_the_compiler_says_which_files_are_quoted(rig: Rig) -> None:
    class Preprocessing(NotingLauncher):
        async def capture(self, arguments: Sequence[bytes]) -> tuple[int, bytes]:
            if arguments[-1] == b"-E":
                self.told.append(("asked", arguments))
                return 0, b'# 1 "a.c"\n# 7 "g.y"\nint a;\n'
            return await super().capture(arguments)

    async def body() -> None:
        (rig.folder / "a.c").write_text('#include "a.h"\n#line 7 MACRO\nint a;\n')
        (rig.folder / "g.y").write_text("quoted\n")
        launcher = Preprocessing(listed=b"a.o: a.c a.h\n")
        inputs = await rig.resolve(launcher=launcher)
        assert rig.roles(inputs)[b"g.y"] is Role.MAY_READ
        assert launcher.told[-1][1] == (b"/usr/bin/gcc", b"a.c", b"-E")
        assert (await rig.resolve(launcher=NotingLauncher())).digest == inputs.digest

    run(body())


def test_a_date_means_nothing_to_clang(rig: Rig) -> None:
    (rig.folder / "a.c").write_text("char *d = __DATE__;\n")
    os.utime(rig.folder / "a.c", (1, 1))

    async def body(compiler: str) -> Inputs:
        rig.closure = replace(CLOSURE, family=compile_plan.family_of(compiler))
        environment = {b"SOURCE_DATE_EPOCH": b"1"}
        return await rig.resolve(await rig.prepare(compiler, "-c", "a.c", environment=environment))

    run(body("gcc"))
    with pytest.raises(StaysLocal, match="uses '__DATE__'"):
        run(body("clang"))


def test_what_gcc_lists_is_resolved(rig: Rig) -> None:
    listed = subprocess.run(["gcc", "-M", "a.c"], cwd=rig.folder, capture_output=True, check=True).stdout

    async def body() -> None:
        inputs = await rig.resolve(launcher=NotingLauncher(listed=listed))
        assert inputs.size < limits.JOB_SOURCE

    run(body())


def test_standard_input_is_not_asked_for_twice(rig: Rig) -> None:
    async def body() -> None:
        invocation = await rig.prepare(*STDIN)
        launcher = NotingLauncher(given=b"int a;\n")
        inputs = await rig.resolve(invocation, launcher)
        with pytest.raises(StaysLocal, match="only once"):
            await rig.resolver.widen(launcher, invocation, inputs, (os.fsencode(rig.folder / "a.h"),))

    run(body())


def test_what_cannot_be_sent_is_not_shown_from_then_on(rig: Rig) -> None:
    """Else no later compile of the toolchain could be sent."""
    os.mkfifo(rig.folder / "opt.h")

    async def body() -> None:
        invocation = await rig.prepare()
        inputs = await rig.resolve(invocation)
        with pytest.raises(StaysLocal):
            await rig.resolver.widen(rig.launcher, invocation, inputs, (os.fsencode(rig.folder / "opt.h"),))
        assert (await rig.resolve(invocation)).digest == inputs.digest

    run(body())


def test_what_one_project_showed_is_not_shown_with_another(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Rig(tmp_path_factory.mktemp("other"))
    own = os.fsencode(rig.folder / "include/own.h")
    (rig.folder / "include").mkdir()
    (rig.folder / "include/own.h").touch()
    (rig.folder / "deep").mkdir()
    rig.folder = rig.folder / "deep"
    for name in ("a.c", "b.c", "a.h"):
        (rig.folder / name).touch()

    async def body() -> None:
        invocation = await rig.prepare()
        inputs = await rig.resolve(invocation)
        await rig.resolver.widen(rig.launcher, invocation, inputs, (own, b"/usr/include/stdio.h"))
        beside = await rig.resolve(await rig.prepare("gcc", "-c", "b.c"))
        elsewhere = await rig.resolver.resolve(other.launcher, await other.prepare())
        shown = [
            {entry.path for entry in each.entries} & {own, b"/usr/include/stdio.h"} for each in (beside, elsewhere)
        ]
        assert shown == [{own, b"/usr/include/stdio.h"}, {b"/usr/include/stdio.h"}]

    run(body())


def test_what_a_run_lacked_is_shown_from_then_on(rig: Rig) -> None:
    (rig.folder / "opt.h").touch()
    (rig.folder / "sub").mkdir()

    async def body() -> None:
        invocation = await rig.prepare()
        inputs = await rig.resolve(invocation)
        lacked = tuple(os.fsencode(rig.folder / name) for name in ("opt.h", "sub"))
        wider = await rig.resolver.widen(rig.launcher, invocation, inputs, lacked)
        assert {entry.path for entry in wider.entries} - {entry.path for entry in inputs.entries} == set(lacked)
        assert (await rig.resolve(invocation)).digest == wider.digest
        rig.resolver.give_up(invocation)
        assert (await rig.resolve(invocation)).digest == inputs.digest

    run(body())
