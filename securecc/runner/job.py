"""One job in the runner, from the front's order to the report."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from securecc.model import limits
from securecc.model.errors import PathError, SandboxError, SecureccError, ToolchainError
from securecc.model.manifest import Kind
from securecc.model.messages import SharedTree, Usage
from securecc.runner.job_stdio import JobStdio, take_input
from securecc.runner.output_scan import ScanResult, same_folder, scan_outputs
from securecc.runner.toolchain_copies import ToolchainCopy
from securecc.runner.witness_log import SIZE as WITNESS_SIZE
from securecc.runner.witness_log import WitnessLog
from securecc.runner_protocol.messages import WorkOrder, WorkReport, WorkTree
from securecc.sandbox import cgroup, landlock, mount_plan, namespaces, tree_builder
from securecc.sandbox.sandbox import RunningSandbox, Sandbox, SandboxResult, SandboxSpec, limit_from_diagnostics
from securecc.system.descriptors import close_all

_SLACK = limits.MIB  # of a job's tmpfs, for directories and the compiler's temporary files
_SPARE_INODES = 4096
_SERVERS_OWN = frozenset(
    {b"PATH", b"TMPDIR", b"PWD", b"COMPILER_PATH", b"LIBRARY_PATH", b"GCC_EXEC_PREFIX", b"GCONV_PATH"}
)
_SERVERS_OWN_PREFIX = (b"LD_", b"MALLOC_", b"GLIBC_", b"LOCPATH", b"NLSPATH", b"COLLECT_")
_PRELOAD = b"LD_PRELOAD"
_DEVICES = (b"/dev/null", b"/dev/urandom")  # gcc makes the names of LTO sections and coverage stamps from the second


@dataclass(frozen=True)
class JobContext:
    """What all jobs share: the `sandbox` program, the toolchains by digest, the directory that job trees are mounted
    in, the size limit of each (bytes), a descriptor of /dev/null, the path of each shared tree's copy, the Landlock ABI
    that restricts jobs (0: none), and the control groups (None: none).
    """

    sandbox: Sandbox
    toolchains: Mapping[bytes, ToolchainCopy]
    jobs: bytes
    most: int
    null: int
    shared_trees: Mapping[SharedTree, bytes] = field(default_factory=dict)
    landlock: int = 0
    groups: cgroup.JobGroups | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The sandbox layers in force for every job, the program first."""
        groups = self.groups.layers if self.groups else ()
        return (*self.sandbox.layers, *(("landlock",) if self.landlock else ()), *groups)


