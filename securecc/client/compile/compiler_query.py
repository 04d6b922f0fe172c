"""Asks the compiler itself what it reads. The launcher runs it."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from securecc.client.compile.invocation import Invocation
from securecc.client.inputs.include_search import IncludeSearch
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.ipc.launcher import Launcher
from securecc.compiler.command_line import compile_plan
from securecc.compiler.command_line.arguments import ROOTS
from securecc.compiler.source import dependency_output
from securecc.compiler.tree.path_rules import ancestors
from securecc.model.errors import StaysLocal

_INSTALLATIONS = (b"/lib/gcc", b"/lib/gcc-cross", b"/lib64/gcc")  # where clang looks for one, by target and version
_PREFIX = b"--gcc-toolchain="
_PROBED = b"/crtbegin.o"  # the file it recognises one by (Gnu.cpp: GCCInstallationDetector)


async def listed(launcher: Launcher, invocation: Invocation) -> tuple[tuple[bytes, ...], IncludeSearch]:
    """The files that the compiler says it would read, and where it looks for them.

    Raises:
        StaysLocal: the compiler fails.
        LauncherGoneError: the launcher, which runs it, has ended.
    """
    command = compile_plan.dependency_command(invocation.plan)
    search = invocation.search
    if not command:
        return (invocation.plan.source,), search
    own = frozenset(
        file.path for file in invocation.toolchain.files
    )  # clang's own sanitizer lists; the server has them
    if invocation.plan.alters_system_search:
        status, output, said = await launcher.capture_all((invocation.request.compiler, *command[1:], b"-v"))
    else:
        (status, output), said = await launcher.capture((invocation.request.compiler, *command[1:])), b""
    if status:
        raise StaysLocal("does-not-preprocess", _does_not_preprocess(invocation))
    if invocation.plan.alters_system_search:
        search = _redirected(search, said, own, _prefixes(invocation))
    return tuple(path for path in dependency_output.parse(output) if path not in own), search


async def line_names(launcher: Launcher, invocation: Invocation) -> tuple[bytes, ...]:
    """The files that #line names, as the compiler itself understands it.

    Raises:
        StaysLocal: the compiler fails.
        LauncherGoneError: the launcher, which runs it, has ended.
    """
    status, text = await launcher.capture(
        (invocation.request.compiler, *compile_plan.preprocess_command(invocation.plan)[1:])
    )
    if status:
        raise StaysLocal("does-not-preprocess", _does_not_preprocess(invocation))
    return tuple(name for name in dependency_output.line_names(text) if name and b"\0" not in name)


def _does_not_preprocess(invocation: Invocation) -> str:
    source = os.fsdecode(invocation.plan.source)
    return f"{source}: preprocessing failed; compiling locally to show the compiler's own error"


def _prefixes(invocation: Invocation) -> Iterator[bytes]:
    """The directories below which clang may look for a gcc."""
    plan, cwd = invocation.plan, invocation.request.cwd
    yield b"/usr"
    for option in plan.search_options:
        if option.name in ROOTS:
            yield from (absolute(option.path, cwd), absolute(option.path, cwd) + b"/usr")
    for argument in plan.arguments:
        if argument.startswith(_PREFIX):
            yield absolute(argument[len(_PREFIX) :], cwd)


def _redirected(search: IncludeSearch, said: bytes, own: frozenset[bytes], prefixes: Iterable[bytes]) -> IncludeSearch:
    """Where options lead the compiler, as it says with -v. It does not say which directories it tried in vain, so new
    entries beside those that it found are watched for as well.
    """
    directories = dependency_output.searched(said)
    gcc = dependency_output.selected(said)
    led = [os.path.realpath(path) for path in (*directories, *gcc) if path not in search.directories]
    probed = [path + _PROBED for path in gcc if os.path.realpath(path + _PROBED) not in own]
    return replace(
        search,
        directories=tuple(dict.fromkeys((*search.directories, *directories))),
        unlisted_files=(*search.unlisted_files, *probed),
        watched_directories=tuple(dict.fromkeys((*_with_ancestors(led), *_gcc_installations(prefixes)))),
    )


def _with_ancestors(directories: Iterable[bytes]) -> Iterator[bytes]:
    for path in directories:
        yield from (path, *ancestors(path))


def _gcc_installations(prefixes: Iterable[bytes]) -> Iterator[bytes]:
    for prefix in prefixes:
        yield prefix
        for place in _INSTALLATIONS:
            path = prefix + place
            yield from (os.path.dirname(path), path)
            with contextlib.suppress(OSError):  # none there: a watch above it notices when one appears
                yield from (path + b"/" + target for target in sorted(os.listdir(path)))
