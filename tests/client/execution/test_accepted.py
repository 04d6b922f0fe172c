"""securecc.client.execution.accepted: a result is taken only if it is exactly what the command makes."""

import os
from dataclasses import replace

import pytest

from securecc.client.execution.accepted import DIAGNOSTICS, Accepted, NotAcceptedError, accept
from securecc.client.execution.executor import Compile, Outcome
from securecc.client.farm.received_result import ReceivedResult
from securecc.client.ipc.frames import Keep
from securecc.client.spool import CHUNK, Content, Spool
from securecc.compiler.command_line import compile_plan
from securecc.compiler.command_line.environment import EffectiveLocale
from securecc.model.errors import StaysLocal
from securecc.model.manifest import digest
from tests.client.compile.compile_rig import CLOSURE, Rig, received, run


@pytest.mark.parametrize(
    "extra",
    [
        b"/home/alice/.bashrc",
        b"/etc/cron.d/x",
        b"a.o",
        b"../a.o",
        b"",
        b"{cwd}/b.o",
        b"{cwd}/../a.o",
        b"{cwd}/a.o/../a.o",
        b"{cwd}/a.o",
    ],
)
def test_an_output_that_nobody_asked_for_is_refused(rig: Rig, extra: bytes) -> None:
    """Attack: a server names a file of the user's as an output, spells the object otherwise, or names it twice."""

    async def body() -> None:
        invocation = await rig.prepare()
        path = extra.replace(b"{cwd}", rig.object.rpartition(b"/")[0])
        with pytest.raises(StaysLocal) as local:
            accept(invocation, received(rig.object, path))
        assert local.value.reason == "disagreement"

    run(body())


@pytest.mark.parametrize(
    ("system", "said", "taken"),
    [
        (True, b"cc1: Warnung: x: No such file or directory\n", False),
        (True, b"a.c:1:1: Warnung: x\n", True),
        (False, b"cc1: warning: x: No such file or directory\n", True),
    ],
)
def test_what_the_system_says_in_another_language_is_said_here(
    rig: Rig, system: bool, said: bytes, taken: bool
) -> None:
    async def body() -> None:
        rig.catalogues.spoken = EffectiveLocale(b"C.UTF-8", (), system)
        made = received(rig.object, stderr=said)
        invocation = await rig.prepare()
        if taken:
            assert accept(invocation, made)
            return
        with pytest.raises(StaysLocal) as local:
            accept(invocation, made)
        assert local.value.reason == "locale"

    run(body())


def test_assembly_may_be_printed(rig: Rig) -> None:
    async def body() -> None:
        invocation = await rig.prepare("gcc", "-S", "a.c", "-o", "-")
        assert invocation.plan.outputs == ()
        assert accept(invocation, received(stdout=b"nop")) == ()
        with pytest.raises(StaysLocal, match="made no object"):
            accept(invocation, received())

    run(body())


def test_a_result_without_an_object_is_none(rig: Rig) -> None:
    async def body() -> None:
        with pytest.raises(StaysLocal, match="made no object"):
            accept(await rig.prepare(), received())

    run(body())


def test_outputs_lie_where_their_directory_really_is(rig: Rig) -> None:
    async def body() -> None:
        (rig.folder / "real").mkdir()
        (rig.folder / "alias").symlink_to("real")
        invocation = await rig.prepare("gcc", "-MD", "-c", "a.c", "-o", "alias/a.o")
        real = rig.object.replace(b"/a.o", b"/real")
        made = accept(invocation, received(real + b"/a.o", real + b"/a.d"))
        assert [(file.path.rpartition(b"/")[2], file.keep) for file in made] == [
            (b"a.o", Keep.IF_EMPTY),
            (b"a.d", Keep.ALWAYS),
        ]
        assert all(b"/alias/" in file.path for file in made)

    run(body())


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("gcc -c a.c -MD -g -gsplit-dwarf", {b"a.d"}),
        ("gcc -S a.c", {b"a.s"}),
        ("clang -c a.c -MD -g -gsplit-dwarf", {b"a.d", b"a.dwo"}),
        ("clang -S a.c", set()),
        ("clang -c a.s", {b"a.o"}),
    ],
)
def test_which_outputs_are_written_into_the_file_that_is_there(rig: Rig, words: str, kept: set[bytes]) -> None:
    async def body() -> None:
        (rig.folder / "a.s").write_text("nop\n")
        rig.closure = replace(CLOSURE, family=compile_plan.family_of(words.split(maxsplit=1)[0]))
        invocation = await rig.prepare(*words.split())
        folder = rig.object.removesuffix(b"a.o")
        made = accept(invocation, received(*(folder + path for path in invocation.plan.outputs)))
        assert {file.path.rpartition(b"/")[2] for file in made if file.keep is Keep.ALWAYS} == kept
        assert {file.keep for file in made} <= {Keep.ALWAYS, Keep.NEVER if "clang" in words else Keep.IF_EMPTY}

    run(body())


@pytest.mark.parametrize(("at", "taken"), [(0, False), (CHUNK - 5, False), (3 * CHUNK, False), (-1, True)])
def test_an_output_with_the_name_of_a_servers_temporary_file_is_not_taken(rig: Rig, at: int, taken: bool) -> None:
    """The compiler here would name another one."""

    async def body() -> None:
        invocation = await rig.prepare()
        text = bytearray(4 * CHUNK)
        if at >= 0:
            text[at : at + 18] = b"/.securecc/tmp/c.S"
        made = received(rig.object)
        made = replace(made, outputs=(replace(made.outputs[0], content=Content.of(bytes(text))),))
        if taken:
            assert accept(invocation, made)
            return
        with pytest.raises(NotAcceptedError, match="temporary file"):
            accept(invocation, made)

    run(body())


def test_an_output_that_arrives_damaged_is_not_taken(rig: Rig) -> None:
    async def body() -> None:
        invocation = await rig.prepare()
        whole = received(rig.object)
        damaged = replace(whole, outputs=(replace(whole.outputs[0], digest=digest(b"y")),))
        assert accept(invocation, whole)
        with pytest.raises(NotAcceptedError, match="arrived damaged"):
            accept(invocation, damaged)

    run(body())


def test_a_run_that_read_other_files_is_not_taken(rig: Rig) -> None:
    async def body() -> None:
        with pytest.raises(NotAcceptedError, match="read other files"):
            accept(await rig.prepare(), received(rig.object, strays=(0,)))

    run(body())


class Given:
    """An executor with this outcome."""

    def __init__(self, outcome: ReceivedResult) -> None:
        self.outcome = Outcome(outcome, "farm1", 0)

    async def run(self, compile_: Compile) -> Outcome:
        return self.outcome


def test_only_a_success_is_looked_at(rig: Rig) -> None:
    async def body() -> None:
        invocation = await rig.prepare()
        compile_ = Compile(rig.launcher, invocation, await rig.resolve(invocation))
        good = await Accepted(Given(received(rig.object))).run(compile_)
        assert [file.path for file in good.files] == [os.fsencode(rig.folder) + b"/a.o"]
        assert not (await Accepted(Given(received(status=1))).run(compile_)).files
        endless = replace(received(status=1), stderr=Content(Spool(0), 0, DIAGNOSTICS + 1))
        with pytest.raises(NotAcceptedError, match="bytes of diagnostics"):
            await Accepted(Given(endless)).run(compile_)

    run(body())
