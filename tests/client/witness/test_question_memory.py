"""Questions are remembered exactly as long as this machine answers them alike."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from securecc.client.host import system_directories
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


def lead_elsewhere(link: Path) -> None:
    link.unlink()
    link.symlink_to("other")


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
    "a link leads elsewhere": lambda top: lead_elsewhere(top / "ln"),
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


def test_what_comes_and_goes_without_a_trace_is_not_remembered(place: Path) -> None:
    memory = QuestionMemory(DirectoryCache(), SystemDirectories())
    for path, kept in (("/proc/4194305/status", 0), ("/sys/x", 0), ("/dev/null", 1), ("/proc/self/exe", 1)):
        memory.keep(KEY, DIGEST, (asked(Kind.NAME, Answer.ABSENT, path),), os.fsencode(place), {})
        assert (path, len(memory)) == (path, kept)


NAMES = ("inc", "sub", "other", "ln", "far", "a.h", "b.h", "new")
PATHS = st.lists(st.sampled_from((*NAMES, "..", ".", "")), min_size=1, max_size=4).map(
    lambda names: "/".join(names).lstrip("/") or "."
)
ASKED = st.tuples(st.sampled_from((Kind.NAME, Kind.LINK, Kind.ALLOWED, Kind.DIRECTORY)), PATHS)
PLACES = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
DEEDS = st.tuples(st.sampled_from(("touch", "remove", "mkdir", "link", "move", "chmod", "renew")), PLACES, PLACES)
SAID: tuple[tuple[type[OSError], Answer], ...] = (
    (FileNotFoundError, Answer.ABSENT),
    (NotADirectoryError, Answer.ABSENT),
    (OSError, Answer.REFUSED),
)


def truth(top: Path, kind: Kind, path: str) -> Question:
    """What the kernel says now."""
    whole = f"{top}/{path}"
    if kind is Kind.ALLOWED:
        answer = Answer.PRESENT if os.access(whole, os.X_OK) else Answer.REFUSED
        return asked(kind, answer, path, b"1" + b"-" * 15)
    if kind is Kind.DIRECTORY:
        names = os.listdir(os.fsencode(whole)) if os.path.isdir(whole) else []
        return asked(kind, Answer.FOLDER, path, names_checksum(names))
    try:
        mode = os.stat(whole, follow_symlinks=kind is Kind.NAME).st_mode >> 12
    except OSError as error:
        return asked(kind, next(answer for kinds, answer in SAID if isinstance(error, kinds)), path)
    return asked(kind, {0o10: Answer.REGULAR, 0o4: Answer.FOLDER, 0o12: Answer.SYMLINK}[mode], path)


def do(top: Path, deed: str, path: str, other: str) -> None:
    place = top / path
    with contextlib.suppress(OSError):
        if deed == "touch":
            place.touch()
        elif deed == "mkdir":
            place.mkdir()
        elif deed == "link":
            place.symlink_to(top / other)
        elif deed == "move":
            place.rename(top / other)
        elif deed == "renew":
            shutil.copytree(place, top / "copy", symlinks=True)
            shutil.rmtree(place)
            (top / "copy").rename(place)
        elif deed == "chmod":
            place.chmod(place.stat().st_mode ^ 0o111 if place.is_file() else 0o755)
        elif place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()


@contextlib.contextmanager
def tree(*, watched: bool) -> Iterator[tuple[Path, QuestionMemory]]:
    """Directories that are watched or looked at, and a memory."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(system_directories, "_only_roots", lambda _: watched)
        top = Path(folder) / "w"
        for name in ("inc/sub", "other/sub"):
            (top / name).mkdir(parents=True)
        for name in ("a.h", "inc/a.h", "inc/sub/b.h", "other/a.h"):
            (top / name).touch()
        (top / "ln").symlink_to("inc")
        (top / "far").symlink_to("ln/sub/../a.h")
        yield top, QuestionMemory(DirectoryCache(), SystemDirectories())


@settings(max_examples=150)
@given(watched=st.booleans(), questions=st.lists(ASKED, min_size=1, max_size=4), deeds=st.lists(DEEDS, max_size=4))
@example(watched=False, questions=[(Kind.NAME, "ln/b.h")], deeds=[("remove", "ln", "a"), ("link", "ln", "inc/sub")])
@example(watched=True, questions=[(Kind.NAME, "ln/b.h")], deeds=[("remove", "ln", "a"), ("link", "ln", "inc/sub")])
@example(watched=False, questions=[(Kind.NAME, "inc/sub/../a.h")], deeds=[("remove", "inc/sub", "a")])
@example(watched=True, questions=[(Kind.NAME, "inc/b.h")], deeds=[("renew", "inc", "a"), ("touch", "inc/b.h", "a")])
@example(watched=False, questions=[(Kind.NAME, "inc/sub/..")], deeds=[("remove", "inc/sub", "a")])
@example(watched=False, questions=[(Kind.NAME, "far")], deeds=[("remove", "inc/a.h", "a")])
@example(watched=False, questions=[(Kind.ALLOWED, "a.h")], deeds=[("chmod", "a.h", "a")])
@example(watched=True, questions=[(Kind.ALLOWED, "far")], deeds=[("chmod", "inc/a.h", "a")])
def test_it_never_vouches_for_an_answer_that_has_changed(
    watched: bool, questions: list[tuple[Kind, str]], deeds: list[tuple[str, str, str]]
) -> None:
    with tree(watched=watched) as (top, memory):
        answers = [truth(top, *question) for question in questions]
        memory.keep(KEY, DIGEST, answers, os.fsencode(top), {})
        for deed in deeds:
            do(top, *deed)
            same = answers == [truth(top, *question) for question in questions]
            assert memory.recall(KEY, frozenset()) in ({b"", DIGEST} if same else {b""})
            if not same:
                return


ORDINARY = st.tuples(
    st.sampled_from((Kind.NAME, Kind.LINK, Kind.ALLOWED)),
    st.sampled_from(("a.h", "inc/a.h", "ln/sub/b.h", "far", "inc/none.h", "none/x/a.h", "inc/sub/../a.h", "other")),
)


@settings(max_examples=60)
@given(watched=st.booleans(), questions=st.lists(ORDINARY, min_size=1, max_size=6), places=st.lists(PLACES, max_size=4))
def test_it_vouches_whatever_else_happens(watched: bool, questions: list[tuple[Kind, str]], places: list[str]) -> None:
    with tree(watched=watched) as (top, memory):
        memory.keep(KEY, DIGEST, [truth(top, *question) for question in questions], os.fsencode(top), {})
        for place in places:
            do(top, "touch", f"{place}-unasked", "")
            do(top, "mkdir", f"{place}-unasked-folder", "")
            if (top / place).is_file():
                (top / place).write_text("other")
        assert memory.recall(KEY, frozenset()) == DIGEST
