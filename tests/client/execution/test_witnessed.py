"""A result whose questions this machine answers differently is sent again with what lacked, or made here."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from securecc.client.execution.accepted import NotAcceptedError
from securecc.client.execution.executor import Compile, Outcome
from securecc.client.execution.witnessed import MOST_ATTEMPTS, Witnessed
from securecc.client.host.system_directories import SystemDirectories
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.spool import Content
from securecc.client.witness.witness import Witness
from securecc.model.errors import Refused, StaysLocal
from securecc.model.manifest import Kind, digest
from tests.client.compile.compile_rig import Rig, run

ALIKE = b"Nfa.c\0Nfa.h"


class Server:
    """Makes the same object each time, and says that the run asked these questions, the last ones over and over."""

    def __init__(self, *asked: bytes | None) -> None:
        self.asked = list(asked)
        self.compiles: list[Compile] = []
        self.outcome: Outcome | None = None

    async def run(self, compile_: Compile) -> Outcome:
        self.compiles.append(compile_)
        assert self.outcome is not None
        asked = self.asked.pop(0) if len(self.asked) > 1 else self.asked[0]
        if asked is None:
            return self.outcome
        received = self.outcome.received
        result = _with(received.result, witness=digest(asked), questions=len(asked))
        return replace(self.outcome, received=replace(received, result=result, questions=Content.of(asked)))


def _with(result: Any, **changes: Any) -> Any:
    return type(result)(**{name: changes.get(name, getattr(result, name)) for name in result.__struct_fields__})


async def witnessed(
    rig: Rig, *asked: bytes | None, environment: dict[bytes, bytes] | None = None, status: int = 0
) -> Server:
    server = Server(*asked)
    await asking(rig, server, environment, status)
    return server


async def asking(rig: Rig, server: Server, environment: dict[bytes, bytes] | None = None, status: int = 0) -> None:
    invocation = await rig.prepare(environment=environment or {b"PATH": b"/usr/bin"})
    inputs = await rig.resolve(invocation)
    rig.answers(rig.good(b"object", status=status))
    server.outcome = await rig.run(invocation, inputs)
    chain = Witnessed(server, rig.resolver, Witness(DirectoryCache(), SystemDirectories()))
    await chain.run(Compile(rig.launcher, invocation, inputs))


def test_alike(rig: Rig) -> None:
    assert len(run(witnessed(rig, ALIKE)).compiles) == 1


def test_a_server_without_a_witness_is_taken_at_its_word(rig: Rig) -> None:
    assert len(run(witnessed(rig, None)).compiles) == 1


def test_but_not_where_a_variable_may_count(rig: Rig) -> None:
    with pytest.raises(NotAcceptedError, match="GCC_X"):
        run(witnessed(rig, None, environment={b"PATH": b"/usr/bin", b"GCC_X": b"1"}))


def test_what_lacked_is_shown(rig: Rig) -> None:
    (rig.folder / "opt.h").touch()
    server = run(witnessed(rig, b"N-opt.h\0Nfa.c", b"Nfa.c\0Nfopt.h"))
    first, second = server.compiles
    assert [any(entry.path.endswith(b"/opt.h") for entry in each.inputs.entries) for each in (first, second)] == [
        False,
        True,
    ]
    assert (first.attempt, second.attempt) == (1, 2)


def test_a_failure_for_want_of_a_file_is_sent_again(rig: Rig) -> None:
    (rig.folder / "opt.h").touch()
    server = run(witnessed(rig, b"N-opt.h", ALIKE, status=1))
    assert [each.attempt for each in server.compiles] == [1, 2]


def test_any_other_failure_is_judged_further_out(rig: Rig) -> None:
    assert len(run(witnessed(rig, b"Nfnone.h", status=1)).compiles) == 1


def test_a_server_that_never_has_enough_is_given_up(rig: Rig) -> None:
    for number in range(9):
        (rig.folder / f"h{number}.h").touch()
    asked = [b"N-h%d.h" % number for number in range(9)]
    with pytest.raises(NotAcceptedError, match="is not there on the server"):
        run(witnessed(rig, *asked))
    with pytest.raises(NotAcceptedError):
        run(witnessed(rig, b"N-h1.h"))
    assert len(asked) > MOST_ATTEMPTS


@pytest.mark.parametrize("asked", [b"Nfnone.h", b"T+time cc1", b"U+glob", b"V+X\0v+Y", b"N-a.c\0Nfnone.h"])
def test_what_showing_does_not_cure_is_made_here(rig: Rig, asked: bytes) -> None:
    with pytest.raises(NotAcceptedError) as caught:
        run(witnessed(rig, asked))
    assert caught.value.reason == "witness"


@pytest.mark.parametrize("asked", [b"garbage", b"Nf\0\0", b"Xfa"])
def test_what_is_no_question_is_not_believed(rig: Rig, asked: bytes) -> None:
    with pytest.raises(NotAcceptedError) as caught:
        run(witnessed(rig, asked))
    assert caught.value.reason == "disagreement"


class Refusing(Server):
    """Takes the first attempt, and refuses the others."""

    async def run(self, compile_: Compile) -> Outcome:
        if compile_.attempt > 1:
            raise Refused("tree", "path '/sys' lies where no client's file may")
        return await super().run(compile_)


def test_what_a_server_refuses_is_shown_no_more(rig: Rig) -> None:
    """It would be shown with each later compile of the toolchain: all would be refused."""
    (rig.folder / "opt.h").touch()

    async def body() -> None:
        invocation = await rig.prepare()
        inputs = await rig.resolve(invocation)
        server = Refusing(b"N-opt.h")
        rig.answers(rig.good(b"object"))
        server.outcome = await rig.run(invocation, inputs)
        chain = Witnessed(server, rig.resolver, Witness(DirectoryCache(), SystemDirectories()))
        with pytest.raises(Refused):
            await chain.run(Compile(rig.launcher, invocation, inputs))
        assert (await rig.resolve(invocation)).digest == inputs.digest

    run(body())


def test_nor_where_something_was_withheld(rig: Rig, elsewhere: Path) -> None:
    (elsewhere / "x.h").touch()
    (rig.folder / "a.c").write_text(f'#include "a.h"\n#if __has_include("{elsewhere}/x.h")\n#endif\n')
    with pytest.raises(NotAcceptedError, match=r"x\.h, which was not sent"):
        run(witnessed(rig, None))
    assert len(run(witnessed(rig, ALIKE)).compiles) == 1


def test_a_toolchain_that_no_server_witnesses_is_sent_what_can_be_foreseen_only(rig: Rig) -> None:
    """The first run tells; later ones would be in vain."""

    async def body() -> None:
        rig.answers(rig.good(b"object"))
        invocation = await rig.prepare()
        plain = await rig.resolve(invocation)
        server = Server(None)
        server.outcome = await rig.run(invocation, plain)
        chain = Witnessed(server, rig.resolver, Witness(DirectoryCache(), SystemDirectories()))
        asking = Compile(rig.launcher, invocation, replace(plain, unforeseen="a macro names a file"))
        for _ in range(2):
            with pytest.raises(NotAcceptedError, match="a macro names a file"):
                await chain.run(asking)
        assert len(server.compiles) == 1
        await chain.run(Compile(rig.launcher, invocation, plain))
        assert len(server.compiles) == 2

    run(body())


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory that has nothing to do with the project."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_a_hostile_server_cannot_ask_for_any_file(rig: Rig, elsewhere: Path) -> None:
    (elsewhere / "secret").write_text("alice's own")
    upwards = os.path.relpath(elsewhere / "secret", rig.folder).encode()
    for path in (bytes(elsewhere / "secret"), b"/etc/shadow", upwards):
        with pytest.raises(StaysLocal, match="no text of the compile names"):
            run(witnessed(rig, b"N-" + path))


def secrets(base: Path) -> Path:
    """A home directory with a project, and around it, in it and linked from it what is nobody's business."""
    project = base / "home/project"
    for name in ("home/.ssh", "home/other", "home/project/sub", "home/project/.git"):
        (base / name).mkdir(parents=True)
    for name in ("id", "home/.ssh/id", "home/id", "home/other/id", "home/project/.git/id", "home/project/.id"):
        (base / name).write_text("alice's own")
    (project / "sub/x.h").touch()
    (project / "out").symlink_to("../.ssh")
    (project / "leak").symlink_to("../id")
    return project


