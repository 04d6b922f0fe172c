"""One compile of one source, understood: what is to be done, where it looks, and by what it is known again."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from securecc.client.host import local_time
from securecc.client.inputs.caches.dependency_cache import Key
from securecc.client.inputs.compile_inputs import Inputs
from securecc.client.inputs.include_search import IncludeSearch, SearchPath
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.ipc.frames import Request
from securecc.client.state.settings import Settings
from securecc.compiler.command_line import profile_data
from securecc.compiler.command_line.arguments import ROOTS, SYSROOT_MARKS
from securecc.compiler.command_line.compile_plan import CompilePlan
from securecc.compiler.command_line.environment import SentEnvironment
from securecc.compiler.compile_key import compile_key
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Digest
from securecc.model.messages import SharedTree

_SEARCHED = (b"-I", b"-iquote", b"-isystem", b"-idirafter")
_ASSEMBLED = b"-Wa,-I"


@dataclass(frozen=True)
class Invocation:
    """One compile: what is to be done, with what, and where its outputs go.

    `shared_trees` are the directory trees that this machine and all servers have alike. `catalogues` are the files of
    the compiler's messages in the user's language, whether they are there or not.
    """

    request: Request
    plan: CompilePlan
    environment: SentEnvironment
    toolchain: ToolchainClosure
    settings: Settings
    shared_trees: tuple[SharedTree, ...] = ()
    catalogues: tuple[bytes, ...] = ()

    @cached_property
    def key(self) -> Key:
        """All that decides what it reads and does, but for the files themselves: for the agent's own memory."""
        return (
            self.request.compiler,
            self.plan.arguments,
            self.request.cwd,
            self.toolchain.digest,
            tuple(self.environment.variables.items()),
            self.shared_trees,
            self.dated,
        )

    @cached_property
    def search(self) -> IncludeSearch:
        """Where it looks for headers."""
        return _search(self)

    @cached_property
    def dated(self) -> bool:
        """Whether its compiler is or can be told the time of day; clang learned to heed it after Debian 12's."""
        told = b"SOURCE_DATE_EPOCH" in self.environment.variables
        return self.toolchain.family == "gcc" and (
            told or local_time.seconds(self.request.environment.get(b"TZ")) is not None
        )


def sent_arguments(invocation: Invocation) -> tuple[bytes, ...]:
    """The command line as a server gets it: by the name of the compiler itself, where a wrapper was called."""
    return (invocation.toolchain.program or invocation.request.compiler, *invocation.plan.arguments[1:])


def key_of(invocation: Invocation, inputs: Inputs, environment: Mapping[bytes, bytes]) -> Digest:
    """The compile's key, as its server will compute it; see `compile_key`. `environment` is `environment_of` it."""
    return compile_key(
        toolchain=invocation.toolchain.digest,
        arguments=sent_arguments(invocation),
        cwd=invocation.request.cwd,
        environment=environment,
        umask=invocation.request.umask,
        terminal=invocation.request.terminal,
        manifest=inputs.digest,
    )


def _search(invocation: Invocation) -> IncludeSearch:
    cwd = invocation.request.cwd
    plan = invocation.plan
    roots = [absolute(option.path, cwd) for option in plan.search_options if option.name in ROOTS]
    own = invocation.toolchain.include_directories
    rooted = [root + path for root in roots for path in own]
    given: dict[bytes, list[bytes]] = {name: [] for name in (*_SEARCHED, _ASSEMBLED)}
    for option in plan.search_options:
        if option.name in given:
            given[option.name] += [absolute(path, cwd) for path in _meant(option.path, roots)]
    named = [path for paths in given.values() for path in paths]
    inherited = [absolute(path or b".", cwd) for path in invocation.environment.directories]
    outputs = [absolute(path, cwd).rpartition(b"/")[0] or b"/" for path in plan.outputs]
    alias = invocation.request.environment.get(b"PWD", b"")
    return IncludeSearch(
        cwd=cwd,
        directories=(*named, *inherited, *own, *rooted),
        forced=tuple(option.path for option in plan.forced_includes),
        crossed=(*outputs, *([alias] if alias.startswith(b"/") else ())),
        macros=plan.macros,
        dated=invocation.dated,
        shared_trees=invocation.shared_trees,
        assembled=not plan.source_type.compiles,
        shown=(
            *plan.option_files,
            *invocation.catalogues,
            *profile_data.read(plan, cwd),
            *(profile_data.read(plan, alias) if alias.startswith(b"/") else ()),
        ),
        search_path=SearchPath(
            tuple(given[b"-iquote"]),
            (*given[b"-I"], *inherited, *given[b"-isystem"], *rooted, *own, *given[b"-idirafter"]),
        ),
    )


def _meant(path: bytes, roots: list[bytes]) -> list[bytes]:
    """The directories that a searched one may be: below any sysroot, where it says so (gcc joins the two as they are,
    clang as directories), or, as clang has it for some options, by its letters.
    """
    mark = next((mark for mark in SYSROOT_MARKS if path.startswith(mark)), b"")
    if not mark:
        return [path]
    return [path, *(root + slash + path[len(mark) :] for root in roots for slash in (b"", b"/"))]


def environment_of(invocation: Invocation, inputs: Inputs) -> dict[bytes, bytes]:
    """The variables that a server runs it with: where a file says the time of day, the one that it is here, and where
    one says its own time, the zone.

    Raises:
        StaysLocal: the time, or the time zone, cannot be told.
    """
    variables = dict(invocation.environment.variables)
    if inputs.uses_time and b"SOURCE_DATE_EPOCH" not in variables:
        time.tzset()  # the machine's zone may have become another one
        now = local_time.seconds(invocation.request.environment.get(b"TZ"))
        if now is None:
            raise StaysLocal("time", "this machine does not know the time zone of TZ")
        variables[b"SOURCE_DATE_EPOCH"] = b"%d" % now
    if inputs.timestamps:
        rule = local_time.rule(invocation.request.environment.get(b"TZ"), inputs.timestamps)
        if rule is None:
            raise StaysLocal("time", "__TIMESTAMP__ needs the time zone of TZ, and it cannot be described to a server")
        variables[b"TZ"] = rule
    return variables


def physical(path: bytes, cwd: bytes) -> bytes:
    """Where an output really lies: its directory resolved, its own name as it is."""
    folder, _, name = absolute(path, cwd).rpartition(b"/")
    real = os.path.realpath(folder or b"/")
    return (real if real != b"/" else b"") + b"/" + name
