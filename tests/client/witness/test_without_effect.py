"""Which questions do not count, and that the unknown does."""

import pytest

from securecc.client.witness.without_effect import (
    has_no_effect,
    is_directory_of_compilers,
    is_directory_of_libraries,
    triplets,
)
from securecc.compiler.questions import Answer, Kind, Question


def name(path: bytes, answer: Answer = Answer.ABSENT, *, by_driver: bool = False) -> Question:
    return Question(Kind.NAME, answer, path, by_driver=by_driver)


@pytest.mark.parametrize(
    "question",
    [
        Question(Kind.VARIABLE, Answer.ABSENT, b"TMPDIR"),
        Question(Kind.CLOCK, Answer.PRESENT, b"gettimeofday cc1"),
        Question(Kind.CLOCK, Answer.PRESENT, b"time libtinfo.so.6"),
        Question(Kind.MACHINE, Answer.PRESENT, b"getpid as"),
        Question(Kind.CHANCE, Answer.PRESENT, b"getrandom"),
        name(b"/etc/os-release"),
        name(b"/.securecc", Answer.FOLDER),
        name(b"/usr/local/cuda-12/bin"),
        name(b"/usr/local/cuda/include"),
        name(b"/opt/rocm/bin/.hipVersion"),
        name(b"/home/alice/bin/ptxas"),
        name(b"/usr/share/terminfo/x/xterm"),
        name(b"/usr/lib/gcc/x86_64-linux-gnu/12/crtfastmath.o"),
        name(b"/proc/self/exe"),
    ],
)
def test_these_do_not_show_in_an_object(question: Question) -> None:
    assert has_no_effect(question)


@pytest.mark.parametrize(
    "question",
    [
        Question(Kind.VARIABLE, Answer.ABSENT, b"CPATH"),
        Question(Kind.VARIABLE, Answer.ABSENT, b"MACOSX_DEPLOYMENT_TARGET"),
        Question(Kind.CLOCK, Answer.PRESENT, b"time cc1"),
        Question(Kind.CLOCK, Answer.PRESENT, b"time libtinfo-not.so"),
        Question(Kind.MACHINE, Answer.PRESENT, b"uname cc1"),
        Question(Kind.UNKNOWN, Answer.PRESENT, b"glob"),
        Question(Kind.PROGRAM, Answer.PRESENT, b"/tmp/as"),
        name(b"/proc/self/status"),
        name(b"/usr/include/cuda.h"),
        name(b"/usr/local/cuda/include/cuda.h"),
        name(b"/opt/rocm/bin/../include/hip/hip_runtime.h"),
        name(b"src/terminfo/caps.h"),
        name(b"/home/alice/ncurses/terminfo/caps.h"),
        name(b"/etc/passwd"),
        name(b"/.securecc/witness", Answer.REGULAR),
        name(b"stdio.h"),
    ],
)
def test_anything_else_counts(question: Question) -> None:
    assert not has_no_effect(question)


@pytest.mark.parametrize("path", [b"/lib/x86_64-linux-gnu", b"/usr/lib/../lib64", b"/usr/lib32", b"/sdk/usr/lib/."])
def test_directories_of_libraries_matter_to_links_only(path: bytes) -> None:
    assert is_directory_of_libraries(name(path), "clang")


@pytest.mark.parametrize("path", [b"/usr/local/include", b"/usr/lib/gcc/x/12/include", b"/lib.h"])
def test_other_directories_matter(path: bytes) -> None:
    assert not is_directory_of_libraries(name(path), "clang")
    assert is_directory_of_libraries(name(path, by_driver=True), "gcc")
    assert not is_directory_of_libraries(name(path, Answer.REGULAR, by_driver=True), "gcc")


def test_where_clang_looks_for_a_gcc() -> None:
    asked = [name(b"/usr/bin/../lib/gcc/x86_64-linux-gnu"), name(b"/usr/include/stdio.h")]
    assert triplets(asked) == {b"x86_64-linux-gnu"}
    assert is_directory_of_compilers(b"/usr/lib/gcc-cross")
    assert not is_directory_of_compilers(b"/usr/lib")
