"""The questions of compiles that this machine answered alike, so that the same command need not compare them again.

What is remembered is what the answers rest on: in each directory the names that were asked for. Directories that only
root can change are watched (inotify(7)); others are looked at.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cachetools import LRUCache

from securecc.client.host.system_directories import SystemDirectories
from securecc.client.inputs.caches.dependency_cache import Key
from securecc.client.inputs.caches.directory_cache import DirectoryCache, Listing
from securecc.client.inputs.caches.interning import Interner
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.witness.local_answers import LocalAnswers
from securecc.client.witness.without_effect import VARIABLES, has_no_effect
from securecc.compiler.questions import Answer, Kind, Question
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Digest

_MISSING = Question(Kind.NAME, Answer.ABSENT, b"")
_PATHS = frozenset((Kind.NAME, Kind.LINK, Kind.ALLOWED, Kind.DIRECTORY))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for in one existing directory: names that it lacks, and questions about names that it has. If
    `whole`, every name counts.
    """

    listing: Listing
    absent: tuple[bytes, ...]
    present: tuple[Question, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """`ways` are directories as the compiler spelled them, with where they led; `moment` is that of the system's
    directories at which all of `system` and `ways` was so.
    """

    digest: Digest
    unset: frozenset[bytes]
    own: tuple[_Asked, ...]
    system: tuple[_Asked, ...]
    ways: tuple[tuple[bytes, bytes], ...]
    moment: int


class QuestionMemory:
    """The questions of the compiles that one agent has seen, `most` of them."""

    def __init__(
        self, directories: DirectoryCache, system: SystemDirectories, most: int = limits.COMPILES_REMEMBERED
    ) -> None:
        self._directories = directories
        self._system = system
        self._interner = Interner()
        self._known: LRUCache[Key, _Known] = LRUCache(most)

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, key: Key, variables: frozenset[bytes]) -> Digest:
        """The digest of a compile's questions, if this machine still answers all of them as it did; else empty, and
        they are forgotten. `variables` are those that the user has set.
        """
        known = self._known.get(key)
        if known is None:
            return b""
        fresh = self._checked(known)
        if fresh is None or not known.unset.isdisjoint(variables):
            del self._known[key]
            return b""
        if fresh is not known:
            self._known[key] = fresh
        return known.digest

    def keep(
        self, key: Key, digest: Digest, questions: Iterable[Question], cwd: bytes, sent: Mapping[bytes, bytes]
    ) -> None:
        """Remembers questions that this machine has just answered alike. `sent` are the variables that the server was
        told. They are not remembered if it cannot be seen whether the answers change.
        """
        moment = self._system.moment()
        builder = _Builder(cwd, self._directories, self._interner)
        for question in questions:
            builder.add(question)
        built = builder.built(self._system)
        if built is None:
            self._known.pop(key, None)
            return
        own, system, ways = built
        unset = self._interner.one(frozenset(builder.unset - sent.keys() - VARIABLES))
        self._known[key] = _Known(digest, unset, own, system, ways, moment)

    def _checked(self, known: _Known) -> _Known | None:
        """The same with listings as they are now; None if an answer is another."""
        own = self._refreshed(known.own)
        if own is None:
            return None
        moment = self._system.moment()
        system: tuple[_Asked, ...] | None = known.system
        if moment != known.moment:
            system = self._refreshed(known.system)
            if system is None or any(os.path.realpath(spelled) != real for spelled, real in known.ways):
                return None
        if own is known.own and moment == known.moment:
            return known
        assert system is not None
        return replace(known, own=own, system=system, moment=moment)

    def _refreshed(self, asked: tuple[_Asked, ...]) -> tuple[_Asked, ...] | None:
        fresh: list[_Asked] | None = None
        for index, each in enumerate(asked):
            try:
                listing = self._directories.listing(each.listing.path)
            except StaysLocal:
                return None
            if listing is each.listing:
                continue
            if listing is None or not _holds(each, listing, self._directories):
                return None
            fresh = fresh if fresh is not None else list(asked)
            fresh[index] = replace(each, listing=listing)
        return asked if fresh is None else tuple(fresh)


def _holds(asked: _Asked, listing: Listing, directories: DirectoryCache) -> bool:
    if asked.whole and listing.names != asked.listing.names:
        return False
    if listing.folds_case or not listing.names.isdisjoint(asked.absent):
        return False
    answers = LocalAnswers(directories, b"/")
    return all(_same(question, answers) for question in asked.present)


