"""Compares the answers that a run got on a server with those that this machine gives."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cachetools import LRUCache

from securecc.client.compile.invocation import Invocation
from securecc.client.compile.resolve_inputs import MOST_LACKED
from securecc.client.execution.executor import Compile
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.witness import without_effect
from securecc.client.witness.followed_paths import FollowedPaths, join
from securecc.client.witness.local_answers import LocalAnswers
from securecc.compiler.command_line.environment import SEARCHES
from securecc.compiler.questions import Answer, Kind, Question
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model import limits
from securecc.model.manifest import Kind as EntryKind
from securecc.model.printable import plain_path, quote

_SAID = {
    Answer.ABSENT: "is not there",
    Answer.REGULAR: "is a file",
    Answer.FOLDER: "is a directory",
    Answer.SYMLINK: "is a symbolic link",
    Answer.SPECIAL: "is a special file",
    Answer.REFUSED: "cannot be looked at",
    Answer.PRESENT: "is there",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A question that this machine answers differently. `text` says so to a person. `lacked` are paths that are here
    and that the server was not shown: a run that is shown them may be answered alike.
    """

    question: Question
    text: str
    lacked: tuple[bytes, ...] = ()


class Comparison:
    """Compares runs. An agent keeps one for life, since it remembers directories and toolchains."""

    def __init__(self, directories: DirectoryCache) -> None:
        self._directories = directories
        self._toolchains: LRUCache[bytes, frozenset[bytes]] = LRUCache(limits.TOOLCHAINS_REMEMBERED)

    def differences(self, compile_: Compile, questions: Iterable[Question]) -> list[Difference]:
        """The questions whose answers differ here and may show in what was made: all that showing paths may cure, up to
        one that it does not, or to `MOST_LACKED` paths.
        """
        return _Run(compile_, self._directories, self._own_files(compile_)).differences(tuple(questions))

    def _own_files(self, compile_: Compile) -> frozenset[bytes]:
        toolchain = compile_.invocation.toolchain
        found = self._toolchains.get(toolchain.digest)
        if found is None:
            found = self._toolchains[toolchain.digest] = _files_of(toolchain)
        return found


def is_unset(name: bytes, invocation: Invocation) -> bool:
    """Whether a variable is not set, or means the same as if it were not."""
    return name not in invocation.variables or (name in SEARCHES and not invocation.request.environment.get(name))


def variable_difference(question: Question, invocation: Invocation, sent: Mapping[bytes, bytes]) -> str:
    """What this machine says otherwise about a variable; empty if nothing."""
    name = question.text
    if name in sent:
        return ""
    if question.answer is Answer.ABSENT:
        return "" if is_unset(name, invocation) else f"{quote(name)} is set here, and the compiler asks for it"
    return f"the compiler asked for {quote(name)}, which was set on the server alone" if question.by_driver else ""


def _files_of(toolchain: ToolchainClosure) -> frozenset[bytes]:
    return frozenset(file.path for file in (*toolchain.files, *toolchain.calls))


