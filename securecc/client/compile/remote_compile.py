"""One compile, from a launcher's request to its last order: remote where that is exactly the same, else local."""

import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace

from securecc.client.compile import compiler_query
from securecc.client.compile.argument_files import expanded, without_specs
from securecc.client.compile.invocation import Invocation, key_of, memory_key, physical, search_of
from securecc.client.compile.submission import Remote, submit
from securecc.client.farm.farm import Farm, Wanted
from securecc.client.host.message_catalogues import ERRORS, MessageCatalogues
from securecc.client.host.native_options import NativeOptions
from securecc.client.host.shared_trees import SharedTrees
from securecc.client.host.terminal_types import TerminalTypes
from securecc.client.inputs import special_files
from securecc.client.inputs.compile_inputs import Inputs, narrowed
from securecc.client.inputs.dependency_cache import DependencyCache
from securecc.client.inputs.manifest_builder import ManifestBuilder
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.ipc.frames import Die, Keep, Request
from securecc.client.ipc.launcher_connection import LauncherConnection, MadeFile
from securecc.client.state.settings import Settings
from securecc.compiler.command_line import compile_plan, environment
from securecc.compiler.command_line.compile_plan import CompilePlan
from securecc.compiler.command_line.languages import STDIN
from securecc.compiler.command_line.outputs import STDOUT
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model import limits
from securecc.model.errors import Refused, StaysLocal
from securecc.model.messages import SharedTree
from securecc.system.file_type import file_type

_OF_ONE_COMPILE = {
    "tree",
    "option",
    "limit",
}  # refusals that say nothing of the farm: for `why`, not for the user's eye


