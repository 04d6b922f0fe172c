"""One compile, from a launcher's request to its last order: remote where that is exactly the same, else local."""

import hashlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from securecc.client.caller import Caller, MadeFile
from securecc.client.conversation import RemoteJob
from securecc.client.errand import Die, Request
from securecc.client.farm import Farm, Wanted
from securecc.client.inputs import Gatherer, Inputs, Search, absolute, learn, packed
from securecc.client.processor import Processors
from securecc.client.reach import Chain
from securecc.client.recollection import Key, Recollections
from securecc.client.response_files import expanded
from securecc.client.settings import Settings
from securecc.compiler import cmdline, dependencies, environment, profiles
from securecc.compiler.cmdline import CompilePlan
from securecc.compiler.environment import Locales, SentEnvironment
from securecc.compiler.toolchain import ToolchainClosure
from securecc.words import limits, manifest
from securecc.words.errors import ChannelError, Refused, StaysLocal
from securecc.words.manifest import Entry, Kind
from securecc.words.messages import Invite, Need, Output, Refuse, Result, Submit

_SEARCHED = {b"-I", b"-iquote", b"-isystem", b"-idirafter"}
_OF_ONE_COMPILE = {
    "tree",
    "option",
    "limit",
}  # refusals that say nothing of the farm: for `why`, not for the user's eye
_ROOTS = {b"--sysroot", b"-isysroot"}


@dataclass(frozen=True, slots=True)
class Order:
    """One compile, understood: what is to be done, with what, and where its outputs go.

    `outputs` maps each path that the server may return (absolute, physical) to the path as the user spelled it.
    """

    request: Request
    plan: CompilePlan
    environment: SentEnvironment
    toolchain: ToolchainClosure
    settings: Settings


@dataclass(frozen=True, slots=True)
class Remote:
    """What a server made of an order."""

    result: Result
    stdout: bytes
    stderr: bytes
    files: tuple[tuple[Output, bytes], ...]
    server: str
    sent: int


class Compiles:
    """What all compiles of one agent share."""

    def __init__(
        self,
        gatherer: Gatherer,
        recollections: Recollections,
        closure: Callable[[bytes, bytes], Awaitable[ToolchainClosure]],
        farm: Callable[[Settings, Request], Farm],
        locales: Locales,
    ) -> None:
        self._gatherer = gatherer
        self._recollections = recollections
        self._closure = closure
        self._farm = farm
        self._locales = locales
        self._processors = Processors()

    async def understand(self, request: Request, settings: Settings) -> Order:
        """Raises StaysLocal for what may not or need not leave."""
        arguments = expanded(request.arguments, request.cwd)
        choice = cmdline.for_processor(arguments)
        plan = cmdline.parse(arguments if choice is None else (arguments[0], *choice[1]))
        if cmdline.is_probe(plan, request.cwd):
            raise StaysLocal("conftest", f"{os.fsdecode(plan.source)} is a question of a build system")
        if not settings.hosts:
            raise StaysLocal("no-hosts", "no server is configured")
        closure = await self._closure(request.compiler, request.environment.get(b"PATH", b""))
        if choice is not None:
            options = await self._processors.options(request.compiler, closure.digest, choice[0])
            plan = cmdline.parse((arguments[0], *options, *choice[1]))
        if closure.family != plan.family:
            plan = _as_it_is(plan, closure)
        sent = environment.split(request.environment, plan.language, self._locales)
        return Order(request, plan, sent, closure, settings)

    async def inputs(self, caller: Caller, order: Order) -> Inputs:
        """What the compile reads: from memory where that still holds, else all that it may read."""
        key = _memory_key(order)
        known = self._recollections.recall(key)
        if known is not None and not known.learned:
            return known
        search = _search(order)
        try:
            if known is None:
                inputs = self._gatherer.reach(absolute(order.plan.source, search.cwd), search)
            else:
                inputs = replace(self._gatherer.gather(known.learned, search), asked=False)
        except StaysLocal:
            return await self._asked(caller, order)
        self._recollections.keep(key, inputs)
        return inputs

    async def _asked(self, caller: Caller, order: Order) -> Inputs:
        """What the compile reads, from the compiler itself. Raises StaysLocal."""
        inputs = self._gatherer.gather(await _listed(caller, order), _search(order))
        self._recollections.keep(_memory_key(order), inputs)
        return inputs

    async def remote(self, caller: Caller, order: Order, inputs: Inputs) -> Remote:
        """Has a server compile it; once more when other files were read than was thought without asking the compiler.

        Raises ChannelError and its kin, Denied, Refused, or StaysLocal when an input
        changed meanwhile or this compile is none that the server takes.
        """
        remote = await self._placed(order, inputs)
        if inputs.asked:
            return remote
        if remote.result.strays:
            return await self._placed(order, await self._asked(caller, order))
        if remote.result.status:
            self._recollections.forget(_memory_key(order))
        elif inputs.reached:
            self._recollections.keep(_memory_key(order), learn(inputs, remote.result.read))
        return remote

    async def _placed(self, order: Order, inputs: Inputs) -> Remote:
        farm = self._farm(order.settings, order.request)
        wanted = Wanted(_key(order, inputs), order.toolchain.digest, inputs.size, order.toolchain)
        async with farm.room():
            job = await farm.place(wanted)
            try:
                return await _run(job, order, inputs)
            except Refused as error:
                if error.code in _OF_ONE_COMPILE and order.settings.fallback:
                    raise StaysLocal(f"refused-{error.code}", error.message) from error
                raise
            finally:
                job.close()

    def made(self, order: Order, remote: Remote) -> tuple[MadeFile, ...]:
        """The outputs as the launcher is to write them.

        Raises StaysLocal when they are not exactly those of the command: something else was made, the object lacks,
        or the run read other files than were found here.
        """
        strays = remote.result.strays
        if strays:
            self._recollections.forget(_memory_key(order))
            raise StaysLocal("disagreement", "the server's compiler read other files than this one would")
        spelled = {_physical(path, order.request.cwd): path for path in order.plan.outputs}
        made = []
        for output, content in remote.files:
            path = spelled.pop(output.path, None)
            if path is None:
                raise StaysLocal("disagreement", f"the server made {os.fsdecode(output.path)}, which nobody asked for")
            made.append(
                MadeFile(absolute(path, order.request.cwd), content, order.plan.assembly or path != order.plan.output)
            )
        if not any(file.path == absolute(order.plan.output, order.request.cwd) for file in made):
            raise StaysLocal("disagreement", "the server's compiler made no object")
        return tuple(made)


