"""Questions are remembered exactly as long as this machine answers them alike."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from securecc.client.host.system_directories import SystemDirectories
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.witness.question_memory import QuestionMemory
from securecc.compiler.questions import Answer, Kind, Question, names_checksum

KEY, DIGEST = ("compile",), b"d" * 32


def asked(kind: Kind, answer: Answer, text: str, mark: bytes = b"") -> Question:
    return Question(kind, answer, text.encode(), mark)


QUESTIONS = (
    asked(Kind.NAME, Answer.REGULAR, "a.c"),
    asked(Kind.NAME, Answer.ABSENT, "a.o"),
    asked(Kind.WRITTEN, Answer.ABSENT, "a.o"),
    asked(Kind.NAME, Answer.ABSENT, "inc/b.h"),
    asked(Kind.NAME, Answer.REGULAR, "inc/a.h"),
    asked(Kind.NAME, Answer.FOLDER, "inc/sub"),
    asked(Kind.NAME, Answer.ABSENT, "none/deep/c.h"),
    asked(Kind.LINK, Answer.SYMLINK, "ln"),
    asked(Kind.NAME, Answer.REGULAR, "ln/a.h"),
    asked(Kind.DIRECTORY, Answer.FOLDER, "whole", names_checksum([b"one"])),
    asked(Kind.VARIABLE, Answer.ABSENT, "CPATH"),
    asked(Kind.VARIABLE, Answer.ABSENT, "TMPDIR"),
    asked(Kind.CLOCK, Answer.PRESENT, "gettimeofday cc1"),
    asked(Kind.NAME, Answer.ABSENT, "/usr/include/none.h"),
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    top = tmp_path / "w"
    for name in ("inc/sub", "whole", "other"):
        (top / name).mkdir(parents=True)
    for name in ("a.c", "inc/a.h", "other/a.h", "whole/one"):
        (top / name).touch()
    (top / "ln").symlink_to("inc")
    return top


@pytest.fixture
def memory(place: Path) -> QuestionMemory:
    memory = QuestionMemory(DirectoryCache(), SystemDirectories())
    memory.keep(KEY, DIGEST, QUESTIONS, os.fsencode(place), {})
    return memory


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_missing(top: Path) -> None:
    (top / "none/deep").mkdir(parents=True)
    (top / "none/deep/c.h").touch()


CHANGES: dict[str, Callable[[Path], object]] = {
    "a name appears": lambda top: (top / "inc/b.h").touch(),
    "a name goes": lambda top: (top / "inc/a.h").unlink(),
    "a file is a directory now": lambda top: replace_by_directory(top / "inc/a.h"),
    "a directory is gone": lambda top: (top / "inc/sub").rmdir(),
    "a directory appears on the way": lambda top: (top / "none/deep").mkdir(parents=True),
    "a file in a directory that was missing": make_missing,
    "a name in a directory that was listed": lambda top: (top / "whole/two").touch(),
    "the directory is gone": lambda top: shutil.rmtree(top / "inc"),
    "the source is gone": lambda top: (top / "a.c").unlink(),
    "a link is a directory": lambda top: replace_by_directory(top / "ln"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_answer_that_changes_ends_it(memory: QuestionMemory, place: Path, change: str) -> None:
    assert memory.recall(KEY, frozenset()) == DIGEST
    CHANGES[change](place)
    assert memory.recall(KEY, frozenset()) == b""
    assert memory.recall(KEY, frozenset()) == b""


HARMLESS: dict[str, Callable[[Path], object]] = {
    "the output is written": lambda top: (top / "a.o").touch(),
    "another name appears": lambda top: (top / "inc/z.h").touch(),
    "a file is written again": lambda top: (top / "inc/a.h").write_text("new"),
    "a name elsewhere": lambda top: (top / "other/b.h").touch(),
    "a variable that does not count": lambda top: None,
}


@pytest.mark.parametrize("change", HARMLESS)
def test_anything_else_does_not(memory: QuestionMemory, place: Path, change: str) -> None:
    HARMLESS[change](place)
    assert memory.recall(KEY, frozenset((b"TMPDIR", b"HOME"))) == DIGEST


def test_a_variable_that_was_unset(memory: QuestionMemory) -> None:
    assert memory.recall(KEY, frozenset((b"CPATH",))) == b""


def test_what_was_not_so_is_not_remembered(place: Path) -> None:
    memory = QuestionMemory(DirectoryCache(), SystemDirectories())
    (place / "inc/b.h").touch()
    memory.keep(KEY, DIGEST, QUESTIONS, os.fsencode(place), {})
    assert len(memory) == 0
    assert memory.recall(KEY, frozenset()) == b""
