"""What becomes of a request, whatever the farm does."""

import asyncio
import os
import signal

import pytest

from securecc.client.compile import request_handler
from securecc.client.compile.invocation import Invocation
from securecc.client.compile.request_handler import RequestHandler, exit_status_of, reason_of
from securecc.client.compile.submission import Remote
from securecc.client.host.local_slots import LocalSlots
from securecc.client.ipc.frames import Die, Failed
from securecc.client.ipc.launcher_connection import LauncherGoneError, MadeFile
from securecc.client.state.settings import Settings
from securecc.model.errors import (
    AgentError,
    AuthenticationError,
    ChannelError,
    ConfigError,
    CredentialError,
    DeadlineError,
    Denied,
    KdcError,
    Refused,
    StaysLocal,
)
from tests.client.farm_stub import HOST, NotingCaller, request, result

REQUEST = request("/", "gcc", "-c", "a.c")
MADE = (MadeFile(b"/a.o", b"object", keep=False),)
FARM = Settings(hosts=(HOST,))


class Work:
    """In the place of all compiles: each step gives what the test has laid ready, or raises it."""

    def __init__(self, *, understood=None, gathered="inputs", remote=None, made=MADE, sources=1):
        self.sources = sources
        self.understood = understood
        self.gathered = gathered
        self.sent = remote
        self.outputs = made

    async def understand(self, said, settings):
        give(self.understood)
        return tuple(Invocation(said, Plan(), None, None, settings) for _ in range(self.sources))

    async def inputs(self, caller, order):
        return give(self.gathered)

    async def remote(self, caller, order, inputs):
        if asyncio.isfuture(self.sent):
            return await self.sent
        return give(self.sent if self.sent is not None else good())

    def made(self, order, remote):
        return give(self.outputs)


class Plan:
    outputs = ()


def give(value):
    if isinstance(value, BaseException):
        raise value
    return value


def good(**changes):
    return Remote(result(1, **changes), b"out", b"err", (("output", b"object"),), "farm1:3643", 7)


class NotingJournal:
    def __init__(self):
        self.noted = []

    def local(self, reason, detail, arguments=()):
        self.noted.append((reason, detail))

    def remote(self, server, arguments=(), *, sent=0, received=0, wall_s=0.0):
        self.noted.append(("remote", server, sent, received, wall_s))

    def disagreement(self, server, arguments, status, errors):
        self.noted.append(("disagreement", server, status, errors))

    def trouble(self, *words):
        self.noted.append(("trouble", *words))


class Door:
    """An Attendance over `work`; its callers and its journal."""

    def __init__(self, settings=FARM, slots=1, **work):
        self.settings = settings
        self.journal = NotingJournal()
        self.work = Work(**work)
        self.slots = LocalSlots(slots)
        self.attendance = RequestHandler(self.work, self.journal, self.slots, lambda _: give(self.settings))

    async def serve(self, said=REQUEST, **caller):
        noting = NotingCaller(**caller)
        await self.attendance.serve(noting, said)
        return noting


def served(settings=FARM, caller=None, **work):
    async def body():
        door = Door(settings, **work)
        return await door.serve(**(caller or {})), door.journal.noted

    return asyncio.run(body())


LOCALLY = [("execute", REQUEST.arguments)]


def test_a_remote_compile_ends_as_a_local_one_would():
    caller, noted = served()
    assert caller.told == [("commit", MADE), ("exit", 0)]
    assert caller.printed == {1: b"out", 2: b"err"}
    assert noted == [("remote", "farm1:3643", 7, 12, 0.1)]


def test_a_compile_that_stays_is_the_launchers_own():
    caller, noted = served(understood=StaysLocal("link", "links"))
    assert (caller.told, caller.printed[2], noted) == (LOCALLY, b"", [("link", "links")])


def test_who_asks_for_it_hears_why():
    loud = Settings(hosts=(HOST,), verbose=True)
    caller, _ = served(loud, understood=StaysLocal("link", "links"))
    assert caller.printed[2] == b"securecc: compiling locally: links\n"
    caller, _ = served(loud)
    assert caller.printed[2] == b"securecc: compiled on farm1:3643\nerr"


def test_bad_settings_break_no_build():
    caller, noted = served(ConfigError("config:1: no"))
    assert (caller.told, noted) == (LOCALLY, [("settings", "config:1: no")])