def _same(question: Question, answers: LocalAnswers) -> bool:
    here = answers.link(question.text) if question.kind is Kind.LINK else answers.name(question.text)
    return here is question.answer


def _join(directory: bytes, name: bytes) -> bytes:
    return b"/" + name if directory == b"/" else directory + b"/" + name


class _Builder:
    """Sorts the questions of one run by directory."""

    def __init__(self, cwd: bytes, directories: DirectoryCache, interner: Interner) -> None:
        self.unset: set[bytes] = set()
        self._cwd = cwd
        self._directories = directories
        self._interner = interner
        self._real: dict[bytes, bytes] = {}
        self._found: dict[bytes, tuple[bytes, bytes]] = {}
        self._absent: dict[bytes, set[bytes]] = {}
        self._present: dict[bytes, dict[Question, None]] = {}
        self._whole: set[bytes] = set()
        self._written: set[bytes] = set()

    def add(self, question: Question) -> None:
        """Adds one, unless its answer does not matter."""
        if has_no_effect(question):
            return
        if question.kind is Kind.VARIABLE and question.answer is Answer.ABSENT:
            self.unset.add(question.text)
        elif question.kind is Kind.WRITTEN:
            head, _, tail = absolute(question.text, self._cwd).rpartition(b"/")
            self._written.add(_join(self._directory(head or b"/"), tail))
        elif question.kind is Kind.DIRECTORY:
            self._whole.add(self._directory(absolute(question.text, self._cwd)))
        elif question.kind in _PATHS and not question.text.startswith((b"/proc/", b"/dev/")):
            self._add_path(question, absolute(question.text, self._cwd))

    def built(
        self, system: SystemDirectories
    ) -> tuple[tuple[_Asked, ...], tuple[_Asked, ...], tuple[tuple[bytes, bytes], ...]] | None:
        """Directories that are looked at, directories that are watched, and the ways to the latter; None if one has
        changed meanwhile or cannot be listed.
        """
        own: list[_Asked] = []
        watched: list[_Asked] = []
        for directory in {**self._absent, **self._present, **dict.fromkeys(self._whole)}:
            asked = self._asked(directory)
            if asked is None:
                return None
            (watched if system.watch(directory) else own).append(asked)
        real = {asked.listing.path for asked in watched}
        ways = tuple((spelled, end) for spelled, end in self._real.items() if spelled != end and end in real)
        return tuple(own), tuple(watched), ways

    def _asked(self, directory: bytes) -> _Asked | None:
        try:
            listing = self._directories.listing(directory)
        except StaysLocal:
            return None
        missing = self._absent.get(directory, ())
        absent = tuple(sorted(name for name in missing if _join(directory, name) not in self._written))
        if listing is None or listing.folds_case or not listing.names.isdisjoint(absent):
            return None
        present = tuple(question for question in self._present.get(directory, ()) if question.text not in self._written)
        return _Asked(listing, self._interner.one(absent), self._interner.one(present), directory in self._whole)

    def _add_path(self, question: Question, path: bytes) -> None:
        """Adds the name in the directory where it would be, or the first name that is missing on the way there."""
        head, _, tail = path.rstrip(b"/").rpartition(b"/")
        directory, missing = self._existing(self._directory(head or b"/"))
        if missing:
            tail, question = missing, _MISSING
        if tail in {b"", b".", b".."}:
            return
        if question.answer is Answer.ABSENT:
            self._absent.setdefault(directory, set()).add(self._interner.one(tail))
        elif question.kind is not Kind.ALLOWED:
            there = Question(question.kind, question.answer, _join(directory, tail))
            self._present.setdefault(directory, {})[self._interner.one(there)] = None

    def _existing(self, directory: bytes) -> tuple[bytes, bytes]:
        """The nearest existing directory on the way, and the first missing name, empty if the directory exists."""
        found = self._found.get(directory)
        if found is None:
            at, missing = directory, b""
            while not os.path.isdir(at):
                head, _, missing = at.rpartition(b"/")
                at = head or b"/"
            found = self._found[directory] = at, missing
        return found

    def _directory(self, spelled: bytes) -> bytes:
        real = self._real.get(spelled)
        if real is None:
            real = self._real[spelled] = os.path.realpath(spelled)
        return real
