"""The runners of a daemon: one for new jobs, and older ones with jobs left.

A new runner takes over when its toolchains differ from those of the one before it, which exits after its last job.
"""

import asyncio
import socket
from collections.abc import Callable

from securecc.model import limits
from securecc.model.errors import Refused, SandboxError
from securecc.model.grant import Grant
from securecc.model.manifest import Digest
from securecc.model.messages import SharedTree
from securecc.runner_protocol.messages import WorkReady
from securecc.runner_protocol.packets import order_runner
from securecc.server.execution.executor import Inputs, Job, Outcome
from securecc.server.execution.runner_client import RunnerClient
from securecc.server.execution.toolchain_catalogue import ToolchainCatalogue


class Runner:
    """One runner: its client, what it offers, and how many jobs it has."""

    def __init__(self, end: socket.socket, lost: Callable[["Runner", str], None]) -> None:
        self.client = RunnerClient(end, lambda reason: lost(self, reason))
        self.digests: frozenset[Digest] = frozenset()
        self.wholes: frozenset[Digest] = frozenset()
        self.shared_trees: frozenset[SharedTree] = frozenset()
        self.sandbox: tuple[str, ...] = ()
        self.jobs = 0


class RunnerPool:
    """An Executor. Its `catalogue` lists what it offers; `lost` is called if the runner for new jobs goes away."""

    def __init__(
        self,
        end: socket.socket,
        spawner: socket.socket | None,
        catalogue: ToolchainCatalogue,
        lost: Callable[[str], None],
    ) -> None:
        self._spawner = spawner
        self.catalogue = catalogue
        self._lost = lost
        self._runner = Runner(end, self._gone)
        self._older: set[Runner] = set()
        self._renewing = self._again = False

    async def begin(self) -> WorkReady:
        """What the first runner can do.

        Raises:
            SandboxError: it ended before it could say so.
        """
        ready = await self._runner.client.ready()
        self._take(self._runner, ready)
        return ready

    async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        """See Executor.

        Raises:
            Refused: the toolchain, or one of the job's shared trees, is no longer offered.
        """
        runner = self._choose(job)
        runner.jobs += 1
        try:
            return await runner.client.run(job, grant, inputs)
        finally:
            runner.jobs -= 1
            self._retire(runner)

    def sandbox(self, job: Job) -> tuple[str, ...]:
        """The sandbox layers in force for the job: a later runner has no fewer."""
        try:
            return self._choose(job).sandbox
        except Refused:
            return self._runner.sandbox

    def _choose(self, job: Job) -> Runner:
        holders = [runner for runner in (self._runner, *self._older) if job.toolchain.digest in runner.digests]
        if not holders:
            raise Refused("toolchain", f"{job.toolchain.name} is no longer offered")
        shared_trees = {SharedTree(entry.path, entry.blob) for entry in job.manifest.shared_trees}
        runner = next((runner for runner in holders if shared_trees <= runner.shared_trees), None)
        if runner is None:
            raise Refused("layer", "one of the job's shared trees is no longer offered")
        return runner

    async def renew(self) -> str:
        """Looks for compilers again; returns the names of what is offered now, or nothing if that is unchanged. A call
        during a look repeats it afterwards.

        Raises:
            SandboxError: no new runner could be started; everything stays as it was.
        """
        if self._spawner is None:
            return ""
        self._again = True
        if self._renewing:
            return ""
        self._renewing, said = True, ""
        try:
            while self._again:
                self._again = False
                try:
                    said = await self._renew(self._spawner) or said
                except SandboxError:
                    if not self._again:
                        raise
        finally:
            self._renewing = False
        return said

    async def _renew(self, spawner: socket.socket) -> str:
        old = self._runner
        new = Runner(order_runner(spawner, tuple(old.wholes), tuple(old.shared_trees)), self._gone)
        try:
            async with asyncio.timeout(limits.RUNNER_START_S):
                ready = await new.client.ready()
        except TimeoutError as error:
            new.client.close()
            raise SandboxError(f"a new runner was not ready within {limits.RUNNER_START_S:.0f} s") from error
        if not ready.toolchains:
            new.client.close()
            return ""
        lacking = sorted(set(old.sandbox) - set(ready.layers))
        if lacking:
            new.client.close()
            raise SandboxError(
                f"a new runner has fewer sandbox layers, without {' '.join(lacking)}", "restart to allow it"
            )
        self._runner = new
        self._older.add(old)
        self._take(new, ready)
        self._retire(old)
        return ", ".join(offer.name for offer in ready.toolchains)

    def close(self) -> None:
        """Closes all runners, which kill their jobs and exit."""
        for runner in (self._runner, *self._older):
            runner.client.close()
        if self._spawner is not None:
            self._spawner.close()

    def _take(self, runner: Runner, ready: WorkReady) -> None:
        runner.digests = frozenset(offer.digest for offer in ready.toolchains)
        runner.wholes = frozenset(offer.whole for offer in ready.toolchains)
        runner.sandbox = ready.layers
        runner.shared_trees = frozenset(ready.trees[: limits.SHARED_TREES])
        self.catalogue.replace(ready.toolchains, runner.shared_trees)

    def _retire(self, runner: Runner) -> None:
        if runner in self._older and not runner.jobs:
            self._older.discard(runner)
            runner.client.close()

    def _gone(self, runner: Runner, reason: str) -> None:
        """Handles a lost runner. An older one takes only its jobs with it; one that was never ready had none."""
        if runner is self._runner:
            self._lost(reason)
        self._older.discard(runner)