class Compiles:
    """What all compiles of one agent share."""

    def __init__(
        self,
        gatherer: ManifestBuilder,
        recollections: DependencyCache,
        closure: Callable[[bytes, bytes], Awaitable[ToolchainClosure]],
        farm: Callable[[Settings, Request], Farm],
        tongues: MessageCatalogues,
        *,
        shared_trees: SharedTrees | None = None,
    ) -> None:
        self._gatherer = gatherer
        self._recollections = recollections
        self._closure = closure
        self._farm = farm
        self._tongues = tongues
        self._trees = shared_trees
        self._processors = NativeOptions()
        self._terminals = TerminalTypes()

    async def understand(self, request: Request, settings: Settings) -> tuple[Invocation, ...]:
        """What a command asks for: a compile for each of its sources. Raises StaysLocal for what may not or need not
        leave.
        """
        arguments = expanded(request.arguments, request.cwd)
        parts = compile_plan.parts(arguments) if settings.fallback else (arguments,)
        orders = tuple([await self._understood(request, settings, part) for part in parts])
        _check_apart(orders)
        return orders

    async def _understood(self, request: Request, settings: Settings, arguments: tuple[bytes, ...]) -> Invocation:
        arguments, specified = without_specs(arguments)
        choice = compile_plan.for_processor(arguments)
        plan = compile_plan.parse(arguments if choice is None else (arguments[0], *choice[1]))
        if compile_plan.is_probe(plan, request.cwd):
            raise StaysLocal("conftest", f"{os.fsdecode(plan.source)} is a question of a build system")
        if not settings.hosts:
            raise StaysLocal("no-hosts", "no server is configured")
        closure = await self._closure(request.compiler, request.environment.get(b"PATH", b""))
        if choice is not None:
            options = await self._processors.options(request.compiler, plan.family, closure.digest, choice[0])
            plan = compile_plan.parse((arguments[0], *options, *choice[1]))
        if closure.family != plan.family:
            plan = _as_it_is(plan, closure)
        if specified and plan.family != "gcc":
            raise StaysLocal("program", "-specs= for what is no gcc")
        speech = self._tongues.speech(closure, request.environment)
        sent = environment.sent_environment(request.environment, plan.language, speech)
        if (terminal := await self._terminals.kind(closure, request)) != request.environment.get(b"TERM", b""):
            sent = replace(sent, variables={**sent.variables, b"TERM": terminal})
        order = Invocation(request, plan, sent, closure, settings, catalogues=self._tongues.read(closure, speech))
        return replace(order, shared_trees=self._shared_trees(order))

    def _shared_trees(self, order: Invocation) -> tuple[SharedTree, ...]:
        """What this machine and all servers have alike, and this compile does not write to."""
        if self._trees is None:
            return ()
        standing = self._trees.standing(self._farm(order.settings, order.request).shared_trees)
        cwd = order.request.cwd
        touched = [cwd + b"/", *(physical(path, cwd) for path in order.plan.outputs)]
        return tuple(tree for tree in standing if not any(path.startswith(tree.path + b"/") for path in touched))

    async def inputs(self, caller: LauncherConnection, order: Invocation) -> Inputs:
        """What the compile reads: from memory where that still holds, else all that it may read."""
        if order.plan.source == STDIN:
            return await self._given(caller, order)
        key = memory_key(order)
        known = self._recollections.recall(key)
        if known is not None and not known.learned:
            return known
        search = search_of(order)
        _check_named(order)
        if order.shared_trees:  # what was remembered before they stood is of no use any more
            self._recollections.forget(memory_key(replace(order, shared_trees=())))
        if known is None and order.plan.alters_system_search:
            return await self._asked(caller, order)
        try:
            if known is None:
                inputs = self._gatherer.from_scan(absolute(order.plan.source, search.cwd), search)
            else:
                inputs = replace(self._gatherer.from_list(known.learned, search), asked=False)
        except StaysLocal as error:
            if error.reason == special_files.SPECIAL:  # the compiler that is asked would be the only one to read it
                raise
            return await self._asked(caller, order)
        self._recollections.keep(key, inputs)
        return inputs

    async def _given(self, caller: LauncherConnection, order: Invocation) -> Inputs:
        """What standard input is and reads. Raises StaysLocal."""
        if order.plan.alters_system_search:
            raise StaysLocal("standard-input", "standard input, and options that lead to other headers")
        content = await caller.input()
        if content is None:
            raise StaysLocal("standard-input", f"standard input is no pipe or file of up to {limits.INPUT} bytes")
        return self._gatherer.from_standard_input(content, search_of(order))

    async def _asked(self, caller: LauncherConnection, order: Invocation) -> Inputs:
        """What the compile reads, from the compiler itself. Raises StaysLocal."""
        listed, search = await compiler_query.listed(caller, order)
        _check_taken(listed, search.cwd)
        try:
            inputs = self._gatherer.from_list(listed, search)
        except StaysLocal as error:
            if error.reason != "computed-line" or not order.plan.source_type.preprocesses:
                raise
            shown = (*search.shown, *await compiler_query.marked(caller, order))
            inputs = self._gatherer.from_list(listed, replace(search, shown=shown, marked=True))
        self._recollections.keep(memory_key(order), inputs)
        return inputs

    async def remote(self, caller: LauncherConnection, order: Invocation, inputs: Inputs) -> Remote:
        """Has a server compile it; once more when other files were read than was thought without asking the compiler.

        Raises ChannelError and its kin, Denied, Refused, or StaysLocal when an input
        changed meanwhile or this compile is none that the server takes.
        """
        attempt = 1
        try:
            remote = await self._placed(order, inputs, attempt)
        except Refused as error:
            if error.code != "layer" or not order.shared_trees:
                raise
            self._doubt(order.shared_trees)
            order = replace(order, shared_trees=())
            inputs = await self.inputs(caller, order)
            attempt += 1
            remote = await self._placed(order, inputs, attempt)
        if inputs.asked:
            return remote
        if remote.result.strays:
            return await self._placed(order, await self._asked(caller, order), attempt + 1)
        if remote.result.status:
            self._recollections.forget(memory_key(order))
        elif inputs.reached:
            self._recollections.keep(memory_key(order), narrowed(inputs, remote.result.read))
        return remote

    def _doubt(self, shared_trees: tuple[SharedTree, ...]) -> None:
        for tree in shared_trees:
            if self._trees is not None:
                self._trees.doubt(tree.path)

    async def _placed(self, order: Invocation, inputs: Inputs, attempt: int) -> Remote:
        farm = self._farm(order.settings, order.request)
        wanted = Wanted(key_of(order, inputs), order.toolchain.digest, inputs.size, order.toolchain)
        async with farm.room():
            while True:
                job = await farm.place(wanted)
                asked = job.number > 0
                try:
                    return await submit(job, order, inputs, attempt)
                except Refused as error:
                    if error.code in _OF_ONE_COMPILE and order.settings.fallback:
                        raise StaysLocal(f"refused-{error.code}", error.message) from error
                    if asked or error.code != "busy":
                        raise
                    job.conversation.crowded()
                finally:
                    job.close()

    def made(self, order: Invocation, remote: Remote) -> tuple[MadeFile, ...]:
        """The outputs as the launcher is to write them.

        Raises StaysLocal when they are not exactly those of the command: something else was made, the object lacks,
        or the run read other files than were found here.
        """
        strays = remote.result.strays
        if strays:
            self._recollections.forget(memory_key(order))
            raise StaysLocal("disagreement", "the server's compiler read other files than this one would")
        if order.environment.locale.system and any(word in remote.stderr for word in ERRORS):
            raise StaysLocal("locale", "the system's words for an error, which are others here")
        spelled = {physical(path, order.request.cwd): path for path in order.plan.outputs}
        made = []
        for output, content in remote.files:
            path = spelled.pop(output.path, None)
            if path is None:
                raise StaysLocal("disagreement", f"the server made {os.fsdecode(output.path)}, which nobody asked for")
            made.append(MadeFile(absolute(path, order.request.cwd), content, _keeps(order.plan, path)))
        here = absolute(order.plan.output, order.request.cwd)
        if not (remote.stdout if order.plan.output == STDOUT else any(file.path == here for file in made)):
            raise StaysLocal("disagreement", "the server's compiler made no object")
        return tuple(made)


