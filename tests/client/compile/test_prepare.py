"""securecc.client.compile.prepare: from a command to invocations, or the reason why it stays."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace

import pytest

from securecc.client.state.settings import Settings
from securecc.compiler.command_line.arguments import ParsedArguments
from securecc.model.errors import StaysLocal
from tests.client.compile.compile_rig import CLOSURE, Rig, run, with_shared_tree
from tests.client.farm_stub import SETTINGS, request


@pytest.mark.parametrize(
    ("arguments", "settings", "reason"),
    [
        (("gcc", "a.c", "-o", "a"), SETTINGS, "link"),
        (("gcc", "-E", "a.c"), SETTINGS, None),
        (("gcc", "-c", "conftest.c"), SETTINGS, "conftest"),
        (("gcc", "-c", "a.c"), Settings(), "no-hosts"),
        (("tcc", "-c", "a.c"), SETTINGS, "compiler"),
    ],
)
def test_what_need_not_leave_stays(
    rig: Rig, arguments: tuple[str, ...], settings: Settings, reason: str | None
) -> None:
    with pytest.raises(StaysLocal) as local:
        run(rig.prepare(*arguments, settings=settings))
    assert reason in {None, local.value.reason}


@pytest.mark.parametrize(
    ("words", "outputs"),
    [
        ("a.c b.c -MD", [(b"a.o", b"a.d"), (b"b.o", b"b.d")]),
        ("a.c b.s t/c.cc", [(b"a.o",), (b"b.o",), (b"c.o",)]),
        ("a.c t/a.c", None),
        ("a.c b.c -o c.o", None),
        ("a.c b.c -MD -MF d", None),
        ("a.c -", None),
    ],
)
def test_each_source_of_a_command_is_a_compile(rig: Rig, words: str, outputs: list[tuple[bytes, ...]] | None) -> None:
    said = request(rig.folder, "gcc", "-c", *words.split())
    try:
        found = run(rig.preparer.prepare(said, SETTINGS))
    except StaysLocal as error:
        assert error.reason in {"several-sources", "standard-input"}  # noqa: PT017 - the table says which
        assert outputs is None
        return
    assert [invocation.plan.outputs for invocation in found] == outputs


def test_an_environment_whose_meaning_is_here_stays(rig: Rig) -> None:
    with pytest.raises(StaysLocal) as local:
        run(rig.prepare(environment={b"GCC_EXEC_PREFIX": b"/x"}))
    assert local.value.reason == "environment"


def test_a_compile_that_writes_into_a_shared_tree_uses_none(rig: Rig) -> None:
    async def body() -> None:
        await with_shared_tree(rig)
        assert not (await rig.prepare("gcc", "-c", "a.c", "-o", "inc/a.o")).shared_trees
        inside = request(rig.folder / "inc", "gcc", "-c", "c.h", "-x", "c", "-o", "../c.o")
        with contextlib.suppress(StaysLocal):
            (invocation,) = await rig.preparer.prepare(inside, SETTINGS)
            assert not invocation.shared_trees

    run(body())


def test_places_where_only_the_compiler_does_the_right_thing(rig: Rig) -> None:
    async def body() -> None:
        os.mkfifo(rig.folder / "pipe")
        (rig.folder / "folder").mkdir()
        for output in ("pipe", "folder", "/dev/null", "missing/a.o"):
            with pytest.raises(StaysLocal) as local:
                await rig.prepare("gcc", "-c", "a.c", "-o", output)
            assert local.value.reason == "output"
        await rig.prepare()
        (rig.folder / "a.o").write_bytes(b"old")
        await rig.prepare()

    run(body())


class Parses:
    """Counts how often a command line is parsed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        parse = ParsedArguments.parse

        def counted(arguments: ParsedArguments, words: Sequence[bytes]) -> None:
            self.count += 1
            parse(arguments, words)

        monkeypatch.setattr(ParsedArguments, "parse", counted)

    async def of(self, rig: Rig, *words: str) -> int:
        before = self.count
        await rig.preparer.prepare(request(rig.folder, *words), SETTINGS)
        return self.count - before


def test_a_command_line_is_parsed_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    parses = Parses(monkeypatch)
    assert run(parses.of(rig, "gcc", "-O2", "-c", "a.c", "-o", "a.o")) == 1


def test_a_compiler_that_is_another_than_its_name_says_is_known_the_second_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.closure = replace(CLOSURE, family="clang")
    parses = Parses(monkeypatch)

    async def body() -> None:
        assert [await parses.of(rig, "cc", "-c", "a.c") for _ in range(2)] == [2, 1]
        assert (await rig.prepare("cc", "-c", "a.c")).plan.family == "clang"

    run(body())


def test_each_of_several_sources_is_parsed_once_after_the_command_was_split(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(Parses(monkeypatch).of(rig, "gcc", "-c", "a.c", "b.c")) == 3


def test_a_compiler_that_is_neither_stays_whatever_its_name(rig: Rig) -> None:
    rig.closure = replace(CLOSURE, family="other")
    with pytest.raises(StaysLocal, match="neither gcc nor clang"):
        run(rig.prepare("cc", "-c", "a.c"))
