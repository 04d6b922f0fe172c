"""What one compile reads: from memory, else by scanning its includes, else by asking the compiler."""

import os
import stat
from dataclasses import replace
from typing import TypeVar

from cachetools import LRUCache

from securecc.client.compile import compiler_query
from securecc.client.compile.invocation import Invocation
from securecc.client.inputs import special_files
from securecc.client.inputs.caches.dependency_cache import DependencyCache, Key
from securecc.client.inputs.compile_inputs import Inputs, narrowed
from securecc.client.inputs.foreseen_paths import ForeseenPaths, is_public
from securecc.client.inputs.include_search import IncludeSearch
from securecc.client.inputs.manifest_builder import ManifestBuilder
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.ipc.launcher import Launcher
from securecc.compiler.command_line.languages import STDIN
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.printable import plain_path
from securecc.system.file_type import file_type

_K = TypeVar("_K")

MOST_LACKED = 1024
"""How many paths are remembered that runs of one compile, one project or one toolchain lacked."""

PROJECTS = 256
"""For how many working directories, each with a toolchain, it is remembered what runs lacked."""


class InputResolver:
    """Finds inputs. An agent keeps one for life, since it remembers compiles."""

    def __init__(self, builder: ManifestBuilder, cache: DependencyCache) -> None:
        self._builder = builder
        self._cache = cache
        self._of_compiles: LRUCache[Key, tuple[bytes, ...]] = LRUCache(limits.COMPILES_REMEMBERED)
        self._of_toolchains: LRUCache[bytes, tuple[bytes, ...]] = LRUCache(limits.TOOLCHAINS_REMEMBERED)
        self._of_projects: LRUCache[tuple[bytes, bytes], tuple[bytes, ...]] = LRUCache(PROJECTS)

    async def resolve(self, launcher: Launcher, invocation: Invocation, *, vouched: bool = False) -> Inputs:
        """What the compile reads: from memory if that still holds, else all that it may read. `vouched`: all names that
        it asked for are as they were.

        Raises:
            StaysLocal: that cannot be known, or cannot be reproduced on a server.
            LauncherGoneError: the launcher, which runs the compiler to ask it, has ended.
        """
        if invocation.plan.source == STDIN:
            return await self._from_standard_input(launcher, invocation)
        known = self._cache.recall(invocation.key, vouched=vouched)
        if known is not None and not known.read_last_time:
            return known
        _check_named(invocation)
        if invocation.shared_trees:  # what was remembered without them is useless now
            self._cache.forget(replace(invocation, shared_trees=()).key)
        if known is None and invocation.plan.alters_system_search:
            return await self.ask(launcher, invocation)
        search = self._search(invocation)
        try:
            if known is None:
                inputs = self._builder.from_scan(absolute(invocation.plan.source, search.cwd), search)
            else:
                inputs = replace(self._builder.from_list(known.read_last_time, search), from_compiler=False)
        except StaysLocal as error:
            if error.reason == special_files.SPECIAL:  # asking the compiler would use it up
                raise
            return await self.ask(launcher, invocation)
        self._cache.keep(invocation.key, inputs)
        return inputs

    async def ask(self, launcher: Launcher, invocation: Invocation) -> Inputs:
        """What the compile reads, from the compiler itself.

        Raises:
            StaysLocal: the compiler does not say, or what it names cannot be reproduced on a server.
            LauncherGoneError: the launcher, which runs the compiler, has ended.
        """
        listed, search = await compiler_query.listed(launcher, invocation)
        search = self._with_lacked(invocation, search)
        _check_taken(listed, search.cwd)
        try:
            inputs = self._builder.from_list(listed, search)
        except StaysLocal as error:
            if error.reason != "computed-line" or not invocation.plan.source_type.preprocesses:
                raise
            unlisted = (*search.unlisted_files, *await compiler_query.line_names(launcher, invocation))
            inputs = self._builder.from_list(listed, replace(search, unlisted_files=unlisted, knows_line_names=True))
        self._cache.keep(invocation.key, inputs)
        return inputs

    async def widen(
        self, launcher: Launcher, invocation: Invocation, inputs: Inputs, lacked: tuple[bytes, ...]
    ) -> Inputs:
        """What the compile reads, together with paths (absolute) that a run asked for and that were not sent.

        They are remembered: those in the compile's own directories for this compile, those of the system for its
        toolchain, and others for what is compiled in its working directory.

        Raises:
            StaysLocal: one of them cannot be reproduced on a server, or must not leave this machine.
            LauncherGoneError: the launcher, which runs the compiler to ask it, has ended.
        """
        if invocation.plan.source == STDIN:
            raise StaysLocal("standard-input", "standard input can be read only once, and the run lacked a file")
        self._check_may_leave(invocation, inputs, lacked)
        cwd = invocation.request.cwd
        places = (cwd + b"/", absolute(invocation.plan.source, cwd).rpartition(b"/")[0] + b"/")
        own = [path for path in lacked if path.startswith(places)]
        others = [path for path in lacked if not path.startswith(places)]
        public = [path for path in others if is_public(path)]
        _add(self._of_compiles, invocation.key, own)
        _add(self._of_toolchains, invocation.toolchain.digest, public)
        _add(self._of_projects, _project(invocation), [path for path in others if path not in public])
        self._cache.forget(invocation.key)
        try:
            return await (self.ask if inputs.from_compiler else self.resolve)(launcher, invocation)
        except StaysLocal:
            self.give_up(invocation)
            raise

    def _check_may_leave(self, invocation: Invocation, inputs: Inputs, paths: tuple[bytes, ...]) -> None:
        """Checks that a server may be shown these paths: those of the project, of the command's include directories and
        of the system, and what a text of the compile names. That a run asked for it is only the server's word.

        Raises:
            StaysLocal: a path is another.
        """
        search = invocation.search
        foreseen = ForeseenPaths((*search.project, search.cwd, *search.directories))
        for path in paths:
            real = os.path.realpath(path)  # a link of the project's may lead to anything
            if foreseen.covers(path) and foreseen.covers(real):
                continue
            if not is_public(path) and not self._builder.names(inputs, search, path):
                raise StaysLocal("witness", f"the run asked for {plain_path(path)}, which no text of the compile names")

    def give_up(self, invocation: Invocation) -> None:
        """Forgets what runs of this compile, its project and its toolchain lacked, since a server does not take it."""
        self._of_compiles.pop(invocation.key, None)
        self._of_projects.pop(_project(invocation), None)
        self._of_toolchains.pop(invocation.toolchain.digest, None)
        self._cache.forget(invocation.key)

    def learn(self, invocation: Invocation, inputs: Inputs, read: bytes) -> None:
        """Records which inputs a run has read (bits as in `messages.Result`): the next one must read the same."""
        self._cache.keep(invocation.key, narrowed(inputs, read))

    def forget(self, invocation: Invocation) -> None:
        """Forgets inputs that turned out not to be those that the compile read."""
        self._cache.forget(invocation.key)

    async def _from_standard_input(self, launcher: Launcher, invocation: Invocation) -> Inputs:
        if invocation.plan.alters_system_search:
            raise StaysLocal("standard-input", "standard input, and options that lead to other headers")
        content = await launcher.input()
        if content is None:
            raise StaysLocal("standard-input", f"standard input is not a pipe or file of up to {limits.INPUT} bytes")
        return self._builder.from_standard_input(content, self._search(invocation))

    def _search(self, invocation: Invocation) -> IncludeSearch:
        return self._with_lacked(invocation, invocation.search)

    def _with_lacked(self, invocation: Invocation, search: IncludeSearch) -> IncludeSearch:
        """Where a compile looks, with the paths that earlier runs lacked."""
        paths = (
            *self._of_compiles.get(invocation.key, ()),
            *self._of_projects.get(_project(invocation), ()),
            *self._of_toolchains.get(invocation.toolchain.digest, ()),
        )
        if not paths:
            return search
        folders = tuple(path for path in paths if os.path.isdir(path))
        files = tuple(path for path in paths if path not in folders)
        return replace(
            search,
            unlisted_files=(*search.unlisted_files, *files),
            other_directories=(*search.other_directories, *folders),
        )


