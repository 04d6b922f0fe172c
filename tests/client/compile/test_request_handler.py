"""securecc.client.compile.request_handler: what becomes of a request, whatever the farm does."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from securecc.client.compile.invocation import Invocation
from securecc.client.compile.request_handler import RequestHandler
from securecc.client.execution.accepted import NotAcceptedError
from securecc.client.execution.executor import Compile, Outcome
from securecc.client.farm.received_result import ReceivedOutput, ReceivedResult
from securecc.client.host.local_slots import LocalSlots
from securecc.client.inputs.compile_inputs import Inputs
from securecc.client.ipc.frames import Die, Failed, Keep, Request
from securecc.client.ipc.launcher import Launcher, LauncherGoneError, MadeFile
from securecc.client.spool import Content
from securecc.client.state.journal import Journal
from securecc.client.state.settings import Settings
from securecc.compiler.command_line import compile_plan
from securecc.compiler.command_line.environment import SentEnvironment
from securecc.model.errors import ChannelError, ConfigError, StaysLocal
from securecc.model.manifest import digest
from securecc.model.messages import Output
from tests.client.compile.compile_rig import CLOSURE
from tests.client.farm_stub import HOST, NotingLauncher, request, result
from tests.waiting import CEILING_S

_T = TypeVar("_T")

REQUEST = request("/", "gcc", "-c", "a.c")
MADE = (MadeFile(b"/a.o", Content.of(b"object"), Keep.IF_EMPTY),)
FARM = Settings(hosts=(HOST,))
INPUTS = Inputs(b"", (), 0, (), (), (), ())


def give(value: _T | BaseException) -> _T:
    """What a test has laid ready, or raises it."""
    if isinstance(value, BaseException):
        raise value
    return value


def good(local_status: int | None = None, **changes: Any) -> Outcome:
    output = ReceivedOutput(Output(b"/a.o", 6, 0o644, digest(b"object")), Content.of(b"object"), digest(b"object"))
    received = ReceivedResult(
        result(1, 3, 3, [output.announced], **changes), Content.of(b"out"), Content.of(b"err"), (output,)
    )
    failed = changes.get("status") or changes.get("limit")
    return Outcome(received, "farm1", 7, files=() if failed else MADE, local_status=local_status)


class Work:
    """In the place of preparer, inputs and executor: each step gives what the test has laid ready, or raises it."""

    def __init__(
        self,
        *,
        prepared: Exception | None = None,
        inputs: Inputs | Exception = INPUTS,
        outcome: Outcome | Exception | None = None,
        sources: int = 1,
    ) -> None:
        self.sources = sources
        self.prepared = prepared
        self.inputs = inputs
        self.outcome = outcome

    async def prepare(self, said: Request, settings: Settings) -> tuple[Invocation, ...]:
        if self.prepared is not None:
            raise self.prepared
        plan = compile_plan.parse(said.arguments)
        return (Invocation(said, plan, SentEnvironment({}), CLOSURE, settings),) * self.sources

    async def resolve(self, launcher: Launcher, invocation: Invocation, *, vouched: bool = False) -> Inputs:
        return give(self.inputs)

    async def run(self, compile_: Compile) -> Outcome:
        return give(self.outcome or good())


class NotingJournal(Journal):
    """Keeps what it is told, and writes nothing."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent/journal"))
        self.noted: list[tuple[object, ...]] = []

    def local(self, reason: str, detail: str, arguments: Iterable[bytes] = ()) -> None:
        self.noted.append((reason, detail))

    def remote(
        self, server: str, arguments: Iterable[bytes] = (), *, sent: int = 0, received: int = 0, wall_s: float = 0.0
    ) -> None:
        self.noted.append(("remote", server, sent, received, wall_s))

    def disagreement(self, server: str, arguments: Iterable[bytes], status: int, errors: bytes) -> None:
        self.noted.append(("disagreement", server, status, errors))

    def trouble(self, reason: str, detail: str) -> None:
        self.noted.append(("trouble", reason, detail))


class HandlerRig:
    """A RequestHandler over `work`; its launchers and its journal."""

    def __init__(self, settings: Settings | Exception = FARM, slots: int = 1, **work: Any) -> None:
        self.settings = settings
        self.journal = NotingJournal()
        self.work = Work(**work)
        self.slots = LocalSlots(slots)
        self.handler = RequestHandler(
            self.work,
            self.work,
            self.work,
            journal=self.journal,
            slots=self.slots,
            settings=lambda _: give(self.settings),
        )

    async def serve(self, said: Request = REQUEST, **launcher: Any) -> NotingLauncher:
        noting = NotingLauncher(**launcher)
        await self.handler.serve(noting, said)
        return noting


