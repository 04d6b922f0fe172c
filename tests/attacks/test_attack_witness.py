"""A compiler that tampers with the log of its own questions: the client gets none, or those that it asked before, and
nobody is harmed.
"""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from securecc.compiler import questions
from securecc.compiler.questions import Answer, Kind, Question
from securecc.model import limits
from securecc.model.manifest import digest
from securecc.model.messages import Invite
from tests.attacks.health import Health
from tests.attacks.raw import SOURCE, End, Raw, blob, file
from tests.farm import farmside
from tests.farm.farmside import Farm, Realms

LOG = "/.securecc/witness"
MARK = Question(Kind.NAME, Answer.ABSENT, b"/mark", by_driver=True)
LIES = {
    "it truncates its log": f"truncate {LOG}",
    "it fills its log with garbage": f"scribble {LOG}",
    "it asks more than there is room for": "ask 3000",
}
TRUTHS = {
    "it takes its log away": f"unlink {LOG}",
    "a symlink in the place of its log": f"unlink {LOG} symlink {LOG}",
    "a FIFO in the place of its log": f"unlink {LOG} fifo {LOG}",
    "another file in the place of its log": f"unlink {LOG} create {LOG} append {LOG}",
    "it moves its log to where an output belongs": f"move {LOG}",
    "a second name for its log": f"link {LOG}",
    "its log becomes very large": f"grow {LOG}",
}


@pytest.fixture(scope="module")
def tamperer() -> Iterator[Path]:
    """A compiler that does what its source says, where the runner's own user can read it."""
    with tempfile.TemporaryDirectory(prefix="securecc-test-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        program, source = Path(folder) / "tamper-gcc", Path(__file__).parents[1] / "intruder.c"
        subprocess.run(["gcc", "-O1", "-o", program, source], check=True)
        yield program


@pytest.fixture(scope="module")
def farm(realms: Realms, tamperer: Path) -> Iterator[Farm]:
    """It offers gcc, too."""
    with farmside.some_farm(realms) as made:
        made.server.configure(toolchains=f"[/usr/bin/gcc, {tamperer}]")
        made.server.restart()
        yield made


def compile_with(farm: Farm, program: Path, words: str, known: bytes = b"") -> End:
    """What becomes of a compile that asks for /mark and then does this."""

    async def go() -> End:
        async with Raw(farm) as raw:
            [toolchain] = [offer.digest for offer in raw.welcome.toolchains if offer.name == program.name]
            job = raw.ask(toolchain)
            assert isinstance(await raw.hear_of(job, Invite), Invite)
            source = f"read /mark {words}\n".encode()
            entries, arguments = [file(SOURCE, source)], (b"-c", b"a.c", b"-o", b"a.o")
            driver = os.fsencode(program)
            raw.tell(raw.submission(job, entries, arguments, driver, toolchain=toolchain, questions=known))
            return await raw.finish(job, entries, {blob(source): source})

    return asyncio.run(go())


@pytest.mark.parametrize("lie", LIES)
def test_what_may_not_be_whole_is_nothing(farm: Farm, health: Health, tamperer: Path, lie: str) -> None:
    end = compile_with(farm, tamperer, LIES[lie])
    assert (end.how, end.ran.witness, end.questions) == ("result", b"", b""), end
    assert [record["outcome"] for record in health.records(kind="job-end")] == ["done"]


@pytest.mark.parametrize("truth", TRUTHS)
def test_what_is_in_its_place_is_not_read(farm: Farm, health: Health, tamperer: Path, truth: str) -> None:
    end = compile_with(farm, tamperer, TRUTHS[truth])
    assert end.how == "result", end
    assert digest(end.questions) == end.ran.witness
    assert MARK in questions.parse(end.questions)
    assert b"root:" not in end.content
    assert len(end.questions) <= limits.WITNESS
    assert [record["outcome"] for record in health.records(kind="job-end")] == ["done"]


@pytest.mark.parametrize("known", [b"x", b"x" * 31, b"x" * 33, b"x" * 4096])
def test_a_digest_that_is_none(farm: Farm, health: Health, tamperer: Path, known: bytes) -> None:
    end = compile_with(farm, tamperer, "", known)
    assert (end.how, end.code) == ("refused", "protocol"), end
    [record] = health.records(kind="job-refused")
    assert record["code"] == "protocol"
    assert health.records(kind="job-start") == []


def test_a_digest_of_somebody_elses_questions_shows_none_of_them(farm: Farm, health: Health, tamperer: Path) -> None:
    """It only says whether this very run asked the same."""
    first = compile_with(farm, tamperer, "")
    assert MARK in questions.parse(first.questions)
    other = compile_with(farm, tamperer, "read /other", first.ran.witness)
    assert other.ran.witness != first.ran.witness
    assert digest(other.questions) == other.ran.witness
    same = compile_with(farm, tamperer, "", first.ran.witness)
    assert (same.ran.witness, same.questions) == (first.ran.witness, b"")