def _project(invocation: Invocation) -> tuple[bytes, bytes]:
    return invocation.toolchain.digest, invocation.request.cwd


def _add(known: LRUCache[_K, tuple[bytes, ...]], key: _K, paths: list[bytes]) -> None:
    if paths:
        known[key] = tuple(dict.fromkeys((*known.get(key, ()), *paths)))[-MOST_LACKED:]


def _check_named(invocation: Invocation) -> None:
    """Checks that files named by the command may be opened by others than the compiler.

    Raises:
        StaysLocal: one may not: a FIFO, for example, can be read only once.
    """
    plan, cwd = invocation.plan, invocation.request.cwd
    for path in (plan.source, *(option.path for option in plan.forced_includes), *plan.option_files):
        named = absolute(path, cwd)
        special_files.refuse(os.path.realpath(named), file_type(named))


def _check_taken(listed: tuple[bytes, ...], cwd: bytes) -> None:
    """Checks that what the compiler read when it was asked can be read again.

    Raises:
        StaysLocal: it cannot: a later run would not find the same in a FIFO.
    """
    for path in listed:
        if stat.S_ISFIFO(file_type(absolute(path, cwd))):
            said = (
                f"{os.fsdecode(path)} is a FIFO, and was read when the compiler was asked for its headers;"
                " write it to a file first"
            )
            raise StaysLocal(special_files.CONSUMED, said)
