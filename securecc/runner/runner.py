"""The process that runs compilers: ``python -I -m securecc.runner.runner --fd N --config-fd M``.

It has no network, no keytab and no access to the host's files: it finds the toolchains, copies them to a tmpfs, and
makes that its root before it takes the first order. It exits, and all jobs with it, when the front does.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from securecc.compiler.toolchain import catalogue_files
from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure, whole_digest
from securecc.compiler.toolchain.discovery import closure_of_programs, discover
from securecc.model import heap, limits
from securecc.model.errors import ChannelError, ConfigError, SandboxError, SecureccError
from securecc.model.messages import SharedTree, Usage
from securecc.model.printable import plain
from securecc.runner import toolchain_probe
from securecc.runner.job import Job, JobContext
from securecc.runner.toolchain_copies import ToolchainCopy, copy_files
from securecc.runner.tree_copies import copy_trees, directories_to_share
from securecc.runner_protocol.messages import (
    FromFront,
    WorkBlobs,
    WorkCancel,
    WorkOrder,
    WorkReady,
    WorkReport,
    WorkTree,
)
from securecc.runner_protocol.packets import PacketConnection, from_front, read_tree, say_once
from securecc.sandbox import cgroup, landlock, namespaces, selection
from securecc.sandbox.selection import SandboxProgram
from securecc.system.descriptors import allow_as_many_as_possible, close_all, close_all_but

_STORE, _SHARED_TREES, _JOBS, _FILTER = b"/toolchains", b"/shared-trees", b"/jobs", b"/seccomp"
_DEVICES = (b"/dev/null", b"/dev/urandom")
_BASES = (b"/mnt", b"/media", b"/srv", b"/run", b"/tmp", b"/var/tmp")
_PAGE = 4096
_SPARE = 16  # of the store, that part is kept free for what is made for jobs
_PENDING = 4 * limits.MANIFEST_ENTRIES  # descriptors whose orders have not come yet


class RunnerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the front's parent tells the runner, as JSON. `base` is any directory (another is used if toolchains lie
    below it): a tmpfs is mounted on it, in the runner's own namespace only. `uid` and `gid` are what root becomes.
    `sandbox` is the program that makes sandboxes, ``jail`` or ``bubblewrap``; empty: the first that works.
    `shared_trees` are directories (None: where the toolchains look for headers). `have` are digests of toolchains in
    hex, and `trees` shared trees: a runner that finds exactly these is not needed. `groups` is a directory of control
    groups that is the runner's own and prepared (`securecc.sandbox.cgroup`), empty for none. `without` are sandbox
    layers to leave out (``seccomp``, ``landlock``): only tests set it, to show that the others hold alone. Sizes in
    bytes.
    """

    compilers: tuple[str, ...]
    base: str = "/mnt"
    uid: int = 0
    gid: int = 0
    store: int = limits.TOOLCHAIN_STORE
    job: int = limits.JOB_TMPFS
    sandbox: str = ""
    search_path: str = "/usr/local/bin:/usr/bin:/bin"
    shared_trees: tuple[str, ...] | None = ()
    have: tuple[str, ...] = ()
    trees: tuple[SharedTree, ...] = ()
    groups: str = ""
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    ways: tuple[SandboxProgram, ...]
    programs: tuple[ClosureFile, ...]
    toolchains: tuple[ToolchainClosure, ...]
    filter: bytes
    shared_trees: tuple[bytes, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until the front has gone. Exit status 0, or 1 with one line on standard error."""
    options = argparse.ArgumentParser(prog="securecc.runner.runner")
    options.add_argument("--fd", type=int, required=True, help="the front's socketpair")
    options.add_argument("--config-fd", type=int, required=True, help="where the configuration is read from")
    chosen = options.parse_args(arguments)
    try:
        config = read_config(chosen.config_fd)
        _only(chosen.fd)
        end, contexts = socket.socket(fileno=chosen.fd), _settle(config)
        if contexts:
            asyncio.run(_serve(end, contexts))
        else:
            say_once(end, WorkReady((), ()))
    except SecureccError as error:
        _log(str(error))
        return 1
    return 0


def read_config(descriptor: int) -> RunnerConfig:
    """The configuration read from a descriptor, which is closed.

    Raises:
        ConfigError: it is not one.
    """
    try:
        with os.fdopen(descriptor, "rb") as file:
            return msgspec.json.decode(file.read(limits.POLICY_FILE), type=RunnerConfig)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"the runner's configuration cannot be read: {error}") from error


def _only(descriptor: int) -> None:
    """Keeps standard error and the front's end; closes every other inherited descriptor."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    close_all_but(descriptor)
    os.set_inheritable(descriptor, False)
    allow_as_many_as_possible()


def _settle(config: RunnerConfig) -> list[JobContext]:
    """Leaves the host's files for a root of our own. The contexts differ only in the program that makes the sandbox;
    there are none if only the toolchains were found that another runner has.

    Raises:
        SandboxError: the system refuses, or the runner would run as root.
    """
    os.umask(0)
    if os.getuid() == 0:
        if not (config.uid and config.gid):
            raise SandboxError("the runner would run compilers as root", "give it a user of its own (runner.user)")
        namespaces.switch_user(config.uid, config.gid)
    namespaces.harden()
    namespaces.become_subreaper()
    found = _find(config)
    groups = cgroup.JobGroups(config.groups) if config.groups else None
    namespaces.enter()
    base = _base(config.base, found)
    namespaces.mount_tmpfs(base, config.store, programs=True)
    shared_trees = _copy_shared_trees(found, base, config.store)
    same = {whole_digest(closure).hex() for closure in found.toolchains} == set(config.have)
    if same and set(shared_trees) == set(config.trees):
        return []
    copy_files(found.programs, base)
    for folder in (_STORE, _JOBS, b"/tmp", b"/proc", b"/dev/pts"):
        os.makedirs(base + folder, exist_ok=True)
    for device in _DEVICES:
        os.close(os.open(base + device, os.O_WRONLY | os.O_CREAT, 0o600))
    with open(base + _FILTER, "wb") as file:
        file.write(found.filter)
    namespaces.bind(b"/proc", base + b"/proc", recursive=True)
    for device in _DEVICES:
        namespaces.bind(device, base + device)
    namespaces.mount_terminals(base + b"/dev/pts")
    shelved = {}
    for number, closure in enumerate(found.toolchains):
        toolchain = ToolchainCopy(closure, base + _STORE + b"/%d" % number)
        toolchain.move(_STORE + b"/%d" % number)
        shelved[closure.digest] = toolchain
    namespaces.change_root(base)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    version = 0 if "landlock" in config.without else landlock.abi()
    return [
        JobContext(way, shelved, _JOBS, config.job, null, shared_trees, version if way.confines else 0, groups)
        for way in found.ways
    ]


def _find(config: RunnerConfig) -> _Found:
    """The programs that make sandboxes, and the compilers; those that cannot be used are named in the log.

    Raises:
        ConfigError: none of the compilers can be used.
    """
    toolchains = {}
    for compiler in config.compilers:
        try:
            closure = discover(os.fsencode(compiler), os.fsencode(config.search_path))
            toolchains[closure.digest] = replace(closure, catalogues=catalogue_files.standing(closure))
        except SecureccError as error:
            _log(f"compiler {compiler} is not offered: {error}")
    if not toolchains:
        raise ConfigError(f"none of the compilers can be used: {', '.join(config.compilers)}", "apt install gcc g++")
    filtering = b"" if "seccomp" in config.without else selection.syscall_filter(_log)
    ways = selection.installed(config.sandbox, _FILTER if filtering else b"", _log)
    programs = closure_of_programs([program for way in ways for program in way.programs])
    wanted = None if config.shared_trees is None else list(map(os.fsencode, config.shared_trees))
    shared_trees = directories_to_share(wanted, tuple(toolchains.values()), _log)
    return _Found(ways, programs, tuple(toolchains.values()), filtering, shared_trees)


def _copy_shared_trees(found: _Found, base: bytes, store: int) -> dict[SharedTree, bytes]:
    """The shared trees, and where they will be below our root. The toolchains come first and need their own room."""
    copied = sum(file.size + _PAGE for closure in found.toolchains for file in closure.files)
    shared_trees = copy_trees(found.shared_trees, base + _SHARED_TREES, store - copied - store // _SPARE, _log)
    return {tree: path.removeprefix(base) for tree, path in shared_trees.items()}


def _base(wanted: str, found: _Found) -> bytes:
    """A directory that hides nothing which is still to be copied.

    Raises:
        ConfigError: there is none.
    """
    needed = [file.path for closure in found.toolchains for file in closure.files]
    needed += (
        [file.path for file in found.programs] + [b"/proc/", b"/dev/"] + [path + b"/" for path in found.shared_trees]
    )
    for place in dict.fromkeys((os.fsencode(wanted), *_BASES)):
        if os.path.isdir(place) and not any(path.startswith(place.rstrip(b"/") + b"/") for path in needed):
            return place
    raise ConfigError(
        f"{wanted} cannot be the runner's base", "name a directory that no toolchain lies in (runner.base)"
    )


async def _serve(end: socket.socket, contexts: Sequence[JobContext]) -> None:
    """Takes orders until the front has gone; then kills what runs, and waits until it has ended."""
    context, usable = await _choose(contexts)
    heap.freeze_gc()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: _log(repr(context)))
    front = _Front(end, context)
    front.connection.start()
    with contextlib.suppress(ChannelError):
        front.connection.send(_ready(usable, context))
    await front.gone.wait()
    for job in front.jobs.values():
        job.cancel()
    while front.tasks:
        await asyncio.wait(front.tasks)


async def _choose(contexts: Sequence[JobContext]) -> tuple[JobContext, list[ToolchainCopy]]:
    """The first program whose sandbox works, and the toolchains that run in it.

    Raises:
        SandboxError: none works.
    """
    for context in contexts:
        usable = [shelved for shelved in context.toolchains.values() if await _tried(context, shelved)]
        if usable:
            return context, usable
        _log(f"no compiler runs in the sandbox that {context.sandbox.name} makes")
    raise SandboxError("no compiler runs in the sandbox", "see the lines before this one")


async def _tried(context: JobContext, toolchain: ToolchainCopy) -> bool:
    """Whether this compiler works in the sandbox; if not, the log says why."""
    why = await toolchain_probe.problem(context, toolchain)
    if why:
        _log(f"compiler {toolchain.closure.name} does not work in the sandbox: {why}")
    return not why


def _ready(usable: Sequence[ToolchainCopy], context: JobContext) -> WorkReady:
    return WorkReady(context.layers, tuple(shelved.offer for shelved in usable), tuple(context.shared_trees))


class _Front:
    """The front as the runner sees it: a peer that may send anything."""

    def __init__(self, end: socket.socket, context: JobContext) -> None:
        self.gone = asyncio.Event()
        self.jobs: dict[int, Job] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self._context = context
        self._blobs: dict[int, list[int]] = {}
        self.connection: PacketConnection[FromFront] = PacketConnection(
            end, from_front, self._receive, lost=lambda _reason: self.gone.set(), garbage=self._garbage
        )

    def _receive(self, message: FromFront, descriptors: list[int]) -> None:
        if isinstance(message, WorkBlobs):
            self._blobs.setdefault(message.job, []).extend(descriptors)
            if sum(map(len, self._blobs.values())) > _PENDING:
                self._garbage("too many descriptors without an order")
                close_all(self._blobs.pop(message.job))
            return
        if isinstance(message, WorkCancel):
            close_all(descriptors)
            close_all(self._blobs.pop(message.job, []))
            if message.job in self.jobs:
                self.jobs[message.job].cancel()
            return
        blobs = self._blobs.pop(message.job, [])
        try:
            self._begin(message, descriptors, blobs)
        except SecureccError as error:
            close_all(blobs)
            self._answer(WorkReport(message.job, 1, "", (), (), Usage(), failure=str(error)), [])
        finally:
            close_all(descriptors)

    def _begin(self, order: WorkOrder, descriptors: list[int], blobs: list[int]) -> None:
        if order.job in self.jobs or order.job <= 0:
            raise ConfigError(f"job number {order.job} is in use")
        if len(descriptors) != 1 or len(blobs) != order.blobs:
            raise ConfigError(f"an order with {len(blobs)} of {order.blobs} blobs and {len(descriptors)} trees")
        work = read_tree(descriptors[0])
        self.jobs[order.job] = Job(self._context, order, blobs)
        task = asyncio.get_running_loop().create_task(self._do(order.job, work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _do(self, number: int, work: WorkTree) -> None:
        job = self.jobs[number]
        try:
            report, descriptors = await job.run(work)
        except Exception as error:  # noqa: BLE001 - the front must hear of every job's end
            _log(f"job {number}: {error!r}")
            report, descriptors = WorkReport(number, 1, "", (), (), Usage(), failure="the runner failed"), []
        try:
            self._answer(report, descriptors)
        finally:
            del self.jobs[number]
            job.close()

    def _answer(self, report: WorkReport, descriptors: list[int]) -> None:
        try:
            self.connection.send(report, descriptors)
        except (SecureccError, OSError) as error:  # the front would wait for it
            _log(f"no report of job {report.job} can be sent: {error}")
            self.gone.set()
        finally:
            close_all(descriptors)

    def _garbage(self, reason: str) -> None:
        _log(f"the front sent what is no message: {reason}")


def _log(line: str) -> None:
    """One line for the front's parent, without control characters."""
    sys.stderr.write(f"securecc runner: {plain(line[: limits.AUDIT_TEXT])}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main())