class _Run:
    """One run against this machine."""

    def __init__(self, compile_: Compile, directories: DirectoryCache, toolchain: frozenset[bytes]) -> None:
        self._invocation = compile_.invocation
        self._family = compile_.invocation.toolchain.family
        self._cwd = compile_.invocation.request.cwd
        self._sent = compile_.environment
        self._has_zone = bool(compile_.inputs.timestamps) or b"TZ" in self._sent
        self._paths = FollowedPaths()
        self._answers = LocalAnswers(directories, self._cwd, self._paths)
        self._toolchain = toolchain
        entries = compile_.inputs.entries
        self._files = frozenset(entry.path for entry in entries if entry.kind in {EntryKind.FILE, EntryKind.LINK})
        self._trees = tuple(entry.path + b"/" for entry in entries if entry.kind is EntryKind.SHARED_TREE)
        self._written: frozenset[bytes] = frozenset()
        self._questions: tuple[Question, ...] = ()

    def differences(self, questions: tuple[Question, ...]) -> list[Difference]:
        written = [question.text for question in questions if question.kind is Kind.WRITTEN]
        self._written = frozenset(os.path.normpath(absolute(path, self._cwd)) for path in written)
        self._questions = questions
        found: list[Difference] = []
        lacked = 0
        for question in questions:
            difference = self._difference(question)
            if difference is None:
                continue
            found.append(difference)
            lacked += len(difference.lacked)
            if not difference.lacked or lacked > MOST_LACKED:
                break
        return found

    def _difference(self, question: Question) -> Difference | None:
        match question.kind:
            case Kind.NAME | Kind.LINK:
                return self._path(question)
            case Kind.ALLOWED:
                return self._allowed(question)
            case Kind.DIRECTORY:
                return self._directory(question)
            case Kind.VARIABLE:
                text = variable_difference(question, self._invocation, self._sent)
                return self._counted(question, text) if text else None
            case Kind.PROGRAM:
                if self._both_have(absolute(question.text, self._cwd)):
                    return None
                return self._counted(
                    question, f"the server ran {plain_path(question.text)}, not a program of the compiler's"
                )
            case Kind.WRITTEN:
                return None
            case Kind.CLOCK if question.text.startswith(b"localtime ") and self._has_zone:
                return None
            case _:
                return self._counted(
                    question, f"the compiler asked for {quote(question.text)}, which has no answer twice"
                )

    def _path(self, question: Question) -> Difference | None:
        path, told = question.text, question.answer
        here = self._answers.name(path) if question.kind is Kind.NAME else self._answers.link(path)
        if here is told:
            if told not in {Answer.REGULAR, Answer.SYMLINK} or self._both_have(absolute(path, self._cwd)):
                return None
            text = f"the server has a file {plain_path(path)} of its own"
        else:
            text = f"{plain_path(path)} {_SAID[here]} on this machine, and {_SAID[told]} on the server"
        if self._is_written(path):
            return None
        directory = here is not told and {here, told} <= {Answer.ABSENT, Answer.FOLDER}
        if directory and without_effect.is_directory_of_libraries(question, self._family):
            return None
        if directory and without_effect.is_directory_of_compilers(path) and self._has_no_compiler(path):
            return None
        lacked = (absolute(path, self._cwd),) if here is not Answer.ABSENT else ()
        return self._counted(question, text, lacked)

    def _allowed(self, question: Question) -> Difference | None:
        here = self._answers.allowed(question.text, int(question.mark[:1]))
        if here is question.answer or self._is_written(question.text):
            return None
        if without_effect.is_directory_of_libraries(question, self._family):
            return None
        return self._counted(question, f"{plain_path(question.text)} has other permissions on the server")

    def _directory(self, question: Question) -> Difference | None:
        if self._answers.checksum(question.text) == question.mark:
            return None
        path = absolute(question.text, self._cwd)
        lacked = tuple(path + b"/" + name for name in sorted(self._answers.names(question.text)))
        return self._counted(question, f"{plain_path(path)} has other names in it on the server", lacked)

    def _counted(self, question: Question, text: str, lacked: tuple[bytes, ...] = ()) -> Difference | None:
        return None if without_effect.has_no_effect(question) else Difference(question, text, lacked)

    def _has_no_compiler(self, directory: bytes) -> bool:
        return self._answers.names(directory).isdisjoint(without_effect.triplets(self._questions))

    def _is_written(self, path: bytes) -> bool:
        return os.path.normpath(absolute(path, self._cwd)) in self._written

    def _both_have(self, path: bytes) -> bool:
        """Whether a path leads to a file that was sent, is the toolchain's or is in a shared tree."""
        head, _, tail = path.rpartition(b"/")
        directory, missing = self._paths.place(head)
        return (not missing and self._has(join(directory, tail))) or self._has(os.path.realpath(path))

    def _has(self, path: bytes) -> bool:
        return path in self._files or path in self._toolchain or path.startswith(self._trees)