def served(
    settings: Settings | Exception = FARM, launcher: dict[str, Any] | None = None, **work: Any
) -> tuple[NotingLauncher, list[tuple[object, ...]]]:
    async def body() -> tuple[NotingLauncher, list[tuple[object, ...]]]:
        rig = HandlerRig(settings, **work)
        return await rig.serve(**(launcher or {})), rig.journal.noted

    return asyncio.run(body())


LOCALLY = [("execute", REQUEST.arguments)]


def test_a_remote_compile_ends_as_a_local_one_would() -> None:
    launcher, noted = served()
    assert launcher.told == [("commit", MADE), ("exit", 0)]
    assert launcher.printed == {1: b"out", 2: b"err"}
    assert noted == [("remote", "farm1", 7, 12, 0.1)]


def test_a_compile_that_stays_is_the_launchers_own() -> None:
    launcher, noted = served(prepared=StaysLocal("link", "links"))
    assert (launcher.told, launcher.printed[2], noted) == (LOCALLY, b"", [("link", "links")])


def test_who_asks_for_it_hears_why() -> None:
    loud = Settings(hosts=(HOST,), verbose=True)
    launcher, _ = served(loud, prepared=StaysLocal("link", "links"))
    assert launcher.printed[2] == b"securecc: compiling locally: links\n"
    launcher, _ = served(loud)
    assert launcher.printed[2] == b"securecc: compiled on farm1\nerr"


def test_bad_settings_break_no_build() -> None:
    launcher, noted = served(ConfigError("config:1: no"))
    assert (launcher.told, noted) == (LOCALLY, [("settings", "config:1: no")])


def test_troubles_of_settings_are_noted_once() -> None:
    async def body() -> list[tuple[object, ...]]:
        rig = HandlerRig(Settings(hosts=(HOST,), troubles=("config:1: what",)))
        for _ in range(3):
            await rig.serve()
        return rig.journal.noted

    assert asyncio.run(body()).count(("trouble", "settings", "config:1: what")) == 1


DOWN = ChannelError("down")


def test_without_the_farm_the_build_goes_on() -> None:
    launcher, noted = served(outcome=DOWN)
    assert (launcher.told, noted) == (LOCALLY, [("unreachable", "down")])
    assert launcher.printed[2] == b"securecc: down; compiling locally\n"


def test_unless_local_compiles_are_forbidden() -> None:
    launcher, noted = served(Settings(hosts=(HOST,), fallback=False), outcome=DOWN)
    assert (launcher.told, noted) == ([("exit", 103)], [("unreachable", "down")])
    assert b"SECURECC_FALLBACK=0 forbids" in launcher.printed[2]


def test_no_hosts_and_no_fallback_is_an_error() -> None:
    launcher, _ = served(Settings(fallback=False), prepared=StaysLocal("no-hosts", "no server is configured"))
    assert launcher.told == [("exit", 116)]
    assert b"SECURECC_HOSTS" in launcher.printed[2]


def test_what_can_not_be_compiled_any_more_fails_and_says_why() -> None:
    launcher, noted = served(FARM, inputs=StaysLocal("special-taken", "f.h was read"))
    assert (launcher.told, noted) == ([("exit", 107)], [("special-taken", "f.h was read")])
    assert launcher.printed[2] == b"securecc: f.h was read\n"


def test_a_reason_is_said_once_until_the_farm_works_again() -> None:
    async def body() -> None:
        rig = HandlerRig(Settings(hosts=(HOST,), local_slots=9), outcome=ChannelError("down"))
        said = [(await rig.serve()).printed[2] for _ in range(3)]
        assert [bool(line) for line in said] == [True, False, False]
        other = request("/", environment={b"KRB5CCNAME": b"/other"})
        assert (await rig.serve(other)).printed[2]
        rig.work.outcome = good()
        await rig.serve()
        rig.work.outcome = ChannelError("down")
        assert (await rig.serve()).printed[2]

    asyncio.run(body())


