"""Questions whose answers do not show in what a compile makes, each with its reason.

A question that is not listed here counts: if the answers differ, the compile runs locally.
"""

import re
from collections.abc import Iterable

from securecc.compiler.questions import PATHS, Answer, Kind, Question

VARIABLES = frozenset(
    (
        b"PATH",  # the programs are the toolchain's own
        b"TMPDIR",  # names of temporary files: an output with one of the server's is not accepted
        b"TMP",
        b"TEMP",
        b"LC_ALL",  # the client translates the locale and the zone (`securecc.compiler.command_line.environment`)
        b"LC_MESSAGES",
        b"LC_CTYPE",
        b"LANG",
        b"LANGUAGE",
        b"TZ",
        b"TERM",  # the client sends what the terminal can do (`securecc.client.host.terminal_types`)
        b"TERMINFO",
        b"TERMINFO_DIRS",
        b"HOME",  # of terminfo(5); who looks for a file there asks for the file, too, and the server has no HOME
        b"MAKEFLAGS",  # the job server, which only links use
        b"MFLAGS",
        b"PWD",  # the client says in which directory, and as what it is known
    )
)
"""Variables."""

_PATHS = re.compile(
    rb"/\.securecc"  # the way to the job's temporary files
    rb"|/proc/self/(exe|fd(/.*)?)"  # how clang finds itself, and what it has opened
    rb"|/dev/(null|urandom|random|tty|std(in|out|err)|fd(/.*)?)"
    # how clang links for a distribution
    rb"|(/usr/lib|/etc)/(os|lsb|redhat|fedora|debian|SuSE|gentoo|alpine|arch|exherbo)-?_?(release|version)"
    # clang's search for CUDA and ROCm, whose languages never leave this machine; anybody may include their headers
    rb"|/+(usr(/local)?|opt)/(cuda|rocm)[^/]*(/(?!.*include/).*)?"
    rb"|/+opt"
    # of terminfo(5): the client sends what the terminal can do
    rb"|(/etc|/lib|/usr/lib|/usr(/local)?/share)/terminfo(/.*)?",
    re.DOTALL,
)
_NAMES = frozenset(
    (
        b"ptxas",  # of CUDA and ROCm, too, in any directory of programs
        b"hipVersion",
        b".hipVersion",
        b"crtfastmath.o",  # only linked
    )
)
_LIBRARIES = re.compile(rb"(/.*)?/lib(32|64|x32)?(/[^/]*-linux-[^/]*)?(/\.\./lib(32|64|x32)?)?/?\.?", re.DOTALL)
_COMPILERS = re.compile(rb"/.*/gcc(-cross)?", re.DOTALL)
_CLOCKS = frozenset(
    (
        b"gettimeofday",  # how gcc numbers what it could not name otherwise; names of temporary files
        b"clock_gettime",  # how long things take (clang's -ftime-trace); no compiler takes a date from there
    )
)
_MACHINE = frozenset((b"getpid", b"processors"))  # names of temporary files; how many threads work


def has_no_effect(question: Question) -> bool:
    """Whether the answer does not show in what a compiler makes."""
    kind = question.kind
    if kind in PATHS:
        return question.text.rpartition(b"/")[2] in _NAMES or _PATHS.fullmatch(question.text) is not None
    if kind is Kind.VARIABLE:
        return question.text in VARIABLES
    if kind is Kind.CHANCE:
        return True  # what chance decides differs from run to run on one machine, too
    if kind in {Kind.CLOCK, Kind.MACHINE}:
        what, _, asker = question.text.partition(b" ")
        return asker.startswith(b"libtinfo.so") or what in (_CLOCKS if kind is Kind.CLOCK else _MACHINE)
    return False


def triplets(questions: Iterable[Question]) -> frozenset[bytes]:
    """The targets for which a clang has looked for a gcc."""
    found = (_COMPILERS.fullmatch(question.text.rpartition(b"/")[0]) and question.text for question in questions)
    return frozenset(path.rpartition(b"/")[2] for path in found if path)


def is_directory_of_compilers(path: bytes) -> bool:
    """Whether clang looks there for a gcc for one of its target's `triplets`: a directory that has none of them means
    what a missing one means.
    """
    return _COMPILERS.fullmatch(path) is not None


def is_directory_of_libraries(question: Question, family: str) -> bool:
    """Whether it matters only to a link that there is such a directory.

    gcc's driver makes search paths of the directories that it finds; the files that it wants in one, such as specs, it
    asks for in any case. clang asks for directories of libraries and looks for nothing in them unless it links.
    """
    if question.kind not in {Kind.NAME, Kind.LINK, Kind.ALLOWED}:
        return False
    if question.answer not in {Answer.ABSENT, Answer.FOLDER, Answer.PRESENT, Answer.REFUSED}:
        return False
    return (family == "gcc" and question.by_driver) or _LIBRARIES.fullmatch(question.text) is not None
