"""securecc.client.compile.prepare: from a command to invocations, or the reason why it stays."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace

import pytest

from securecc.client.compile.invocation import Invocation
from securecc.client.state.settings import Settings
from securecc.compiler.command_line import compile_plan
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
    """Notes which lists of arguments are parsed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lists: list[tuple[bytes, ...]] = []
        parse = ParsedArguments.parse

        def noted(arguments: ParsedArguments, words: Sequence[bytes]) -> None:
            self.lists.append(tuple(words))
            parse(arguments, words)

        monkeypatch.setattr(ParsedArguments, "parse", noted)

    async def of(self, rig: Rig, command: str) -> tuple[tuple[Invocation, ...], list[tuple[bytes, ...]]]:
        """The compiles of a command, and what was parsed for them."""
        self.lists = []
        return await rig.preparer.prepare(request(rig.folder, *command.split()), SETTINGS), self.lists


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> Parses:
    return Parses(monkeypatch)


@pytest.mark.parametrize("command", ["gcc -O2 -c a.c -o a.o", "gcc -c a.c b.c -Ii c.s"])
def test_a_command_line_is_parsed_once(rig: Rig, parses: Parses, command: str) -> None:
    _, lists = run(parses.of(rig, command))
    assert lists == [tuple(command.encode().split()[1:])]


def test_the_options_of_this_processor_are_parsed_by_themselves(rig: Rig, parses: Parses) -> None:
    command = "gcc -O2 -march=native -I i -c a.c b.c -w"
    (one, other), (whole, options) = run(parses.of(rig, command))
    assert whole == tuple(command.encode().split()[1:])
    assert any(word.startswith(b"-march=") for word in options)
    assert b"-march=native" not in options
    assert one.plan.arguments == (b"gcc", *options, *b"-O2 -I i -c a.c -w".split())
    assert other.plan == compile_plan.parse((b"gcc", *options, *b"-O2 -I i -c b.c -w".split()))


def test_a_compiler_that_is_another_than_its_name_says_is_known_the_second_time(rig: Rig, parses: Parses) -> None:
    rig.closure = replace(CLOSURE, family="clang")

    async def body() -> None:
        assert [len((await parses.of(rig, "cc -c a.c b.c"))[1]) for _ in range(2)] == [2, 1]
        assert (await rig.prepare("cc", "-c", "a.c")).plan.family == "clang"

    run(body())


def test_a_compiler_that_is_neither_stays_whatever_its_name(rig: Rig) -> None:
    rig.closure = replace(CLOSURE, family="other")
    with pytest.raises(StaysLocal, match="neither gcc nor clang"):
        run(rig.prepare("cc", "-c", "a.c"))
