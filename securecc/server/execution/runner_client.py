"""The innermost Executor: hands a job to the runner and waits for its report."""

import asyncio
import hashlib
import os
import socket
import stat
from collections.abc import Callable, Iterable

from securecc.model import limits
from securecc.model.errors import ChannelError, SandboxError, SecureccError
from securecc.model.grant import Grant
from securecc.model.manifest import DIGEST, Kind
from securecc.runner_protocol.messages import FromRunner, WorkCancel, WorkOrder, WorkReady, WorkReport, WorkTree
from securecc.runner_protocol.packets import PacketConnection, from_runner, post_order
from securecc.server.execution.executor import Inputs, Job, Outcome
from securecc.system.descriptors import close_all

READ = limits.MIB
"""Bytes of an output that are hashed in one turn of the event loop: some 0.5 to 2 ms."""

OVERDUE_S = 30.0
"""Seconds. A runner that has not reported this long after the job's wall-clock limit, or after being told to end the
job, is broken, and the daemon ends with it.
"""


class RunnerClient:
    """The front's end of the runner. `lost` is called once if the runner goes away."""

    def __init__(self, end: socket.socket, lost: Callable[[str], None]) -> None:
        self._packets: PacketConnection[FromRunner] = PacketConnection(
            end, from_runner, self._receive, self._gone, self._garbage
        )
        self._lost = lost
        self._reports: dict[int, asyncio.Future[tuple[WorkReport, list[int]]]] = {}
        self._ready: asyncio.Future[WorkReady] = asyncio.get_running_loop().create_future()
        self._packets.start()

    async def ready(self) -> WorkReady:
        """What the runner can do.

        Raises:
            SandboxError: it ended before it could say so.
        """
        return await self._ready

    @property
    def waiting(self) -> int:
        """How many jobs are waiting for their report."""
        return len(self._reports)

    def close(self) -> None:
        """Closes the connection: the runner kills its jobs and exits."""
        self._packets.close()

    async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        """See Executor.

        Raises:
            SandboxError: the runner could not run the job, or is gone.
            StoreError: one of the job's blobs is lost.
        """
        report, descriptors = await self._report(job, grant, inputs)
        if report.failure:
            close_all(descriptors)
            raise SandboxError(f"the runner could not run the job: {report.failure}")
        try:
            digests = await _digests(report, descriptors[2 : 2 + len(report.made)], grant.limits.output)
        except BaseException:
            close_all(descriptors)
            raise
        return Outcome(
            report.status,
            report.limit,
            report.made,
            tuple(digests),
            tuple(descriptors),
            report.strays,
            report.usage,
            report.read,
            witness=report.witness,
            questions=report.questions,
        )

    async def _report(self, job: Job, grant: Grant, inputs: Inputs) -> tuple[WorkReport, list[int]]:
        answer = asyncio.get_running_loop().create_future()
        self._reports[job.number] = answer
        try:
            self._send(job, grant, inputs)
        except SecureccError as error:
            self._reports.pop(job.number, None)
            if isinstance(error, ChannelError):
                raise SandboxError("the runner has gone", "see the daemon's log") from error
            raise
        try:
            async with asyncio.timeout(grant.limits.wall_s + OVERDUE_S):
                return await asyncio.shield(answer)
        except asyncio.CancelledError:
            await self._kill(job.number, answer)
            raise
        except TimeoutError as error:
            self._give_up("it did not enforce the job's wall-clock limit")
            raise SandboxError("the runner did not report on the job in time", "see the daemon's log") from error

    def _send(self, job: Job, grant: Grant, inputs: Inputs) -> None:
        numbers: dict[bytes, int] = {}
        places = tuple(
            numbers.setdefault(entry.blob, len(numbers)) if entry.kind is Kind.FILE else -1
            for entry in job.manifest.entries
        )
        order = WorkOrder(
            job=job.number,
            toolchain=job.toolchain.digest,
            arguments=job.arguments,
            environment=job.environment,
            cwd=job.cwd,
            umask=job.umask,
            terminal=job.terminal,
            limits=grant.limits,
            blobs=len(numbers),
            questions=job.questions,
        )
        post_order(self._packets, order, WorkTree(job.manifest.entries, places), inputs.descriptors(numbers))

    async def _kill(self, number: int, answer: "asyncio.Future[tuple[WorkReport, list[int]]]") -> None:
        """Kills a cancelled job, and awaits its report, so that nothing goes on running."""
        try:
            self._packets.send(WorkCancel(number))
            if not (await asyncio.wait((answer,), timeout=OVERDUE_S))[0]:
                self._give_up("it did not end a job that it was told to end")
            _, descriptors = await answer
        except (ChannelError, SandboxError):
            return
        close_all(descriptors)

    def _receive(self, message: FromRunner, descriptors: list[int]) -> None:
        if isinstance(message, WorkReady):
            close_all(descriptors)
            if not self._ready.done():
                self._ready.set_result(message)
            return
        answer = self._reports.pop(message.job, None)
        if answer is None or answer.done() or not _fits(message, descriptors):
            close_all(descriptors)
            if answer is not None and not answer.done():
                answer.set_exception(SandboxError("the runner's report does not fit its descriptors"))
            return
        answer.set_result((message, descriptors))

    def _garbage(self, reason: str) -> None:
        """An unreadable report may be any job's, so no job may wait for one."""
        self._give_up(f"it sent an invalid message: {reason}")

    def _give_up(self, reason: str) -> None:
        """Stops using a runner that has misbehaved."""
        self._packets.close()
        self._gone(reason)

    def _gone(self, reason: str) -> None:
        error = SandboxError(f"the runner has gone: {reason}", "see the daemon's log")
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # raised to whoever awaits it, which may be no one
        for answer in self._reports.values():
            if not answer.done():
                answer.set_exception(error)
        self._reports.clear()
        self._lost(reason)


def _fits(report: WorkReport, descriptors: list[int]) -> bool:
    """Whether the descriptors match the report: regular files, the outputs and questions of the sizes that it gives."""
    expected = [made.size for made in report.made] + [report.questions] * (report.questions != 0)
    if report.failure or len(descriptors) != 2 + len(expected):
        return bool(report.failure) and not descriptors
    if not 0 <= report.questions <= limits.WITNESS or len(report.witness) not in {0, DIGEST}:
        return False
    found = [os.fstat(descriptor) for descriptor in descriptors]
    return all(stat.S_ISREG(status.st_mode) for status in found) and [each.st_size for each in found[2:]] == expected


async def _digests(report: WorkReport, descriptors: Iterable[int], most: int) -> list[bytes]:
    """The digests of what was made, at most `most` bytes in all.

    Raises:
        SandboxError: there is more, or a file cannot be read.
    """
    if sum(made.size for made in report.made) > most:
        raise SandboxError(f"the runner reports more output than the {most} bytes that the job may make")
    try:
        return [await _digest(descriptor, made.size) for descriptor, made in zip(descriptors, report.made, strict=True)]
    except OSError as error:
        raise SandboxError(f"an output cannot be read: {error.strerror}") from error


async def _digest(descriptor: int, size: int) -> bytes:
    """The SHA-256 of a file. Read by position, since the descriptor's offset is shared with the runner, and in parts,
    so that other work gets its turn on the event loop.

    Raises:
        SandboxError: it has fewer bytes than `size`.
    """
    hasher = hashlib.sha256()
    at = 0
    while at < size:
        part = os.pread(descriptor, min(READ, size - at), at)
        if not part:
            raise SandboxError("an output was truncated while it was read")
        hasher.update(part)
        at += len(part)
        if at < size:
            await asyncio.sleep(0)
    return hasher.digest()
