"""The questions of compiles that this machine answered alike, so that the same command need not compare them again.

What is remembered is what the answers rest on: in each directory the names that were asked for, and those on the way to
others. Directories that only root can change are watched (inotify(7)); others are looked at.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from cachetools import LRUCache

from securecc.client.host.system_directories import SystemDirectories
from securecc.client.inputs.caches.dependency_cache import Key
from securecc.client.inputs.caches.directory_cache import DirectoryCache, Listing
from securecc.client.inputs.caches.interning import Interner
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.witness.followed_paths import NO_NAMES, FollowedPaths, Place, join
from securecc.client.witness.local_answers import answer_at, is_allowed
from securecc.client.witness.without_effect import has_no_effect
from securecc.compiler.questions import PATHS, Answer, Kind, Question
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Digest

_UNWATCHED = (b"/proc/", b"/dev/", b"/sys/")  # names come and go there without a trace


class _Fact(NamedTuple):
    """What is at a name itself; of a symlink, what it says."""

    name: bytes
    answer: Answer
    target: bytes


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for in one existing directory: names that it lacks, names that it has, and how these may be used.
    If `whole`, every name counts.
    """

    listing: Listing
    absent: tuple[bytes, ...]
    present: tuple[_Fact, ...]
    allowed: tuple[Question, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """`moment` is that of the system's directories at which all of `system` was so."""

    digest: Digest
    unset: frozenset[bytes]
    own: tuple[_Asked, ...]
    system: tuple[_Asked, ...]
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

    def clear(self) -> None:
        """Forgets all compiles."""
        self._known.clear()

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
        asked = builder.built()
        self._known.pop(key, None)
        if asked is None:
            return
        unset = self._interner.one(frozenset(builder.unset - sent.keys()))
        known = self._watched(_Known(digest, unset, tuple(asked), (), moment))
        if known is not None:
            self._known[key] = known

    def _checked(self, known: _Known) -> _Known | None:
        """The same with listings as they are now; None if an answer is another."""
        moment = self._system.moment()
        if moment != known.moment:
            return self._watched(replace(known, moment=moment))
        own = self._refreshed(known.own)
        if own is None or own is known.own:
            return None if own is None else known
        return replace(known, own=own)

    def _watched(self, known: _Known) -> _Known | None:
        """The same, with all directories that can be watched watched from before they are looked at again: some may be
        others by now, or others' own.
        """
        own: list[_Asked] = []
        system: list[_Asked] = []
        for each in (*known.own, *known.system):
            (system if self._system.watch(each.listing.path) else own).append(each)
        looked_at, watched = self._refreshed(tuple(own)), self._refreshed(tuple(system))
        if looked_at is None or watched is None:
            return None
        return replace(known, own=looked_at, system=watched)

    def _refreshed(self, asked: tuple[_Asked, ...]) -> tuple[_Asked, ...] | None:
        fresh: list[_Asked] | None = None
        for index, each in enumerate(asked):
            if _is_unchanged(each.listing) and all(map(_may, each.allowed)):
                continue
            try:
                listing = self._directories.listing(each.listing.path)
            except StaysLocal:
                return None
            if listing is None or not all(map(_may, each.allowed)) or not _holds(each, listing):
                return None
            fresh = fresh if fresh is not None else list(asked)
            fresh[index] = replace(each, listing=listing)
        return asked if fresh is None else tuple(fresh)


def _is_unchanged(listing: Listing) -> bool:
    """Whether a directory shows by its stat key alone that nothing has come or gone."""
    try:
        status = os.stat(listing.path)
    except OSError:
        return False
    seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return seen == listing.stat_key and not listing.racy


def _holds(asked: _Asked, listing: Listing) -> bool:
    if asked.whole and listing.names != asked.listing.names:
        return False
    if listing.folds_case or not listing.names.isdisjoint(asked.absent):
        return False
    return all(_is(fact, listing.path) for fact in asked.present)


def _is(fact: _Fact, directory: bytes) -> bool:
    path = join(directory, fact.name)
    return answer_at(path, follow=False) is fact.answer and (not fact.target or _target(path) == fact.target)


def _may(question: Question) -> bool:
    return is_allowed(question.text, int(question.mark[:1])) is question.answer


def _target(link: bytes) -> bytes:
    try:
        return os.readlink(link)
    except OSError:
        return b""


class _Directory:
    """What a run asked for in one directory: names and what is there, and how they may be used."""

    __slots__ = ("absent", "allowed", "present", "whole")

    def __init__(self) -> None:
        self.absent: set[bytes] = set()
        self.present: dict[bytes, Answer] = {}
        self.allowed: dict[Question, None] = {}
        self.whole = False


class _Builder:
    """Sorts the questions of one run by physical directory."""

    def __init__(self, cwd: bytes, directories: DirectoryCache, interner: Interner) -> None:
        self.unset: set[bytes] = set()
        self._cwd = cwd
        self._cache = directories
        self._interner = interner
        self._paths = FollowedPaths()
        self._directories: defaultdict[bytes, _Directory] = defaultdict(_Directory)
        self._spelled: dict[bytes, _Directory | None] = {}
        self._written: set[bytes] = set()
        self._unwatched = False

    def add(self, question: Question) -> None:
        """Adds one, unless its answer does not matter."""
        if has_no_effect(question):
            return
        if question.kind in PATHS and question.kind is not Kind.DIRECTORY:
            self._add_path(question, absolute(question.text, self._cwd))
        elif question.kind is Kind.VARIABLE:
            if question.answer is Answer.ABSENT:
                self.unset.add(question.text)
        elif question.kind is Kind.WRITTEN:
            head, _, tail = absolute(question.text, self._cwd).rpartition(b"/")
            self._written.add(join(self._paths.place(head)[0], tail))
        elif question.kind is Kind.DIRECTORY:
            directory, missing = self._paths.place(absolute(question.text, self._cwd))
            if missing:
                self._directories[directory].absent.add(missing)
            else:
                self._directories[directory].whole = True

    def built(self) -> list[_Asked] | None:
        """What was asked for in each directory; None if it cannot be seen there whether an answer changes."""
        for path in self._paths.left - {b"/"}:
            head, _, tail = path.rpartition(b"/")
            self._directories[head or b"/"].present[tail] = Answer.FOLDER
        for path in self._paths.links:
            head, _, tail = path.rpartition(b"/")
            self._directories[head or b"/"].present[tail] = Answer.SYMLINK
        built = [self._asked(path, directory) for path, directory in self._directories.items()]
        found = [each for each in built if each is not None]
        return found if len(found) == len(built) and not self._unwatched else None

    def _asked(self, path: bytes, directory: _Directory) -> _Asked | None:
        try:
            listing = self._cache.listing(path)
        except StaysLocal:
            return None
        one, links = self._interner.one, self._paths.links
        written = {tail for head, _, tail in (name.rpartition(b"/") for name in self._written) if head == path}
        absent = tuple(sorted(directory.absent - written))
        if listing is None or listing.folds_case or not listing.names.isdisjoint(absent):
            return None
        present = tuple(
            _Fact(name, answer, links.get(join(path, name), b"") if answer is Answer.SYMLINK else b"")
            for name, answer in directory.present.items()
            if name not in written
        )
        return _Asked(listing, one(absent), one(present), one(tuple(directory.allowed)), directory.whole)

    def _add_path(self, question: Question, path: bytes) -> None:
        """Adds the name in the directory where it would be; or what is missing on the way there."""
        head, _, tail = path.rpartition(b"/")
        directory = self._spelled[head] if head in self._spelled else self._entered(head)
        if directory is None:
            self._unwatched = True
        elif question.kind is Kind.ALLOWED:
            self._add_allowed(question, path, directory)
        elif question.answer is Answer.ABSENT and tail not in NO_NAMES:
            directory.absent.add(tail)
        elif question.kind is Kind.LINK and tail not in NO_NAMES:
            directory.present[tail] = question.answer
            if question.answer is Answer.SYMLINK:
                self._paths.place(path)
        elif directory.present.get(tail) is not question.answer:  # else it is no symlink
            self._add_end(self._paths.place(path), question.answer)

    def _entered(self, spelled: bytes) -> _Directory | None:
        """The directory that the compiler spelled so; None if nothing tells whether the names in it change."""
        entered: _Directory | None = None
        if not (spelled + b"/").startswith(_UNWATCHED):
            directory, missing = self._paths.place(spelled)
            self._unwatched = self._unwatched or (directory + b"/").startswith(_UNWATCHED)
            entered = self._directories[directory]
            if missing:
                entered.absent.add(missing)
                entered = _Directory()  # in which nothing counts
        self._spelled[spelled] = entered
        return entered

    def _add_end(self, place: Place, answer: Answer) -> None:
        """Adds what was found at the end of a way."""
        directory, name = place
        if answer is Answer.ABSENT:
            self._directories[directory].absent.add(name)
            self._unwatched = self._unwatched or not name  # it is there now
        elif name:
            self._directories[directory].present[name] = answer
        else:
            self._paths.left.add(directory)

    def _add_allowed(self, question: Question, path: bytes, near: _Directory) -> None:
        """Adds how a file may be used, where its name is and where it is itself."""
        asked = self._interner.one(Question(Kind.ALLOWED, question.answer, path, question.mark))
        for directory in (near, self._directories[self._paths.place(path)[0]]):
            directory.allowed[asked] = None
