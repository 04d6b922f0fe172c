"""One understood compile of one source: what to do, where it looks, and the key that identifies it."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from securecc.client.host import gcc_installations, local_time
from securecc.client.inputs.caches.dependency_cache import Key
from securecc.client.inputs.compile_inputs import Inputs
from securecc.client.inputs.foreseen_paths import project_roots
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
    """One compile: what to do, with what, and where its outputs go.

    `shared_trees` are the directory trees that are the same on this machine and all servers. `catalogues` are the files
    of the compiler's messages in the user's language, whether or not they exist.
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
        """All that decides what it reads and does, except the files themselves: the key of the agent's caches."""
        return (
            self.request.compiler,
            self.plan.arguments,
            self.request.cwd,
            self.toolchain.digest,
            tuple(self.environment.variables.items()),
            self.shared_trees,
            self.knows_time,
        )

    @cached_property
    def variables(self) -> frozenset[bytes]:
        """The names of all variables that the user has set."""
        return frozenset((*self.request.environment, *self.request.others.split(b"=")[:-1]))

    @cached_property
    def physical_outputs(self) -> tuple[bytes, ...]:
        """Where its outputs really are."""
        return tuple(physical(path, self.request.cwd) for path in self.plan.outputs)

    @cached_property
    def search(self) -> IncludeSearch:
        """Where it looks for headers."""
        return _search(self)

    @cached_property
    def knows_time(self) -> bool:
        """Whether its compiler is given or can be given the time of day; clang honours it only in versions after Debian
        12's.
        """
        told = b"SOURCE_DATE_EPOCH" in self.environment.variables
        return self.toolchain.family == "gcc" and (
            told or local_time.seconds(self.request.environment.get(b"TZ")) is not None
        )


def sent_arguments(invocation: Invocation) -> tuple[bytes, ...]:
    """The command line as a server gets it: with the name of the compiler itself, if a wrapper was called."""
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
        forced_includes=tuple(option.path for option in plan.forced_includes),
        project=project_roots(cwd, absolute(plan.source, cwd)),
        other_directories=(*outputs, *([alias] if alias.startswith(b"/") else ())),
        macros=plan.macros,
        knows_time=invocation.knows_time,
        shared_trees=invocation.shared_trees,
        is_assembly=not plan.source_type.compiles,
        unlisted_files=(
            *plan.option_files,
            *invocation.catalogues,
            *gcc_installations.marks(invocation.toolchain),
            *profile_data.read(plan, cwd),
            *(profile_data.read(plan, alias) if alias.startswith(b"/") else ()),
        ),
        search_path=SearchPath(
            tuple(given[b"-iquote"]),
            (*given[b"-I"], *inherited, *given[b"-isystem"], *rooted, *own, *given[b"-idirafter"]),
        ),
    )


def _meant(path: bytes, roots: list[bytes]) -> list[bytes]:
    """The directories that a search directory may mean: below any sysroot, if it says so (gcc joins the strings, clang
    the directories), or, for some options of clang, as written.
    """
    mark = next((mark for mark in SYSROOT_MARKS if path.startswith(mark)), b"")
    if not mark:
        return [path]
    return [path, *(root + slash + path[len(mark) :] for root in roots for slash in (b"", b"/"))]


def environment_of(invocation: Invocation, inputs: Inputs) -> dict[bytes, bytes]:
    """The variables that a server runs it with: if a file uses the time of day, the time here; if one uses its own
    timestamp, the zone.

    Raises:
        StaysLocal: the time, or the time zone, cannot be described.
    """
    variables = dict(invocation.environment.variables)
    if inputs.uses_time and b"SOURCE_DATE_EPOCH" not in variables:
        time.tzset()  # the machine's zone may have changed
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
    """The real place of an output: its directory resolved, its own name unchanged."""
    folder, _, name = absolute(path, cwd).rpartition(b"/")
    real = os.path.realpath(folder or b"/")
    return (real if real != b"/" else b"") + b"/" + name
