"""One job of one channel: from its Submit until nothing of it is left.

Each step meets the job as `securecc.wire.session` allows it. What a job holds (its ticket, its blobs, its task) is
given back in one place, `JobSession.end`, however it ends.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from securecc.audit.records.record import Record
from securecc.channel.channel import Channel
from securecc.model import limits
from securecc.model.errors import AuditError, Denied, PathError, Refused, SandboxError, SecureccError
from securecc.model.grant import Grant
from securecc.model.manifest import Digest, Kind, Manifest
from securecc.model.messages import Ask, Need, SharedTree, Submit, Supply
from securecc.model.redaction import Redact, unredacted
from securecc.runner_protocol.messages import Offer
from securecc.server.blobs.blob_store import BlobStore, Hold, Intake
from securecc.server.execution.executor import Executor, Job, Origin
from securecc.server.jobs.delivery_backlog import DeliveryBacklog
from securecc.server.jobs.fair_queue import FairQueue, QueueEntry, Stage
from securecc.server.jobs.result_delivery import deliver
from securecc.server.jobs.validation import Manifests, Submission, read

if TYPE_CHECKING:
    from securecc.server.connections.client_connection import ClientConnection

log = logging.getLogger("securecc")

UPLOAD_HOLDS_S = 2.0
"""A slot is kept this long for a job whose files are still arriving."""


@dataclass(frozen=True, slots=True)
class Service:
    """What all channels of one front share. `numbers` counts the daemon's jobs; `gone` is told of a lost channel and
    why; `running` are the tasks of jobs that have not ended, killed ones included; `lacking` is told that somebody
    asked for a toolchain that is not here; `shared_trees` are the directory trees that a job may have whole; `redact`
    takes secrets out of what is recorded; `undelivered` are the results that wait for their clients.
    """

    admission: FairQueue
    store: BlobStore
    executor: Executor
    offers: Mapping[Digest, Offer]
    append: Callable[[Record], object]
    gone: Callable[["ClientConnection", SecureccError], None]
    numbers: "itertools.count[int]"
    running: "set[asyncio.Task[None]]" = field(default_factory=set)
    lacking: Callable[[], None] = lambda: None
    shared_trees: Collection[SharedTree] = ()
    redact: Redact = unredacted
    undelivered: DeliveryBacklog = field(default_factory=DeliveryBacklog)


class Refusal(Protocol):
    """How a visit is ended that is refused."""

    def __call__(self, visit: "JobSession", code: str, reason: str, told: str = "") -> None:
        """`reason` is for the record, and for the client as well unless it is `told` something else."""


@dataclass(frozen=True, slots=True)
class Host:
    """Whose job it is: the channel that it came by, and what that channel's principal may do."""

    channel: Channel
    grant: Callable[[], Grant]
    origin: Origin
    manifests: Manifests
    service: Service
    refuse: "Refusal"
    done: Callable[["JobSession"], None]