def _keeps(plan: CompilePlan, path: bytes) -> Keep:
    """What becomes of a file that is there, as was seen of GCC 12, binutils 2.40 and clang 14: gcc's assembler and
    objcopy make theirs anew unless it is empty, and clang what it compiles in any case.
    """
    main = path == plan.output
    if plan.family == "clang":
        return Keep.NEVER if main and plan.source_type.compiles else Keep.ALWAYS
    return Keep.IF_EMPTY if (main and not plan.assembly) or path.endswith(b".dwo") else Keep.ALWAYS


async def judge(caller: LauncherConnection, order: Invocation) -> int:
    """Runs the command locally, with the user's own descriptors; returns its wait status."""
    return await caller.spawn((order.request.compiler, *order.request.arguments[1:]))


def end(caller: LauncherConnection, status: int) -> None:
    """Ends the launcher as the compiler of this wait status ended."""
    if os.WIFSIGNALED(status):
        caller.order(Die(os.WTERMSIG(status)))
    else:
        caller.exit(os.waitstatus_to_exitcode(status))


def check_places(order: Invocation) -> None:
    """Raises StaysLocal where an output's place is such that only the compiler itself does the right thing."""
    for path in order.plan.outputs:
        place = absolute(path, order.request.cwd)
        folder = place.rpartition(b"/")[0] or b"/"
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
            raise StaysLocal("output", f"{os.fsdecode(folder)} cannot be written to")
        if os.path.lexists(place) and not os.path.isfile(place):
            raise StaysLocal("output", f"{os.fsdecode(place)} is no regular file")


def _check_named(order: Invocation) -> None:
    """Raises StaysLocal where the command itself names what nobody but the compiler may open."""
    plan, cwd = order.plan, order.request.cwd
    for path in (plan.source, *(option.path for option in plan.forced_includes), *plan.option_files):
        named = absolute(path, cwd)
        special_files.refuse(os.path.realpath(named), file_type(named))


def _check_taken(listed: tuple[bytes, ...], cwd: bytes) -> None:
    """Raises StaysLocal where the compiler that was asked has read what nobody can read again."""
    for path in listed:
        if stat.S_ISFIFO(file_type(absolute(path, cwd))):
            said = f"{os.fsdecode(path)} is a FIFO, and was read when the compiler was asked; write it to a file first"
            raise StaysLocal(special_files.CONSUMED, said)


def _check_apart(orders: tuple[Invocation, ...]) -> None:
    """Raises StaysLocal where what one compile of a command writes is another's to write or to read."""
    names = [name for order in orders for name in (*order.plan.outputs, os.path.normpath(order.plan.source))]
    if len(orders) > 1 and len(set(names)) < len(names):
        raise StaysLocal("several-sources", "two sources of one command make one file")


def _as_it_is(plan: CompilePlan, closure: ToolchainClosure) -> CompilePlan:
    """The plan as the compiler understands the command that is behind a name such as `cc`."""
    if closure.family == "other":
        raise StaysLocal("compiler", f"{os.fsdecode(plan.compiler)} is neither gcc nor clang, whatever its name")
    return compile_plan.parse(plan.arguments, closure.family)
