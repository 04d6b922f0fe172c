"""Jobs with a witness: what the report says of their questions, also where the job is at odds with its log."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from securecc.compiler.questions import Answer, Kind, Question, parse
from securecc.model import limits
from securecc.model.manifest import digest
from securecc.runner.witness_log import SIZE
from tests.runnerside import Outcome, Runner

LOG = b"/.securecc/witness"
TREE = {b"/home/alice/a.c": b"int x;\n", b"/usr/include": None}


@pytest.fixture(params=["jail", "bubblewrap"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way into the sandbox."""
    monkeypatch.setattr(Runner, "sandbox", request.param)
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def tamperer() -> Iterator[bytes]:
    """The intruder as a compiler that loads the witness, where the runner's own user can read it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = f"{folder}/tamperer"
        subprocess.run(["gcc", "-O1", "-o", program, Path(__file__).parents[1] / "intruder.c"], check=True)
        yield program.encode()


def questions_of(outcome: Outcome) -> tuple[Question, ...]:
    assert digest(outcome.questions) == outcome.report.witness
    assert len(outcome.questions) == outcome.report.questions
    return parse(outcome.questions)


def test_a_compile_tells_its_questions_once(way: str) -> None:
    async def body() -> None:
        async with Runner() as runner:
            assert runner.toolchain.witnessed
            command = [b"gcc", b"-c", b"a.c"]
            first = await runner.run(command, TREE, questions=b"")
            asked = questions_of(first)
            assert Question(Kind.NAME, Answer.REGULAR, b"a.c") in asked
            assert Question(Kind.VARIABLE, Answer.ABSENT, b"CPATH", by_driver=False) in asked
            assert list(first.made) == [b"/home/alice/a.o"]
            for known in (first.report.witness, b"\0" * 32):
                again = await runner.run(command, TREE, questions=known)
                assert again.report.witness == first.report.witness
                assert again.questions == (b"" if known == first.report.witness else first.questions)
            unasked = await runner.run(command, TREE)
            assert (unasked.report.witness, unasked.questions) == (b"", b"")

    asyncio.run(body())


def test_without_a_witness_jobs_have_no_questions() -> None:
    async def body() -> None:
        async with Runner(without=["witness"]) as runner:
            assert not runner.toolchain.witnessed
            outcome = await runner.run([b"gcc", b"-c", b"a.c"], TREE, questions=b"")
            assert (outcome.report.status, outcome.report.witness, outcome.questions) == (0, b"", b"")

    asyncio.run(body())


UNKNOWN = [
    [b"truncate", LOG],  # the witness itself dies of the file's end, or writes where nothing is read
    [b"scribble", LOG],
    [b"scribble", LOG, b"read", b"/x"],
]
"""After this, what was asked is not known."""

KNOWN = [
    [b"read", b"/x", b"unlink", LOG],
    [b"read", b"/x", b"unlink", LOG, b"create", LOG, b"append", LOG],
    [b"read", b"/x", b"unlink", LOG, b"symlink", LOG],
    [b"read", b"/x", b"unlink", LOG, b"fifo", LOG],
    [b"read", b"/x", b"move", LOG],
    [b"read", b"/x", b"link", LOG],
    [b"read", b"/x", b"chmod", LOG],
    [b"read", b"/x", b"append", LOG],
    [b"read", b"/x", b"grow", LOG],
]
"""After this it is: the runner reads the file that it made, whatever else has that name by now."""


@pytest.mark.parametrize("without", [[], ["landlock"]], ids=["landlock", "without"])
def test_a_job_that_tampers_with_its_log_harms_nobody(way: str, tamperer: bytes, without: list[str]) -> None:
    async def body() -> None:
        async with Runner(compilers=[tamperer.decode()], without=without) as runner:
            assert runner.toolchain.witnessed
            for words in UNKNOWN:
                outcome = await runner.run([tamperer, *words], questions=b"")
                assert (outcome.report.failure, outcome.report.witness, outcome.questions) == ("", b"", b""), words
            for words in KNOWN:
                outcome = await runner.run([tamperer, *words], questions=b"")
                assert (outcome.report.failure, outcome.report.status) == ("", 0), words
                assert Question(Kind.NAME, Answer.ABSENT, b"/x", by_driver=True) in questions_of(outcome), words
                for made in outcome.report.made:  # the log itself, by the name of an output
                    assert len(outcome.made[made.path]) == made.size == SIZE, words
                assert b"root:" not in b"".join((outcome.questions, *outcome.made.values()))
            honest = await runner.run([tamperer, b"read", b"/y"], questions=b"")
            assert [each.text for each in questions_of(honest)] == [b"/y"]
            assert "Traceback" not in runner.said()

    asyncio.run(body())


def test_more_questions_than_there_is_room_for_are_none(tamperer: bytes) -> None:
    async def body() -> None:
        async with Runner(compilers=[tamperer.decode()]) as runner:
            words = [b"ask", b"%d" % (limits.WITNESS // 990)]
            outcome = await runner.run([tamperer, *words], questions=b"")
            assert (outcome.report.status, outcome.report.witness) == (0, b"")
            words = [b"ask", b"%d" % (limits.WITNESS // 1100)]
            outcome = await runner.run([tamperer, *words], questions=b"")
            assert outcome.report.questions > limits.WITNESS * 9 // 10
            assert all(each.text.startswith(b"/q") for each in questions_of(outcome))

    asyncio.run(body())