def test_troubles_of_settings_are_noted_once():
    async def body():
        door = Door(Settings(hosts=(HOST,), troubles=("config:1: what",)))
        for _ in range(3):
            await door.serve()
        return door.journal.noted

    assert asyncio.run(body()).count(("trouble", "settings", "config:1: what")) == 1


TROUBLES = [
    (ChannelError("down"), "unreachable", 103),
    (DeadlineError("slow"), "unreachable", 118),
    (CredentialError("no ticket"), "no-ticket", 119),
    (KdcError("no KDC"), "kdc", 119),
    (AuthenticationError("who"), "authentication", 119),
    (Denied("not you"), "denied", 113),
    (Refused("denied", "not this"), "refused-denied", 113),
    (Refused("busy", "later"), "refused-busy", 107),
    (AgentError("odd"), "error", 107),
]


@pytest.mark.parametrize(("error", "reason", "status"), TROUBLES)
def test_without_the_farm_the_build_goes_on(error, reason, status):
    assert (reason_of(error), exit_status_of(error)) == (reason, status)
    caller, noted = served(remote=error)
    assert (caller.told, noted) == (LOCALLY, [(reason, str(error))])
    assert caller.printed[2] == b"securecc: %s; compiling locally\n" % str(error).encode()


@pytest.mark.parametrize(("error", "reason", "status"), TROUBLES)
def test_unless_local_compiles_are_forbidden(error, reason, status):
    caller, noted = served(Settings(hosts=(HOST,), fallback=False), remote=error)
    assert (caller.told, noted) == ([("exit", status)], [(reason, str(error))])
    assert b"SECURECC_FALLBACK=0 forbids" in caller.printed[2]


def test_no_hosts_and_no_fallback_is_an_error():
    caller, _ = served(Settings(fallback=False), understood=StaysLocal("no-hosts", "no server is configured"))
    assert caller.told == [("exit", 116)]
    assert b"SECURECC_HOSTS" in caller.printed[2]


def test_what_can_not_be_compiled_any_more_fails_and_says_why():
    caller, noted = served(FARM, gathered=StaysLocal("special-taken", "f.h was read"))
    assert (caller.told, noted) == ([("exit", 107)], [("special-taken", "f.h was read")])
    assert caller.printed[2] == b"securecc: f.h was read\n"


def test_a_reason_is_said_once_until_the_farm_works_again():
    async def body():
        door = Door(Settings(hosts=(HOST,), local_slots=9), remote=ChannelError("down"))
        said = [(await door.serve()).printed[2] for _ in range(3)]
        assert [bool(line) for line in said] == [True, False, False]
        other = request("/", environment={b"KRB5CCNAME": b"/other"})
        assert (await door.serve(other)).printed[2]
        door.work.sent = good()
        await door.serve()
        door.work.sent = ChannelError("down")
        assert (await door.serve()).printed[2]

    asyncio.run(body())


def test_so_many_at_one_time_when_all_must_compile_here():
    async def body():
        door = Door(remote=ChannelError("down"))
        children = [await asyncio.create_subprocess_exec("sleep", "30") for _ in range(2)]
        callers = [NotingCaller() for _ in children]
        for caller, child in zip(callers, children, strict=True):
            caller.process = child.pid
        tasks = [asyncio.create_task(door.attendance.serve(caller, REQUEST)) for caller in callers]
        for _ in range(10):
            await asyncio.sleep(0)
        assert [bool(caller.told) for caller in callers] == [True, False]
        children[0].kill()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert callers[1].told == LOCALLY
        children[1].kill()
        for child in children:
            await child.wait()

    asyncio.run(body())


def test_a_launcher_that_went_takes_no_place_and_leaves_no_note():
    async def body():
        door = Door(remote=LauncherGoneError("gone"))
        with pytest.raises(LauncherGoneError):
            await door.serve()
        assert door.journal.noted == []
        door.work.sent = ChannelError("down")
        gone = NotingCaller()
        gone.gone = True
        with pytest.raises(LauncherGoneError):
            await door.attendance.serve(gone, REQUEST)
        await asyncio.wait_for(door.slots.enter(), 5)

    asyncio.run(body())