async def judge(caller: Caller, order: Order) -> int:
    """Runs the command locally, with the user's own descriptors; returns its wait status."""
    return await caller.spawn((order.request.compiler, *order.request.arguments[1:]))


def end(caller: Caller, status: int) -> None:
    """Ends the launcher as the compiler of this wait status ended."""
    if os.WIFSIGNALED(status):
        caller.order(Die(os.WTERMSIG(status)))
    else:
        caller.exit(os.waitstatus_to_exitcode(status))


def check_places(order: Order) -> None:
    """Raises StaysLocal where an output's place is such that only the compiler itself does the right thing."""
    for path in order.plan.outputs:
        place = absolute(path, order.request.cwd)
        folder = place.rpartition(b"/")[0] or b"/"
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
            raise StaysLocal("output", f"{os.fsdecode(folder)} cannot be written to")
        if os.path.lexists(place) and not os.path.isfile(place):
            raise StaysLocal("output", f"{os.fsdecode(place)} is no regular file")


def _as_it_is(plan: CompilePlan, closure: ToolchainClosure) -> CompilePlan:
    """The plan as the compiler understands the command that is behind a name such as `cc`."""
    if closure.family == "other":
        raise StaysLocal("compiler", f"{os.fsdecode(plan.compiler)} is neither gcc nor clang, whatever its name")
    return cmdline.parse(plan.arguments, closure.family)


async def _listed(caller: Caller, order: Order) -> tuple[bytes, ...]:
    """The files that the compiler itself says it would read. Raises StaysLocal."""
    command = cmdline.dependency_command(order.plan)
    if not command:
        return (order.plan.source,)
    status, listed = await caller.capture((order.request.compiler, *command[1:]))
    if status:
        raise StaysLocal("does-not-preprocess", f"{os.fsdecode(order.plan.source)}: the compiler alone shall say why")
    own = {file.path for file in order.toolchain.files}  # clang names lists of its own; the server has them
    return tuple(path for path in dependencies.parse(listed) if path not in own)


def _memory_key(order: Order) -> Key:
    return (
        order.request.compiler,
        order.plan.arguments,
        order.request.cwd,
        order.toolchain.digest,
        tuple(order.environment.variables.items()),
    )