class Job:
    """One job. `run` is called once, then `close`; `cancel` at any time. The job owns the blobs' descriptors."""

    def __init__(self, context: JobContext, order: WorkOrder, blobs: Sequence[int]) -> None:
        self._context = context
        self._order = order
        self._blobs = blobs
        self._root = b"%s/%d" % (context.jobs, order.job)
        self._running: RunningSandbox | None = None
        self._group: cgroup.JobGroup | None = None
        self._witness: WitnessLog | None = None
        self._cancelled = False
        self._undo = contextlib.ExitStack()
        self._undo.callback(self._close_blobs)

    def cancel(self) -> None:
        """Kills it; `run` returns soon."""
        self._cancelled = True
        if self._running:
            self._running.kill()

    async def run(self, work: WorkTree) -> tuple[WorkReport, list[int]]:
        """The report and its descriptors, which the caller closes. Raises no SecureccError: errors go into the report's
        `failure`.
        """
        try:
            return await self._run(work)
        except SecureccError as error:
            return self._failed(str(error)), []

    def close(self) -> None:
        """Removes the job's tree. Takes up to half a millisecond, so call it after sending the report."""
        self._undo.close()

    async def _run(self, work: WorkTree) -> tuple[WorkReport, list[int]]:
        began = time.monotonic()
        toolchain = self._context.toolchains.get(self._order.toolchain)
        if toolchain is None:
            raise ToolchainError(f"no toolchain {self._order.toolchain.hex()[:16]} here")
        places = mount_plan.mountpoints(work.entries, toolchain.tree)
        shared_trees = self._shared_trees(work)
        variant = toolchain.take(places)
        self._undo.callback(toolchain.give_back, places)
        self._mount(work)
        plain = [place for place in places if place not in shared_trees]
        built = self._build(work, toolchain, plain)
        self._undo.callback(os.close, built.root)
        self._begin_witness(toolchain)
        given = take_input(built.root, work.entries)
        if given >= 0:
            self._undo.callback(os.close, given)
        stdio = JobStdio(self._order, self._root, given if given >= 0 else self._context.null)
        self._undo.callback(stdio.close)
        _overlay(self._root, variant, sorted(toolchain.tree.tops), plain)
        for path, copy in shared_trees.items():
            namespaces.bind(copy, self._root + path)
        tree_s = time.monotonic() - began
        rulesets = self._rulesets(built, toolchain, plain)
        ending = await self._sandboxed(toolchain, built.root, stdio, rulesets)
        ending = replace(ending, usage=msgspec.structs.replace(ending.usage, tree_s=tree_s))
        diagnostics = stdio.finish()
        if self._cancelled:
            return self._failed("cancelled"), []
        if not ending.ran:
            raise SandboxError(f"the sandbox did not start: {_text(diagnostics)}")
        found = self._found(work, built, toolchain, places, shared_trees)
        try:
            return self._report(found, ending, stdio)
        except SandboxError:
            close_all(found.descriptors)
            raise

    def _begin_witness(self, toolchain: ToolchainCopy) -> None:
        if self._order.questions is not None and toolchain.witnessed:
            self._witness = WitnessLog(self._root)
            self._undo.callback(self._witness.close)

    def _shared_trees(self, work: WorkTree) -> dict[bytes, bytes]:
        """The paths of the copies of its shared trees, by the path where each is mounted.

        Raises:
            PathError: there is no such shared tree here.
        """
        found = {}
        for entry in work.entries:
            if entry.kind is Kind.SHARED_TREE:
                copy = self._context.shared_trees.get(SharedTree(entry.path, entry.blob))
                if copy is None:
                    raise PathError(f"no shared tree {entry.blob.hex()[:16]} here for {os.fsdecode(entry.path)!a}")
                found[entry.path] = copy
        return found

    def _mount(self, work: WorkTree) -> None:
        allowed = self._order.limits
        size = tree_builder.space_for(work.entries) + allowed.output + 2 * allowed.diagnostics + _SLACK + WITNESS_SIZE
        os.mkdir(self._root)
        self._undo.callback(os.rmdir, self._root)
        namespaces.mount_tmpfs(self._root, min(size, self._context.most), inodes=2 * len(work.entries) + _SPARE_INODES)
        self._undo.callback(namespaces.unmount, self._root)

    def _build(self, work: WorkTree, toolchain: ToolchainCopy, places: Sequence[bytes]) -> tree_builder.BuiltTree:
        tree = toolchain.tree
        seen = mount_plan.uncovered(work.entries, tree, places)
        built = tree_builder.build(
            self._root,
            [work.entries[index] for index in seen],
            [self._content(work.descriptors[index]) for index in seen],
            folders=(mount_plan.TEMPORARY, b"/dev", *(b"/" + top for top in tree.tops), *places),
            links=tuple((link.path, link.blob) for link in tree.links),
        )
        for device in _DEVICES:
            with contextlib.suppress(FileExistsError):
                os.mknod(self._root + device, 0o666)
        self._close_blobs()
        return built

    def _rulesets(
        self, built: tree_builder.BuiltTree, toolchain: ToolchainCopy, places: Sequence[bytes]
    ) -> tuple[int, ...]:
        """A job may change only the client's own directories, and those in the root itself if it works there."""
        if not self._context.landlock:
            return ()
        never = {b"", b"/dev", *(b"/" + top for top in toolchain.tree.tops)}
        tops = [path for path in built.folders if path.count(b"/") <= 1 and path not in never]
        own = [self._root + path for path in (*tops, *places, *((b"/",) if self._order.cwd == b"/" else ()))]
        ruleset = landlock.tree(self._context.landlock, built.root, own, (self._root + b"/dev/null",))
        self._undo.callback(os.close, ruleset)
        return toolchain.programs, ruleset

    def _enter_group(self) -> int:
        if self._context.groups is None:
            return -1
        self._group = self._context.groups.new(self._order.job, self._order.limits)
        self._undo.callback(self._group.close)
        return self._group.folder

    def _close_blobs(self) -> None:
        close_all(self._blobs)
        self._blobs = ()

    def _content(self, number: int) -> int:
        if number >= len(self._blobs):
            raise PathError(f"the order names content {number} of {len(self._blobs)}")
        return self._blobs[number] if number >= 0 else -1

    async def _sandboxed(
        self, toolchain: ToolchainCopy, root: int, stdio: JobStdio, rulesets: tuple[int, ...]
    ) -> SandboxResult:
        order = self._order
        spec = SandboxSpec(
            root=self._root,
            cwd=_spelled(order, root),
            arguments=order.arguments,
            environment=_environment(order.environment, toolchain.closure.search_path)
            | ({_PRELOAD: toolchain.tree.witness} if self._witness else {}),
            umask=order.umask,
            stdio=stdio.descriptors,
            rulesets=rulesets,
            group=self._enter_group(),
        )
        self._running = self._context.sandbox.start(spec, order.limits, stdio.overflowing)
        stdio.attach()
        if self._cancelled:
            self._running.kill()
        return await self._running.ended()

    def _found(
        self,
        work: WorkTree,
        built: tree_builder.BuiltTree,
        toolchain: ToolchainCopy,
        places: Sequence[bytes],
        shared_trees: Iterable[bytes],
    ) -> ScanResult:
        """What the run left. The toolchain's own tree, except for the client's directories in it, and shared trees are
        not searched.
        """
        skip = frozenset(
            {mount_plan.OWN_DIRECTORY, b"/dev", *(b"/" + top for top in toolchain.tree.tops), *shared_trees}
        )
        return scan_outputs(built, work.entries, skip, self._order.limits.output, places)

    def _report(self, found: ScanResult, ending: SandboxResult, stdio: JobStdio) -> tuple[WorkReport, list[int]]:
        limit = ending.limit or (self._group.limit() if self._group and ending.status else "")
        limit = limit or limit_from_diagnostics(ending, stdio.tail, self._order.limits)
        if not limit and stdio.overflowing():
            limit = "diagnostics"
        if not limit and found.more:
            limit = "output"
        witness, questions = self._witnessed()
        report = WorkReport(
            job=self._order.job,
            status=ending.status,
            limit=limit,
            made=found.made,
            strays=found.strays,
            usage=ending.usage,
            more=found.more,
            read=found.read,
            witness=witness,
            questions=questions,
        )
        kept = [self._witness.keep()] if self._witness and questions else []
        return report, [*stdio.take(), *found.descriptors, *kept]

    def _witnessed(self) -> tuple[bytes, int]:
        """The digest of the run's questions, empty if they are not known, and their size unless the client knows them.

        Raises:
            SandboxError: they cannot be read.
        """
        found = self._witness.read() if self._witness else None
        if found is None:
            return b"", 0
        return found.digest, 0 if found.digest == self._order.questions else len(found.questions)

    def _failed(self, why: str) -> WorkReport:
        status = -signal.SIGKILL if self._cancelled else 1
        return WorkReport(self._order.job, status, "", (), (), Usage(), failure=why)