def test_so_many_at_one_time_when_all_must_compile_here() -> None:
    async def body() -> None:
        rig = HandlerRig(outcome=ChannelError("down"))
        children = [await asyncio.create_subprocess_exec("sleep", "30") for _ in range(2)]
        launchers = [NotingLauncher() for _ in children]
        for launcher, child in zip(launchers, children, strict=True):
            launcher.process = child.pid
        tasks = [asyncio.create_task(rig.handler.serve(launcher, REQUEST)) for launcher in launchers]
        for _ in range(10):
            await asyncio.sleep(0)
        assert [bool(launcher.told) for launcher in launchers] == [True, False]
        children[0].kill()
        await asyncio.wait_for(asyncio.gather(*tasks), CEILING_S)
        assert launchers[1].told == LOCALLY
        children[1].kill()
        for child in children:
            await child.wait()

    asyncio.run(body())


def test_a_launcher_that_went_takes_no_place_and_leaves_no_note() -> None:
    async def body() -> None:
        rig = HandlerRig(outcome=LauncherGoneError("gone"))
        with pytest.raises(LauncherGoneError):
            await rig.serve()
        assert rig.journal.noted == []
        rig.work.outcome = ChannelError("down")
        gone = NotingLauncher()
        gone.gone = True
        with pytest.raises(LauncherGoneError):
            await rig.handler.serve(gone, REQUEST)
        await asyncio.wait_for(rig.slots.enter(), CEILING_S)

    asyncio.run(body())


def test_outputs_that_are_not_the_commands_are_not_written() -> None:
    launcher, noted = served(outcome=NotAcceptedError("disagreement", "the server made /home/alice/.bashrc"))
    assert (launcher.told, launcher.printed, noted[0][0]) == (LOCALLY, {1: b"", 2: b""}, "disagreement")


def test_outputs_that_cannot_be_written_are_the_compilers_to_explain() -> None:
    launcher, noted = served(launcher={"commits": Failed(28, b"/a.o")})
    assert launcher.told == [("commit", MADE), *LOCALLY]
    assert noted == [("output", f"/a.o: {os.strerror(28)}")]


@pytest.mark.parametrize(
    ("outcome", "told", "noted"),
    [
        (good(256, status=1), ("exit", 1), ("fails", "fails locally as well")),
        (good(0, status=1), ("exit", 0), ("disagreement", "farm1", 1, b"err")),
        (good(11, status=-11), Die(11), ("fails", "fails locally as well")),
        (good(0, limit="wall"), ("exit", 0), ("limit", "the job reached its wall limit on farm1")),
    ],
)
def test_a_launcher_ends_as_the_local_compiler_that_judged(
    outcome: Outcome, told: object, noted: tuple[object, ...]
) -> None:
    launcher, journal = served(outcome=outcome)
    assert launcher.told == [told]
    assert (launcher.printed, journal) == ({1: b"", 2: b""}, [noted])


@pytest.mark.parametrize(
    ("outcome", "status", "more"),
    [
        (good(status=3), 3, b""),
        (good(status=-11), 139, b""),
        (good(limit="cpu"), 1, b"cpu limit"),
        *((good(status=lie), 1, b"") for lie in (256, -128, 1 << 40, -(1 << 40))),
    ],
)
def test_a_remote_failure_is_shown_where_nothing_may_judge_it(outcome: Outcome, status: int, more: bytes) -> None:
    launcher, _ = served(Settings(hosts=(HOST,), fallback=False), outcome=outcome)
    assert launcher.told == [("exit", status)]
    assert launcher.printed[1] == b"out"
    assert launcher.printed[2].startswith(b"err")
    assert more in launcher.printed[2]


def test_a_result_that_is_not_accepted_is_an_error_where_nothing_may_compile_locally() -> None:
    launcher, _ = served(
        Settings(hosts=(HOST,), fallback=False), outcome=NotAcceptedError("disagreement", "read other files")
    )
    assert launcher.told == [("exit", 107)]
    assert b"read other files" in launcher.printed[2]


def test_several_sources_are_delivered_together_or_not_at_all() -> None:
    launcher, noted = served(sources=2)
    assert launcher.told == [("commit", (*MADE, *MADE)), ("exit", 0)]
    assert launcher.printed == {1: b"outout", 2: b"errerr"}
    assert noted == [("remote", "farm1", 7, 12, 0.1)] * 2
    launcher, noted = served(sources=2, outcome=NotAcceptedError("disagreement", "read another file"))
    assert (launcher.told, noted) == (LOCALLY, [("disagreement", "read another file")])