def test_outputs_that_are_not_the_commands_are_not_written():
    caller, noted = served(made=StaysLocal("disagreement", "the server made /home/alice/.bashrc"))
    assert (caller.told, caller.printed, noted[0][0]) == (LOCALLY, {1: b"", 2: b""}, "disagreement")


def test_outputs_that_cannot_be_written_are_the_compilers_to_explain():
    caller, noted = served(caller={"commits": Failed(28, b"/a.o")})
    assert caller.told == [("commit", MADE), *LOCALLY]
    assert noted == [("output", f"/a.o: {os.strerror(28)}")]


@pytest.mark.parametrize(
    ("remote", "spawns", "told", "noted"),
    [
        (good(status=1), 256, ("exit", 1), ("fails", "fails locally as well")),
        (good(status=1), 0, ("exit", 0), ("disagreement", "farm1:3643", 1, b"err")),
        (good(status=-11), 11, Die(11), ("fails", "fails locally as well")),
        (good(limit="wall"), 0, ("exit", 0), ("limit", "the wall limit was reached on farm1:3643")),
    ],
)
def test_a_remote_failure_is_judged_by_the_local_compiler(remote, spawns, told, noted):
    caller, journal = served(remote=remote, caller={"spawns": spawns})
    assert caller.told == [("spawn", (b"/usr/bin/gcc", b"-c", b"a.c")), told]
    assert (caller.printed, journal) == ({1: b"", 2: b""}, [noted])


@pytest.mark.parametrize(
    ("remote", "status", "more"),
    [(good(status=3), 3, b""), (good(status=-11), 139, b""), (good(limit="cpu"), 1, b"cpu limit")],
)
def test_a_remote_failure_is_shown_where_nothing_may_judge_it(remote, status, more):
    caller, _ = served(Settings(hosts=(HOST,), fallback=False), remote=remote)
    assert caller.told == [("exit", status)]
    assert caller.printed[1] == b"out"
    assert caller.printed[2].startswith(b"err")
    assert more in caller.printed[2]


def test_a_result_that_is_not_accepted_is_an_error_where_nothing_may_compile_locally():
    caller, _ = served(
        Settings(hosts=(HOST,), fallback=False), remote=good(), made=StaysLocal("disagreement", "read other files")
    )
    assert caller.told == [("exit", 107)]
    assert b"read other files" in caller.printed[2]


@pytest.mark.parametrize("gone", [False, True])
def test_a_compile_whose_make_was_killed_ends(monkeypatch, gone):
    """The launcher lives on as somebody else's child: it and the remote job end all the same."""

    class Orphaned(request_handler.ProcessAncestry):
        def start(self):
            asyncio.get_running_loop().call_soon(self._orphaned)

    monkeypatch.setattr(request_handler, "ProcessAncestry", Orphaned)

    async def body():
        remote = asyncio.get_running_loop().create_future()
        door = Door(remote=remote)
        caller = NotingCaller()
        caller.gone = gone
        task = asyncio.create_task(door.attendance.serve(caller, REQUEST))
        caller.abandon = task.cancel
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if gone:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert caller.told == ([] if gone else [Die(signal.SIGTERM)])

    asyncio.run(body())


def test_what_the_driver_says_of_several_sources_is_said_once_and_first():
    unused, strange = b"gcc: warning: unused\n", b"\x1b[01m\x1b[Kgcc:\x1b[m\x1b[K strange\n"
    parts = [unused + b"a.c: one\n", strange + unused + b"b.c: two\n" + unused, b""]
    assert request_handler.said_together(REQUEST, parts) == unused + strange + b"a.c: one\nb.c: two\n" + unused
    assert request_handler.said_together(REQUEST, [unused + unused]) == unused + unused
    each, last = b"gcc: warning: [-Wdeprecated]\n", b"gcc: warning: [-Wunused-command-line-argument]\n"
    assert request_handler.said_together(REQUEST, [each + last, each + last]) == each + each + last


def test_several_sources_are_delivered_together_or_not_at_all():
    caller, noted = served(sources=2)
    assert caller.told == [("commit", (*MADE, *MADE)), ("exit", 0)]
    assert caller.printed == {1: b"outout", 2: b"errerr"}
    assert noted == [("remote", "farm1:3643", 7, 12, 0.1)] * 2
    caller, noted = served(sources=2, made=StaysLocal("disagreement", "read another file"))
    assert (caller.told, noted) == (LOCALLY, [("disagreement", "read another file")])