def _search(order: Order) -> Search:
    cwd = order.request.cwd
    plan = order.plan
    roots = [absolute(option.path, cwd) for option in plan.search if option.name in _ROOTS]
    own = order.toolchain.include_directories
    named = [absolute(option.path, cwd) for option in plan.search if option.name in _SEARCHED]
    rooted = [root + path for root in roots for path in own]
    given = {name: [absolute(option.path, cwd) for option in plan.search if option.name == name] for name in _SEARCHED}
    inherited = [absolute(path or b".", cwd) for path in order.environment.directories]
    outputs = [absolute(path, cwd).rpartition(b"/")[0] or b"/" for path in plan.outputs]
    alias = order.request.environment.get(b"PWD", b"")
    return Search(
        cwd=cwd,
        directories=(*named, *inherited, *own, *rooted),
        forced=tuple(option.path for option in plan.forced),
        crossed=(*outputs, *([alias] if alias.startswith(b"/") else ())),
        macros=plan.macros,
        dated=b"SOURCE_DATE_EPOCH" in order.environment.variables,
        shown=(*profiles.read(plan, cwd), *(profiles.read(plan, alias) if alias.startswith(b"/") else ())),
        chain=Chain(
            tuple(given[b"-iquote"]),
            (*given[b"-I"], *inherited, *given[b"-isystem"], *rooted, *own, *given[b"-idirafter"]),
        ),
    )


def _physical(path: bytes, cwd: bytes) -> bytes:
    """Where an output really lies: its directory resolved, its own name as it is."""
    folder, _, name = absolute(path, cwd).rpartition(b"/")
    real = os.path.realpath(folder or b"/")
    return (real if real != b"/" else b"") + b"/" + name


def _key(order: Order, inputs: Inputs) -> bytes:
    """For choosing a server only: the server makes the key of its own cache by itself."""
    hasher = hashlib.sha256(inputs.digest + order.toolchain.digest)
    for argument in order.plan.arguments[1:]:
        hasher.update(len(argument).to_bytes(4, "big") + argument)
    return hasher.digest()


async def _run(job: RemoteJob, order: Order, inputs: Inputs) -> Remote:
    request = order.request
    channel = job.conversation.channel
    sent = b"" if inputs.digest in job.conversation.known else packed(inputs)
    channel.send(
        Submit(
            job=job.number,
            toolchain=order.toolchain.digest,
            arguments=(order.toolchain.program or request.compiler, *order.plan.arguments[1:]),
            cwd=request.cwd,
            environment=dict(order.environment.variables),
            umask=request.umask,
            terminal=request.terminal,
            manifest_digest=inputs.digest,
            manifest=sent,
        )
    )
    job.conversation.known.add(inputs.digest)
    total = len(sent)
    while True:
        answer = await job.answer()
        if isinstance(answer, Need):
            total += await _supply(job, answer, inputs)
        elif isinstance(answer, Result):
            return _split(answer, job.take(), job.conversation.peer, total)
        elif isinstance(answer, Refuse):
            raise Refused(answer.code, answer.reason)
        elif not isinstance(answer, Invite):
            raise ChannelError(f"{job.conversation.peer} answers a job with something else")


async def _supply(job: RemoteJob, need: Need, inputs: Inputs) -> int:
    channel = job.conversation.channel
    listed = packed(inputs) if need.manifest else b""
    job.conversation.supply(job, listed)
    sent = waiting = len(listed)
    for index in need.blobs:
        if not 0 <= index < len(inputs.entries) or inputs.entries[index].kind is not Kind.FILE:
            raise ChannelError(f"{job.conversation.peer} asks for a file that is not in the manifest")
        entry = inputs.entries[index]
        content = _read(entry)
        if manifest.digest(content) != entry.blob:
            raise StaysLocal("changed", f"{os.fsdecode(entry.path)} changed while it was being sent")
        for at in range(0, len(content), limits.FRAME_BULK):
            if waiting >= limits.FRAME_BULK:  # many small headers go in one piece
                await channel.drain()
                waiting = 0
            chunk = content[at : at + limits.FRAME_BULK]
            channel.send_bulk(job.number, chunk)
            waiting += len(chunk)
        sent += len(content)
    await channel.drain()
    return sent


def _read(entry: Entry) -> bytes:
    """One byte more than its size is asked for, so that a file that grew shows; a FIFO in its place holds nobody up."""
    try:
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb", buffering=0) as file:
            return file.read(entry.size + 1) or b""
    except OSError as error:
        raise StaysLocal("changed", f"{os.fsdecode(entry.path)}: {error.strerror}") from error


def _split(result: Result, content: bytes, server: str, sent: int) -> Remote:
    at = result.stdout + result.stderr
    files = []
    for output in result.outputs:
        files.append((output, content[at : at + output.size]))
        at += output.size
    return Remote(
        result,
        content[: result.stdout],
        content[result.stdout : result.stdout + result.stderr],
        tuple(files),
        server,
        sent,
    )