def _overlay(root: bytes, toolchain: bytes, tops: Sequence[bytes], places: Sequence[bytes]) -> None:
    """Mounts the toolchain's top directories over the job's tree, and the client's directories over those. The sandbox
    mounts one such tree faster than each mount separately.
    """
    with contextlib.ExitStack() as undo:
        held = []
        for place in places:
            held.append(os.open(root + place, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
            undo.callback(os.close, held[-1])
        for top in tops:
            namespaces.bind(toolchain + b"/" + top, root + b"/" + top)
        for place, folder in zip(places, held, strict=True):
            namespaces.bind(b"/proc/self/fd/%d" % folder, root + place)
        for device in _DEVICES:
            namespaces.bind(device, root + device)


def _spelled(order: WorkOrder, root: int) -> bytes:
    """The working directory as the compiler must spell it. The sandbox sets PWD to the directory that it is told to
    enter, and gcc records PWD if it names the current directory.
    """
    named = order.environment.get(b"PWD", b"")
    if named.startswith(b"/") and named != order.cwd and same_folder(root, named, order.cwd):
        return named
    return order.cwd


def _environment(given: Mapping[bytes, bytes], search_path: bytes) -> dict[bytes, bytes]:
    """The front's variables, without those that choose programs or libraries, which only the runner sets."""
    kept = {
        name: value
        for name, value in given.items()
        if name not in _SERVERS_OWN and not name.startswith(_SERVERS_OWN_PREFIX)
    }
    return kept | {b"PATH": search_path, b"TMPDIR": mount_plan.TEMPORARY}


def _text(diagnostics: bytes) -> str:
    return diagnostics.decode("utf-8", "replace").strip()[-500:] or "it printed nothing"
