"""Judges what runs on servers asked of their surroundings."""

from collections.abc import Iterable

from cachetools import LRUCache

from securecc.client.compile.invocation import Invocation
from securecc.client.execution.executor import Compile
from securecc.client.host.system_directories import SystemDirectories
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.witness.comparison import Comparison, Difference, is_unset
from securecc.client.witness.question_memory import QuestionMemory
from securecc.client.witness.without_effect import VARIABLES
from securecc.compiler import questions
from securecc.compiler.questions import Answer, Kind, Question
from securecc.model import limits, manifest
from securecc.model.errors import ProtocolError, StaysLocal
from securecc.model.manifest import Digest
from securecc.model.printable import quote

MOST_VARIABLES = 1024
"""Of how many variables it is remembered that a toolchain asks for them; a clang asks for some 20."""


class Witness:
    """An agent keeps one for life, since it remembers which questions this machine answers as servers do."""

    def __init__(self, directories: DirectoryCache, system: SystemDirectories) -> None:
        self._comparison = Comparison(directories)
        self._memory = QuestionMemory(directories, system)
        self._missing: LRUCache[Digest, bool] = LRUCache(limits.TOOLCHAINS_REMEMBERED)
        self._asked: LRUCache[tuple[Digest, str], frozenset[bytes]] = LRUCache(limits.TOOLCHAINS_REMEMBERED)

    def known(self, invocation: Invocation) -> Digest:
        """The digest of the questions that the compile asked before, if this machine still answers them alike; else
        empty.
        """
        return self._memory.recall(invocation.key, invocation.variables)

    def clear(self) -> None:
        """Forgets all questions: answers that were watched for may be others."""
        self._memory.clear()

    def check_foreseen(self, compile_: Compile) -> None:
        """Checks that no variable is set that earlier runs of the toolchain asked for and that is not sent.

        Raises:
            StaysLocal: one is: the run would be in vain.
        """
        invocation = compile_.invocation
        asked = self._asked.get(_language(invocation))
        if asked is None:
            return
        sent = invocation.environment.variables
        found = [name for name in asked & invocation.variables if name not in sent and not is_unset(name, invocation)]
        if found:
            raise StaysLocal("environment", f"{quote(min(found))} is set here, and the compiler asks for it")

    def is_missing(self, toolchain: Digest) -> bool:
        """Whether the last run of a toolchain told no questions: its programs cannot load the witness, or the server
        has none.
        """
        return self._missing.get(toolchain, False)

    def note_missing(self, toolchain: Digest, *, missing: bool) -> None:
        """Remembers whether a run of a toolchain told its questions."""
        self._missing[toolchain] = missing

    def judge(self, compile_: Compile, digest: Digest, data: bytes) -> list[Difference]:
        """The questions of a run, as a server sent them, that this machine answers differently. If there are none, they
        are remembered.

        Raises:
            ProtocolError: these are no questions, or not those that `digest` names.
        """
        if manifest.digest(data) != digest:
            raise ProtocolError("the questions of the run are not those that their digest names")
        asked = questions.parse(data)
        self._note_variables(compile_.invocation, asked)
        differences = self._comparison.differences(compile_, asked)
        if not differences:
            invocation = compile_.invocation
            self._memory.keep(invocation.key, digest, asked, invocation.request.cwd, compile_.environment)
        return differences

    def _note_variables(self, invocation: Invocation, asked: Iterable[Question]) -> None:
        key = _language(invocation)
        unset = {each.text for each in asked if each.kind is Kind.VARIABLE and each.answer is Answer.ABSENT} - VARIABLES
        known = self._asked.get(key, frozenset())
        if not unset <= known and len(known) < MOST_VARIABLES:
            self._asked[key] = known | unset


def _language(invocation: Invocation) -> tuple[Digest, str]:
    """A toolchain's compiler: those of different languages ask for different variables."""
    return invocation.toolchain.digest, invocation.plan.language
