"""The runner's end of the connection to its front: orders in, reports out."""

import asyncio
import socket

from securecc.model import limits
from securecc.model.errors import ConfigError, SecureccError
from securecc.model.messages import Usage
from securecc.runner.job import Job, JobContext
from securecc.runner.log import log
from securecc.runner_protocol.messages import FromFront, WorkBlobs, WorkCancel, WorkOrder, WorkReport, WorkTree
from securecc.runner_protocol.packets import PacketConnection, from_front, read_tree
from securecc.system.descriptors import close_all

_PENDING = 4 * limits.MANIFEST_ENTRIES  # descriptors whose orders have not come yet


class FrontConnection:
    """The front as the runner sees it: an untrusted peer."""

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
            log(f"job {number}: {error!r}")
            report, descriptors = WorkReport(number, 1, "", (), (), Usage(), failure="the runner failed"), []
        try:
            self._answer(report, descriptors)
        finally:
            del self.jobs[number]
            job.close()

    def _answer(self, report: WorkReport, descriptors: list[int]) -> None:
        try:
            self.connection.send(report, descriptors)
        except (SecureccError, OSError) as error:  # otherwise the front would wait for it
            log(f"cannot send the report of job {report.job}: {error}")
            self.gone.set()
        finally:
            close_all(descriptors)

    def _garbage(self, reason: str) -> None:
        log(f"the front sent an invalid packet: {reason}")
