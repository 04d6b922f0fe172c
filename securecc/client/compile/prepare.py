"""From a launcher's request to invocations: the command line parsed, its toolchain found, its environment split."""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from cachetools import LRUCache

from securecc.client.compile.argument_files import expanded, without_specs
from securecc.client.compile.invocation import Invocation, physical
from securecc.client.farm.farm import Farm
from securecc.client.host import local_programs
from securecc.client.host.native_options import NativeOptions
from securecc.client.host.terminal_types import TerminalTypes
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.ipc.frames import Request
from securecc.client.state.settings import Settings
from securecc.compiler.command_line import compile_plan, environment
from securecc.compiler.command_line.compile_plan import CompilePlan, Family, ParsedCommand
from securecc.compiler.command_line.environment import EffectiveLocale, SentEnvironment
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model.errors import StaysLocal
from securecc.model.messages import SharedTree

COMPILERS = 256
"""How many compilers' families are remembered, by path; a build has a few."""


class Catalogues(Protocol):
    """The compilers' messages on this machine (see `securecc.client.host.message_catalogues`)."""

    def locale(self, closure: ToolchainClosure, variables: Mapping[bytes, bytes]) -> EffectiveLocale:
        """What the locale of these variables means to this toolchain."""

    def files(self, closure: ToolchainClosure, locale: EffectiveLocale) -> tuple[bytes, ...]:
        """Every catalogue that the toolchain's programs would look for."""


class Preparer:
    """Prepares compiles. An agent keeps one for life, since it remembers facts about this machine."""

    def __init__(
        self,
        toolchain: Callable[[bytes, bytes], Awaitable[ToolchainClosure]],
        farm: Callable[[Settings, Request], Farm],
        catalogues: Catalogues,
        identical: Callable[[Iterable[SharedTree]], tuple[SharedTree, ...]],
    ) -> None:
        """`toolchain` finds the toolchain of a compiler's path, along a search path; `farm` a launcher's servers;
        `identical` those of the servers' shared trees that are identical on this machine.
        """
        self._toolchain = toolchain
        self._farm = farm
        self._catalogues = catalogues
        self._identical = identical
        self._native = NativeOptions()
        self._terminals = TerminalTypes()
        self._families: LRUCache[bytes, Family] = LRUCache(COMPILERS)

    async def prepare(self, request: Request, settings: Settings) -> tuple[Invocation, ...]:
        """What a command asks for: a compile for each of its sources. It is parsed once, and again only if its compiler
        turns out to be of the other family; the options that `native` stands for are parsed by themselves.

        Raises:
            StaysLocal: it may not, or need not, leave this machine.
        """
        if not request.cwd:
            raise StaysLocal(
                "working-directory", "the path of the working directory leads to what has been mounted over it"
            )
        arguments, has_specs = without_specs(expanded(request.arguments, request.cwd))
        command = compile_plan.parse_command(arguments, self._families.get(request.compiler))
        plans, native = _plans(command, settings), command.native_options()
        _check_wanted(plans, request, settings)
        toolchain = await self._toolchain(request.compiler, request.environment.get(b"PATH", b""))
        if toolchain.family == "other":
            raise StaysLocal("compiler", f"{os.fsdecode(command.compiler)} is neither gcc nor clang, despite its name")
        self._families[request.compiler] = toolchain.family
        if command.family != toolchain.family:
            command = compile_plan.parse_command(arguments, toolchain.family)
            plans, native = _plans(command, settings), command.native_options()
        if native:
            options = await self._native.options(request.compiler, command.family, toolchain.digest, native)
            plans = _plans(command.with_native_options(options), settings)
        if has_specs and command.family != "gcc":
            raise StaysLocal("program", "-specs= is an option of gcc, and this compiler is clang")
        invocations = tuple([await self._invocation(request, settings, plan, toolchain) for plan in plans])
        _check_apart(invocations)
        for invocation in invocations:
            _check_places(invocation)
        return invocations

    async def _invocation(
        self, request: Request, settings: Settings, plan: CompilePlan, toolchain: ToolchainClosure
    ) -> Invocation:
        local_programs.check(request.environment, request.cwd, toolchain)
        locale = self._catalogues.locale(toolchain, request.environment)
        sent = environment.sent_environment(request.environment, plan.language, locale)
        return Invocation(
            request,
            plan,
            await self._with_terminal(request, toolchain, sent),
            toolchain,
            settings,
            shared_trees=self._shared_trees(request, settings, plan),
            catalogues=self._catalogues.files(toolchain, locale),
        )

    async def _with_terminal(
        self, request: Request, toolchain: ToolchainClosure, sent: SentEnvironment
    ) -> SentEnvironment:
        terminal = await self._terminals.kind(toolchain, request)
        if terminal == request.environment.get(b"TERM", b""):
            return sent
        return replace(sent, variables={**sent.variables, b"TERM": terminal})

    def _shared_trees(self, request: Request, settings: Settings, plan: CompilePlan) -> tuple[SharedTree, ...]:
        """The shared trees that this machine and all servers have, and that this compile does not write to."""
        trees = self._identical(self._farm(settings, request).shared_trees)
        if not trees:
            return ()
        touched = [request.cwd + b"/", *(physical(path, request.cwd) for path in plan.outputs)]
        return tuple(tree for tree in trees if not any(path.startswith(tree.path + b"/") for path in touched))


def _plans(command: ParsedCommand, settings: Settings) -> tuple[CompilePlan, ...]:
    """A plan for each source; without a fallback, the command must have one only.

    Raises:
        StaysLocal: the command is not understood.
    """
    return command.plans() if settings.fallback else (command.plan(),)


def _check_wanted(plans: tuple[CompilePlan, ...], request: Request, settings: Settings) -> None:
    """Checks that the compiles are worth sending, before more is found out about them.

    Raises:
        StaysLocal: one is a configure-time probe, or there is no server.
    """
    for plan in plans:
        if compile_plan.is_probe(plan, request.cwd):
            raise StaysLocal("conftest", f"{os.fsdecode(plan.source)} is a configure-time probe")
    if not settings.hosts:
        raise StaysLocal("no-hosts", "no server is configured")


def _check_apart(invocations: tuple[Invocation, ...]) -> None:
    """Checks that no compile of a command reads or writes what another one writes.

    Raises:
        StaysLocal: one does.
    """
    names = [name for each in invocations for name in (*each.plan.outputs, os.path.normpath(each.plan.source))]
    if len(invocations) > 1 and len(set(names)) < len(names):
        raise StaysLocal("several-sources", "two sources of this command would write the same file")


def _check_places(invocation: Invocation) -> None:
    """Checks that every output is a regular file in a writable directory.

    Raises:
        StaysLocal: one is not: only the compiler itself handles that correctly.
    """
    for path in invocation.plan.outputs:
        place = absolute(path, invocation.request.cwd)
        folder = place.rpartition(b"/")[0] or b"/"
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
            raise StaysLocal("output", f"{os.fsdecode(folder)} is not writable")
        if os.path.lexists(place) and not os.path.isfile(place):
            raise StaysLocal("output", f"{os.fsdecode(place)} is not a regular file")
