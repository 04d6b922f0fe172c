"""A run's answers beside this machine's."""

import os
from pathlib import Path

import pytest

from securecc.client.execution.executor import Compile
from securecc.client.inputs.caches.directory_cache import DirectoryCache, Listing
from securecc.client.witness.comparison import Comparison, Difference, is_unset
from securecc.compiler.questions import Answer, Kind, Question, names_checksum
from tests.client.compile.compile_rig import Rig, run


async def compared(rig: Rig, *questions: Question, environment: dict[bytes, bytes] | None = None) -> list[Difference]:
    invocation = await rig.prepare(environment=environment or {b"PATH": b"/usr/bin"})
    inputs = await rig.resolve(invocation)
    return Comparison(DirectoryCache()).differences(Compile(rig.launcher, invocation, inputs), questions)


def name(text: str, answer: Answer, kind: Kind = Kind.NAME, mark: bytes = b"") -> Question:
    return Question(kind, answer, text.encode(), mark)


@pytest.mark.parametrize(
    "question",
    [
        name("a.c", Answer.REGULAR),
        name("a.h", Answer.REGULAR, Kind.LINK),
        name("none.h", Answer.ABSENT),
        name(".", Answer.FOLDER),
        name("/nowhere/x.h", Answer.ABSENT),
        name("a.c", Answer.PRESENT, Kind.ALLOWED, b"4---------------"),
        name("CPATH", Answer.ABSENT, Kind.VARIABLE),
        name("TMPDIR", Answer.PRESENT, Kind.VARIABLE),
        name("COLLECT_GCC", Answer.PRESENT, Kind.VARIABLE),  # set by the driver itself
        name("gettimeofday cc1", Answer.PRESENT, Kind.CLOCK),
    ],
)
def test_alike(rig: Rig, question: Question) -> None:
    assert run(compared(rig, question)) == []


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (name("a.h", Answer.ABSENT), "a.h is a file on this machine, and is not there on the server"),
        (name("none.h", Answer.REGULAR), "none.h is not there on this machine, and is a file on the server"),
        (name("a.h", Answer.FOLDER), "is a directory on the server"),
        (name("/etc/passwd", Answer.REGULAR), "the server has a file /etc/passwd of its own"),
        (name("/nowhere/as", Answer.PRESENT, Kind.PROGRAM), "ran /nowhere/as"),
        (name("time cc1", Answer.PRESENT, Kind.CLOCK), "time cc1"),
        (name("glob", Answer.PRESENT, Kind.UNKNOWN), "glob"),
        (name("PATH_OF_ITS_OWN", Answer.ABSENT, Kind.VARIABLE), ""),
        (name("a.c", Answer.REFUSED, Kind.ALLOWED, b"4---------------"), "permissions"),
    ],
)
def test_different(rig: Rig, question: Question, said: str) -> None:
    found = run(compared(rig, question))
    assert [said in difference.text for difference in found] == ([True] if said else [])


def test_what_is_here_and_was_not_there_can_be_shown(rig: Rig) -> None:
    [difference] = run(compared(rig, name("a.h", Answer.ABSENT)))
    assert difference.lacked == (os.fsencode(rig.folder / "a.h"),)
    [difference] = run(compared(rig, name("none.h", Answer.REGULAR)))
    assert difference.lacked == ()


def test_an_output_says_nothing(rig: Rig) -> None:
    (rig.folder / "a.o").touch()
    questions = (name("a.o", Answer.ABSENT), name("./a.o", Answer.ABSENT, Kind.WRITTEN))
    assert run(compared(rig, *questions)) == []
    assert run(compared(rig, questions[0])) != []


def test_a_directory_with_other_names(rig: Rig) -> None:
    mark = names_checksum([b"a.c", b"a.h"])
    assert run(compared(rig, name(".", Answer.FOLDER, Kind.DIRECTORY, mark))) == []
    (rig.folder / "b.h").touch()
    [difference] = run(compared(rig, name(".", Answer.FOLDER, Kind.DIRECTORY, mark)))
    assert any(path.endswith(b"/b.h") for path in difference.lacked)


def test_variables_that_are_set_here(rig: Rig) -> None:
    question = name("BINUTILS_ROOT", Answer.ABSENT, Kind.VARIABLE)
    environment = {b"PATH": b"/usr/bin", b"BINUTILS_ROOT": b""}
    [difference] = run(compared(rig, question, environment=environment))
    assert "BINUTILS_ROOT" in difference.text
    empty = {b"PATH": b"/usr/bin", b"CPATH": b""}
    assert run(compared(rig, name("CPATH", Answer.ABSENT, Kind.VARIABLE), environment=empty)) == []


def test_an_empty_search_variable_counts_as_unset(rig: Rig) -> None:
    invocation = run(rig.prepare(environment={b"PATH": b"/usr/bin", b"CPATH": b"", b"X": b""}))
    assert is_unset(b"CPATH", invocation)
    assert is_unset(b"Y", invocation)
    assert not is_unset(b"X", invocation)


def test_a_name_that_differs_in_case_only_where_the_directory_does_not_care(rig: Rig, tmp_path: Path) -> None:
    assert run(compared(rig, name("A.H", Answer.ABSENT))) == []


def test_what_nothing_cures_ends_the_comparison(rig: Rig) -> None:
    """A server gains nothing by asking on: the compile runs here."""
    asked = (name("a.h", Answer.ABSENT), name("none.h", Answer.REGULAR), name("a.c", Answer.ABSENT))
    assert [difference.question for difference in run(compared(rig, *asked))] == list(asked[:2])


def test_a_directory_is_listed_once_however_often_it_is_spelled_otherwise(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings: list[bytes] = []
    listing = DirectoryCache.listing

    def listed(self: DirectoryCache, path: bytes) -> Listing | None:
        listings.append(path)
        return listing(self, path)

    monkeypatch.setattr(DirectoryCache, "listing", listed)
    asked = [name(f"{slashes * '/'}usr/include{slashes * '/.'}/none.h", Answer.ABSENT) for slashes in range(1, 200)]
    assert run(compared(rig, *asked)) == []
    assert listings.count(b"/usr/include") < 20
    assert not [path for path in listings if path.startswith(b"//")]
