"""From a launcher's request to invocations: the command line parsed, its toolchain found, its environment split."""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from cachetools import LRUCache

from securecc.client.compile.argument_files import expanded, without_specs
from securecc.client.compile.invocation import Invocation, physical
from securecc.client.farm.farm import Farm
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
        standing: Callable[[Iterable[SharedTree]], tuple[SharedTree, ...]],
    ) -> None:
        """`toolchain` finds the toolchain of a compiler's path, along a search path; `farm` a launcher's servers;
        `standing` those of the servers' shared trees that are identical on this machine.
        """
        self._toolchain = toolchain
        self._farm = farm
        self._catalogues = catalogues
        self._here = standing
        self._native = NativeOptions()
        self._terminals = TerminalTypes()
        self._families: LRUCache[bytes, Family] = LRUCache(COMPILERS)

    async def prepare(self, request: Request, settings: Settings) -> tuple[Invocation, ...]:
        """What a command asks for: a compile for each of its sources.

        Raises:
            StaysLocal: it may not, or need not, leave this machine.
        """
        arguments, has_specs = without_specs(expanded(request.arguments, request.cwd))
        family = self._families.get(request.compiler)
        command = compile_plan.parse_command(arguments, family)
        parts = command.per_source() if settings.fallback else (arguments,)
        commands = [command] if len(parts) == 1 else [compile_plan.parse_command(part, family) for part in parts]
        invocations = tuple([await self._prepare(request, settings, each, has_specs=has_specs) for each in commands])
        _check_apart(invocations)
        for invocation in invocations:
            _check_places(invocation)
        return invocations

    async def _prepare(
        self, request: Request, settings: Settings, command: ParsedCommand, *, has_specs: bool
    ) -> Invocation:
        plan, toolchain = await self._plan(request, settings, command)
        if has_specs and plan.family != "gcc":
            raise StaysLocal("program", "-specs= is an option of gcc, and this compiler is clang")
        locale = self._catalogues.locale(toolchain, request.environment)
        sent = environment.sent_environment(request.environment, plan.language, locale)
        sent = await self._with_terminal(request, toolchain, sent)
        return Invocation(
            request,
            plan,
            sent,
            toolchain,
            settings,
            shared_trees=self._standing(request, settings, plan),
            catalogues=self._catalogues.files(toolchain, locale),
        )

    async def _plan(
        self, request: Request, settings: Settings, command: ParsedCommand
    ) -> tuple[CompilePlan, ToolchainClosure]:
        """Parses a command again only if its compiler turns out to be of the other family, or if it asks for this
        machine's processor, whose name then replaces ``native``.

        Raises:
            StaysLocal: it may not, or need not, leave this machine.
        """
        plan = command.plan()
        native = command.processor_options()
        if compile_plan.is_probe(plan, request.cwd):
            raise StaysLocal("conftest", f"{os.fsdecode(plan.source)} is a configure-time probe")
        if not settings.hosts:
            raise StaysLocal("no-hosts", "no server is configured")
        toolchain = await self._toolchain(request.compiler, request.environment.get(b"PATH", b""))
        if toolchain.family == "other":
            raise StaysLocal("compiler", f"{os.fsdecode(plan.compiler)} is neither gcc nor clang, despite its name")
        self._families[request.compiler] = toolchain.family
        if command.family != toolchain.family:
            command = compile_plan.parse_command(command.arguments, toolchain.family)
            plan, native = command.plan(), command.processor_options()
        if native is not None:
            options = await self._native.options(request.compiler, toolchain.family, toolchain.digest, native.machine)
            plan = compile_plan.parse((plan.compiler, *options, *native.others), toolchain.family)
        return plan, toolchain

    async def _with_terminal(
        self, request: Request, toolchain: ToolchainClosure, sent: SentEnvironment
    ) -> SentEnvironment:
        terminal = await self._terminals.kind(toolchain, request)
        if terminal == request.environment.get(b"TERM", b""):
            return sent
        return replace(sent, variables={**sent.variables, b"TERM": terminal})

    def _standing(self, request: Request, settings: Settings, plan: CompilePlan) -> tuple[SharedTree, ...]:
        """The shared trees that this machine and all servers have, and that this compile does not write to."""
        standing = self._here(self._farm(settings, request).shared_trees)
        if not standing:
            return ()
        touched = [request.cwd + b"/", *(physical(path, request.cwd) for path in plan.outputs)]
        return tuple(tree for tree in standing if not any(path.startswith(tree.path + b"/") for path in touched))


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