class JobSession:
    """One job. `number` is the daemon's, `asked.job` the client's number for it, `offer` the toolchain asked for."""

    def __init__(self, host: Host, asked: Ask, ticket: QueueEntry) -> None:
        self.number = next(host.service.numbers)
        self.asked = asked
        self.offer = host.service.offers[asked.toolchain]
        self.submitted: Submit | None = None
        self._host = host
        self._ticket = ticket
        self._submission: Submission | None = None
        self._hold: Hold | None = None
        self._arriving: list[tuple[Digest, int]] = []
        self._intake: Intake | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if ticket.stage is Stage.LEASED:
            self.invited()

    def invited(self) -> None:
        """A slot is held for it: from now on its files have SUBMIT_S to arrive."""
        self._timer = asyncio.get_running_loop().call_later(limits.SUBMIT_S, self._late)

    def end(self) -> None:
        """Gives everything back; a running task is cancelled and gives back what it holds when it has ended."""
        if self._timer is not None:
            self._timer.cancel()
        if self._intake is not None:
            self._intake.abandon()
        if self._task is not None and not self._task.done():
            if self._task is not asyncio.current_task():
                self._task.cancel()
            return
        self._give_back()

    def _give_back(self) -> None:
        if self._hold is not None:
            self._hold.release()
        self._ticket.leave()

    # Each of these may raise Refused, PathError or StoreError, which end this job alone.

    def submit(self, submit: Submit) -> None:
        """The job itself. Asks for what lacks, or runs it."""
        if submit.toolchain != self.asked.toolchain:
            raise Refused("toolchain", "the job names another toolchain than was asked for")
        self.submitted = submit
        self._ticket.hold(UPLOAD_HOLDS_S)
        manifests = self._host.manifests
        if submit.manifest:
            self._read(submit, manifests.put(submit.manifest_digest, submit.manifest))
        elif (known := manifests.get(submit.manifest_digest)) is not None:
            self._read(submit, known)
        else:
            self._host.channel.send(Need(submit.job, manifest=True, blobs=()))

    def supply(self, supply: Supply) -> None:
        """The manifest that was asked for, or the word that blobs follow."""
        if self.submitted is None:
            raise Refused("protocol", "nothing was asked for")
        if self._submission is None:
            digest = self.submitted.manifest_digest
            self._read(self.submitted, self._host.manifests.put(digest, supply.manifest))
        else:
            self._next_blob()

    def receive(self, data: bytes) -> None:
        """Some bytes of the blob that is arriving."""
        if self._intake is None:
            raise Refused("protocol", "bytes that nobody asked for")
        self._intake.write(data)
        if not self._intake.lacking:
            self._intake.finish()
            self._intake = None
            self._next_blob()

    def _read(self, submit: Submit, manifest: Manifest) -> None:
        self._submission = read(submit, self.offer, manifest, self._host.service.shared_trees)
        sizes = _sizes(manifest)
        quota = self._host.grant().quota.store
        self._hold = self._host.service.store.hold(self._host.origin.principal, sizes, quota)
        missing = self._hold.missing
        if missing:
            self._need(submit, manifest, sizes, missing)
        else:
            self._run()

    def _need(self, submit: Submit, manifest: Manifest, sizes: Mapping[Digest, int], missing: list[Digest]) -> None:
        most = self._host.grant().limits.source
        if sum(sizes[digest] for digest in missing) > most:
            raise Refused("limit", f"more than {most} bytes of source")
        lacking = dict.fromkeys(missing)
        indices = []
        for index, entry in enumerate(manifest.entries):
            if entry.kind is Kind.FILE and entry.blob in lacking:
                del lacking[entry.blob]
                indices.append(index)
                self._arriving.append((entry.blob, entry.size))
        self._arriving.reverse()
        self._host.channel.send(Need(submit.job, manifest=False, blobs=tuple(indices)))

    def _next_blob(self) -> None:
        assert self._hold is not None
        while self._arriving:
            digest, size = self._arriving.pop()
            self._intake = self._hold.intake(digest, size)
            if size:
                return
            self._intake.finish()
            self._intake = None
        self._run()

    def _late(self) -> None:
        if self.submitted is None:
            self._host.refuse(self, "busy", f"the invitation was not used within {limits.SUBMIT_S:.0f} s")
            return
        self._host.refuse(self, "limit", f"the job's files did not arrive within {limits.SUBMIT_S:.0f} s")

    def _run(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._submission is not None
        assert self._hold is not None
        self._task = asyncio.create_task(self._execute(self._submission, self._hold))
        self._host.service.running.add(self._task)
        self._task.add_done_callback(self._executed)

    def _executed(self, task: "asyncio.Task[None]") -> None:
        """Also of a task that was cancelled before its first step, which no `finally` of its own would hear of."""
        self._host.service.running.discard(task)
        self._give_back()
        self._host.done(self)

    async def _execute(self, submission: Submission, hold: Hold) -> None:
        host = self._host
        job = _job(self.number, submission, hold, host.origin, self._ticket)
        try:
            outcome = await host.service.executor.run(job, host.grant())
            self._ticket.free()
            try:
                await deliver(host.channel, self.asked.job, outcome, host.service.undelivered)
            finally:
                outcome.close()
        except Denied as error:
            host.refuse(self, "denied", error.message)
        except Refused as error:
            host.refuse(self, error.code, error.message)
        except AuditError:
            host.refuse(self, "server", "the server cannot keep its record now")
        except SandboxError as error:  # its words are about the server's own places
            host.refuse(self, "server", error.message, "the server's sandbox could not run the job")
        except SecureccError as error:
            host.refuse(self, "server", error.message)
        except Exception:
            log.exception("job %d met what it should never meet", self.number)
            host.refuse(self, "server", "the server met an error of its own")


def _sizes(manifest: Manifest) -> dict[Digest, int]:
    """Each content's size in bytes. Raises PathError where one content is said to have two."""
    sizes: dict[Digest, int] = {}
    for entry in manifest.entries:
        if entry.kind is Kind.FILE and sizes.setdefault(entry.blob, entry.size) != entry.size:
            raise PathError(f"one content of {sizes[entry.blob]} and of {entry.size} bytes")
    return sizes


def _job(number: int, submission: Submission, hold: Hold, origin: Origin, ticket: QueueEntry) -> Job:
    submit = submission.submit
    return Job(
        number=number,
        origin=origin,
        toolchain=submission.toolchain,
        arguments=submit.arguments,
        plan=submission.plan,
        cwd=submit.cwd,
        environment=submission.environment,
        umask=submit.umask & 0o777,
        attempt=min(max(submit.attempt, 1), limits.ATTEMPTS),
        terminal=submit.terminal,
        manifest=submission.manifest,
        manifest_digest=submit.manifest_digest,
        source=submission.manifest.source,
        inputs=hold,
        occupy=ticket.occupy,
    )