WORDS = st.sampled_from((b"..", b".", b"", b".ssh", b".git", b".id", b"id", b"home", b"project", b"other", b"out"))
ODD = st.sampled_from((b"sub", b"x.h", b"leak", b"a.c", b"*", b"x\n", b"\xff", b"a" * 300))
PATHS = st.lists(WORDS | ODD, max_size=5).map(b"/".join)
KINDS = st.sampled_from((b"N-", b"L-", b"Nd", b"D-" + b"0" * 16, b"A!4" + b"-" * 15, b"P+", b"Wf", b"nf"))
ASKED = st.lists(st.tuples(KINDS, st.booleans(), PATHS), min_size=1, max_size=3)


@settings(max_examples=60)
@given(rounds=st.lists(ASKED, min_size=1, max_size=MOST_ATTEMPTS))
@example(rounds=[[(b"N-", False, b"leak")]])
@example(rounds=[[(b"N-", False, b"out/id")]])
@example(rounds=[[(b"L-", False, b"out")], [(b"N-", False, b"out/id")]])
@example(rounds=[[(b"N-", False, b".git/id")]])
@example(rounds=[[(b"N-", False, b".id")]])
@example(rounds=[[(b"N-", False, b"../id")]])
@example(rounds=[[(b"D-" + b"0" * 16, False, b"..")]])
@example(rounds=[[(b"D-" + b"0" * 16, True, b"home/.ssh")]])
def test_whatever_a_server_asks_for_it_gets_nothing_outside_the_project(
    rounds: list[list[tuple[bytes, bool, bytes]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        base = Path(folder)
        patch.setenv("HOME", str(base / "home"))
        rig = Rig(secrets(base))
        asked = [
            b"\0".join(kind + (bytes(base) + b"/" if below else b"") + path for kind, below, path in questions)
            for questions in rounds
        ]
        server = Server(*asked)
        with contextlib.suppress(NotAcceptedError, StaysLocal):
            run(asking(rig, server))
        own = bytes(rig.folder) + b"/"
        sent = [entry.path for each in server.compiles for entry in each.inputs.entries if entry.kind is Kind.FILE]
        assert {own + b"a.c", own + b"a.h"} <= set(sent)
        assert [path for path in sent if not path.startswith((own, b"/usr/"))] == []
        assert [path for path in sent if b"/." in path] == []


def test_a_file_that_the_source_names_may_be_asked_for(rig: Rig, elsewhere: Path) -> None:
    outside = elsewhere / "shared.h"
    outside.write_text("int shared;\n")
    (rig.folder / "a.c").write_text(f'#include "{outside}"\n#include "a.h"\nint a;\n')
    rig.answers()
    server = run(witnessed(rig, b"N-" + bytes(outside), b"Nf" + bytes(outside)))
    assert any(entry.path == bytes(outside) for entry in server.compiles[-1].inputs.entries)
