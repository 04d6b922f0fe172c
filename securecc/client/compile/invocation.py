"""One compile, understood: what is to be done, and by what it is known again."""

import os
import time
from dataclasses import dataclass

from securecc.client.host import local_time
from securecc.client.inputs.compile_inputs import Inputs
from securecc.client.inputs.dependency_cache import Key
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
from securecc.model.messages import SharedTree

_SEARCHED = (b"-I", b"-iquote", b"-isystem", b"-idirafter")
_ASSEMBLED = b"-Wa,-I"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One compile, understood: what is to be done, with what, and where its outputs go.

    `catalogues` are the compiler's messages in the user's language, wherever they may be.
    """

    request: Request
    plan: CompilePlan
    environment: SentEnvironment
    toolchain: ToolchainClosure
    settings: Settings
    shared_trees: tuple[SharedTree, ...] = ()
    catalogues: tuple[bytes, ...] = ()


def memory_key(order: Invocation) -> Key:
    """All that decides what it reads and does."""
    return (
        order.request.compiler,
        order.plan.arguments,
        order.request.cwd,
        order.toolchain.digest,
        tuple(order.environment.variables.items()),
        order.shared_trees,
        _clocked(order),
    )


def sent_arguments(order: Invocation) -> tuple[bytes, ...]:
    """The command line as a server gets it: by the name of the compiler itself, where a wrapper was called."""
    return (order.toolchain.program or order.request.compiler, *order.plan.arguments[1:])


def key_of(order: Invocation, inputs: Inputs) -> bytes:
    """The compile's key, as its server will compute it; see `compile_key`.

    Raises:
        StaysLocal: the time of day that it needs cannot be told.
    """
    return compile_key(
        toolchain=order.toolchain.digest,
        arguments=sent_arguments(order),
        cwd=order.request.cwd,
        environment=environment_of(order, inputs),
        umask=order.request.umask,
        terminal=order.request.terminal,
        manifest=inputs.digest,
    )


def search_of(order: Invocation) -> IncludeSearch:
    """Where it looks for headers."""
    cwd = order.request.cwd
    plan = order.plan
    roots = [absolute(option.path, cwd) for option in plan.search_options if option.name in ROOTS]
    own = order.toolchain.include_directories
    rooted = [root + path for root in roots for path in own]
    given: dict[bytes, list[bytes]] = {name: [] for name in (*_SEARCHED, _ASSEMBLED)}
    for option in plan.search_options:
        if option.name in given:
            given[option.name] += [absolute(path, cwd) for path in _meant(option.path, roots)]
    named = [path for paths in given.values() for path in paths]
    inherited = [absolute(path or b".", cwd) for path in order.environment.directories]
    outputs = [absolute(path, cwd).rpartition(b"/")[0] or b"/" for path in plan.outputs]
    alias = order.request.environment.get(b"PWD", b"")
    return IncludeSearch(
        cwd=cwd,
        directories=(*named, *inherited, *own, *rooted),
        forced=tuple(option.path for option in plan.forced_includes),
        crossed=(*outputs, *([alias] if alias.startswith(b"/") else ())),
        macros=plan.macros,
        dated=_clocked(order),
        shared_trees=order.shared_trees,
        assembled=not plan.source_type.compiles,
        shown=(
            *plan.option_files,
            *order.catalogues,
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


def environment_of(order: Invocation, inputs: Inputs) -> dict[bytes, bytes]:
    """The variables that a server runs it with: where a file says the time of day, the one that it is here, and where
    one says its own time, the zone.

    Raises StaysLocal when that cannot be told.
    """
    variables = dict(order.environment.variables)
    if inputs.uses_time and b"SOURCE_DATE_EPOCH" not in variables:
        time.tzset()  # the machine's zone may have become another one
        now = local_time.seconds(order.request.environment.get(b"TZ"))
        if now is None:
            raise StaysLocal("time", "the time zone is not known here")
        variables[b"SOURCE_DATE_EPOCH"] = b"%d" % now
    if inputs.timestamps:
        rule = local_time.rule(order.request.environment.get(b"TZ"), inputs.timestamps)
        if rule is None:
            raise StaysLocal("time", "no server can be told what the times of files are in the time zone here")
        variables[b"TZ"] = rule
    return variables


def _clocked(order: Invocation) -> bool:
    """Whether the compiler is or can be told the time of day; clang learned to heed it after what Debian 12 has."""
    told = b"SOURCE_DATE_EPOCH" in order.environment.variables
    return order.toolchain.family == "gcc" and (
        told or local_time.seconds(order.request.environment.get(b"TZ")) is not None
    )


def physical(path: bytes, cwd: bytes) -> bytes:
    """Where an output really lies: its directory resolved, its own name as it is."""
    folder, _, name = absolute(path, cwd).rpartition(b"/")
    real = os.path.realpath(folder or b"/")
    return (real if real != b"/" else b"") + b"/" + name
