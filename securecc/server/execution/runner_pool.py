"""The toolchains that a daemon offers, and the runners that have them: one for new jobs, and older ones with jobs left.

A new runner takes over when it has other toolchains than the one before it, which leaves when its last job has ended.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from securecc.compiler.toolchain.toolchain_list import KnownToolchain, write
from securecc.model import limits
from securecc.model.errors import Refused, SandboxError
from securecc.model.grant import Grant
from securecc.model.manifest import Digest
from securecc.model.messages import SharedTree
from securecc.runner_protocol.messages import Offer, WorkReady
from securecc.runner_protocol.packets import order_runner
from securecc.server.execution.executor import Job, Outcome
from securecc.server.execution.runner_client import RunnerClient

log = logging.getLogger("securecc")


class Runner:
    """One runner: its dispatch, what it has, and how many jobs are with it."""

    def __init__(self, end: socket.socket, lost: Callable[["Runner", str], None]) -> None:
        self.dispatch = RunnerClient(end, lambda reason: lost(self, reason))
        self.digests: frozenset[Digest] = frozenset()
        self.wholes: frozenset[Digest] = frozenset()
        self.shared_trees: frozenset[SharedTree] = frozenset()
        self.sandbox: tuple[str, ...] = ()
        self.jobs = 0


class RunnerPool:
    """An Executor. `offers` are the toolchains and `shared_trees` the directory trees that are offered now; mapping and
    set are the same ones all the time.

    `lost` is called if the runner goes that takes new jobs. `ledger` is written whenever the offers change.
    """

    def __init__(
        self, end: socket.socket, spawner: socket.socket | None, ledger: Path, lost: Callable[[str], None]
    ) -> None:
        self.offers: dict[Digest, Offer] = {}
        self.shared_trees: set[SharedTree] = set()
        self._spawner = spawner
        self._ledger = ledger
        self._lost = lost
        self._runner = Runner(end, self._gone)
        self._older: set[Runner] = set()
        self._renewing = self._asked = False

    async def begin(self) -> WorkReady:
        """What the first runner can do. Raises SandboxError when it ends before it could say so."""
        ready = await self._runner.dispatch.ready()
        self._take(self._runner, ready)
        return ready

    async def run(self, job: Job, grant: Grant) -> Outcome:
        """See Executor. Raises Refused for a toolchain or a shared tree that is offered no longer."""
        runner = self._choose(job)
        runner.jobs += 1
        try:
            return await runner.dispatch.run(job, grant)
        finally:
            runner.jobs -= 1
            self._retire(runner)

    def sandbox(self, job: Job) -> tuple[str, ...]:
        """The sandbox layers in force for the job: of a runner that follows these are no fewer."""
        try:
            return self._choose(job).sandbox
        except Refused:
            return self._runner.sandbox

    def _choose(self, job: Job) -> Runner:
        holders = [runner for runner in (self._runner, *self._older) if job.toolchain.digest in runner.digests]
        if not holders:
            raise Refused("toolchain", f"{job.toolchain.name} is offered no longer")
        shared_trees = {SharedTree(entry.path, entry.blob) for entry in job.manifest.shared_trees}
        runner = next((runner for runner in holders if shared_trees <= runner.shared_trees), None)
        if runner is None:
            raise Refused("layer", "a shared tree of the job's is offered no longer")
        return runner

    async def renew(self) -> str:
        """Looks for compilers anew; what is offered now, in words, if it is other than before. Who asks while somebody
        looks has that one look once more.

        Raises SandboxError when no new runner could be had: everything stays as it was.
        """
        if self._spawner is None:
            return ""
        self._asked = True
        if self._renewing:
            return ""
        self._renewing, said = True, ""
        try:
            while self._asked:
                self._asked = False
                try:
                    said = await self._renew(self._spawner) or said
                except SandboxError:
                    if not self._asked:
                        raise
        finally:
            self._renewing = False
        return said

    async def _renew(self, spawner: socket.socket) -> str:
        old = self._runner
        new = Runner(order_runner(spawner, tuple(old.wholes), tuple(old.shared_trees)), self._gone)
        try:
            async with asyncio.timeout(limits.RUNNER_START_S):
                ready = await new.dispatch.ready()
        except TimeoutError as error:
            new.dispatch.close()
            raise SandboxError(f"a new runner was not ready within {limits.RUNNER_START_S:.0f} s") from error
        if not ready.toolchains:
            new.dispatch.close()
            return ""
        lacking = sorted(set(old.sandbox) - set(ready.layers))
        if lacking:
            new.dispatch.close()
            raise SandboxError(
                f"a new runner has fewer sandbox layers, without {' '.join(lacking)}", "restart to allow it"
            )
        self._runner = new
        self._older.add(old)
        self._take(new, ready)
        self._retire(old)
        return ", ".join(offer.name for offer in ready.toolchains)

    def close(self) -> None:
        """All runners kill what runs and leave."""
        for runner in (self._runner, *self._older):
            runner.dispatch.close()
        if self._spawner is not None:
            self._spawner.close()

    def _take(self, runner: Runner, ready: WorkReady) -> None:
        runner.digests = frozenset(offer.digest for offer in ready.toolchains)
        runner.wholes = frozenset(offer.whole for offer in ready.toolchains)
        runner.sandbox = ready.layers
        runner.shared_trees = frozenset(ready.trees[: limits.SHARED_TREES])
        self.shared_trees.clear()
        self.shared_trees |= runner.shared_trees
        self.offers.clear()
        self.offers |= {offer.digest: offer for offer in ready.toolchains}
        try:
            write(
                self._ledger,
                [KnownToolchain(offer.digest, offer.called_by, offer.description) for offer in ready.toolchains],
            )
        except OSError as error:
            log.warning("%s cannot be written: %s", os.fspath(self._ledger), error.strerror)

    def _retire(self, runner: Runner) -> None:
        if runner in self._older and not runner.jobs:
            self._older.discard(runner)
            runner.dispatch.close()

    def _gone(self, runner: Runner, reason: str) -> None:
        """An older one that goes takes its jobs with it, and no more; one that was never ready is nobody's loss."""
        if runner is self._runner:
            self._lost(reason)
        self._older.discard(runner)
