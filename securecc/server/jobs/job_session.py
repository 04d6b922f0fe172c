"""One job of one connection, from its Ask until everything of it is released.

Messages come in the order that `securecc.wire.session` allows. What a job holds (its queue entry, its blobs, its task)
is released in one place, `JobSession.end`, however it ends.
"""

import asyncio
import logging
from typing import Protocol

from securecc.channel.channel import Channel
from securecc.compiler.compile_key import compile_key
from securecc.model import limits
from securecc.model.errors import Refused, SecureccError
from securecc.model.grant import Grant
from securecc.model.manifest import Manifest
from securecc.model.messages import Ask, Need, Submit, Supply
from securecc.runner_protocol.messages import Offer
from securecc.server.execution.executor import Job, Origin
from securecc.server.execution.refusal import Refusal, refusal_of
from securecc.server.jobs.fair_queue import QueueEntry, Stage
from securecc.server.jobs.result_delivery import deliver
from securecc.server.jobs.service import Service
from securecc.server.jobs.upload import Upload
from securecc.server.jobs.validation import ManifestCache, Submission, validate

log = logging.getLogger("securecc")

UPLOAD_HOLDS_S = 2.0
"""Seconds that a slot is kept for a job whose files are still arriving."""


class Connection(Protocol):
    """The connection that a job came through, as its jobs see it."""

    @property
    def channel(self) -> Channel:
        """Where messages are sent."""

    @property
    def grant(self) -> Grant:
        """What its principal may do now."""

    @property
    def origin(self) -> Origin:
        """Who its principal is."""

    @property
    def manifests(self) -> ManifestCache:
        """The manifests that its principal has sent."""

    def refuse(self, job: "JobSession", refusal: Refusal) -> None:
        """Records why a job is not taken, tells the client and ends the job."""

    def report_refused(self, job: "JobSession", refusal: Refusal) -> None:
        """Tells the client why a job failed (already recorded), and ends the job."""

    def done(self, job: "JobSession") -> None:
        """Removes a job that has ended by itself."""


class JobSession:
    """One job. `number` is the daemon's, `asked.job` the client's; `offer` is the toolchain asked for."""

    def __init__(self, connection: Connection, service: Service, asked: Ask, offer: Offer, entry: QueueEntry) -> None:
        self.asked = asked
        self.offer = offer
        self.submitted: Submit | None = None
        self._connection = connection
        self._service = service
        self._entry = entry
        self._submission: Submission | None = None
        self._upload: Upload | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if entry.stage is Stage.LEASED:
            self.invited()

    @property
    def number(self) -> int:
        """The daemon's number for it."""
        return self._entry.number

    def invited(self) -> None:
        """Starts the time of SUBMIT_S in which its files must arrive, now that a slot is held for it."""
        self._timer = asyncio.get_running_loop().call_later(limits.SUBMIT_S, self._late)

    def end(self) -> None:
        """Releases everything; a running task is cancelled and releases what it holds when it has ended."""
        if self._timer is not None:
            self._timer.cancel()
        if self._upload is not None:
            self._upload.abandon()
        if self._task is not None and not self._task.done():
            if self._task is not asyncio.current_task():
                self._task.cancel()
            return
        self._give_back()

    def _give_back(self) -> None:
        if self._upload is not None:
            self._upload.release()
        self._entry.leave()

    def submit(self, submit: Submit) -> None:
        """Takes the job itself. Asks for what the server lacks, or runs it.

        Raises:
            Refused: the job breaks a rule.
            PathError: its manifest does.
            StoreError: there is no room for its files.
        """
        if submit.toolchain != self.asked.toolchain:
            raise Refused("toolchain", "the job names a different toolchain from the one it asked for")
        self.submitted = submit
        self._entry.hold(UPLOAD_HOLDS_S)
        manifests = self._connection.manifests
        if submit.manifest:
            self._read(submit, manifests.put(submit.manifest_digest, submit.manifest))
        elif (known := manifests.get(submit.manifest_digest)) is not None:
            self._read(submit, known)
        else:
            self._connection.channel.send(Need(submit.job, manifest=True, blobs=()))

    def supply(self, supply: Supply) -> None:
        """Takes the manifest that was asked for, or the announcement that blobs follow.

        Raises:
            Refused: nothing was asked for, or the job breaks a rule.
            PathError: its manifest does.
            StoreError: there is no room for its files.
        """
        if self.submitted is None:
            raise Refused("protocol", "nothing was asked for")
        if self._upload is None:
            manifests = self._connection.manifests
            self._read(self.submitted, manifests.put(self.submitted.manifest_digest, supply.manifest))
        elif self._upload.advance():
            self._run()

    def receive(self, data: bytes) -> None:
        """Takes some bytes of the blob that is arriving.

        Raises:
            Refused: no blob is arriving.
            StoreError: the bytes are not the blob's, or there is no room for them.
        """
        if self._upload is None:
            raise Refused("protocol", "the job sent bytes that were not asked for")
        if self._upload.receive(data):
            self._run()

    def _read(self, submit: Submit, manifest: Manifest) -> None:
        grant = self._connection.grant
        self._submission = validate(submit, self.offer, manifest, self._service.catalogue.shared_trees)
        self._upload = Upload(self._service.store, self._connection.origin.principal, manifest, grant.quota.store)
        if not self._upload.needed:
            self._run()
            return
        if self._upload.size > grant.limits.source:
            raise Refused("limit", f"more than {grant.limits.source} bytes of source")
        self._connection.channel.send(Need(submit.job, manifest=False, blobs=self._upload.needed))

    def _late(self) -> None:
        if self.submitted is None:
            refusal = Refusal("busy", f"the invitation was not used within {limits.SUBMIT_S:.0f} s")
        else:
            refusal = Refusal("limit", f"the job's files did not arrive within {limits.SUBMIT_S:.0f} s")
        self._connection.refuse(self, refusal)

    def _run(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._submission is not None
        assert self._upload is not None
        self._task = asyncio.create_task(self._execute(self._submission, self._upload))
        self._service.running.add(self._task)
        self._task.add_done_callback(self._executed)

    def _executed(self, task: "asyncio.Task[None]") -> None:
        """Cleans up after a task, even one that was cancelled before its first step, whose own `finally` never runs."""
        self._service.running.discard(task)
        self._give_back()
        self._connection.done(self)

    async def _execute(self, submission: Submission, upload: Upload) -> None:
        connection = self._connection
        job = _job(self.number, submission, connection.origin)
        try:
            outcome = await self._service.executor.run(job, connection.grant, upload.blobs)
        except Exception as error:
            if not isinstance(error, SecureccError):
                log.exception("job %d: internal error", self.number)
            connection.report_refused(self, refusal_of(error))
            return
        try:
            await deliver(connection.channel, self.asked.job, outcome, self._service.backlog)
        except Exception as error:
            if not isinstance(error, SecureccError):
                log.exception("job %d: internal error", self.number)
            if not connection.channel.closed:  # else no one is left to tell, and the job's end is recorded
                connection.refuse(self, refusal_of(error))
        finally:
            outcome.close()


def _job(number: int, submission: Submission, origin: Origin) -> Job:
    submit = submission.submit
    return Job(
        number=number,
        key=compile_key(
            toolchain=submit.toolchain,
            arguments=submit.arguments,
            cwd=submit.cwd,
            environment=submit.environment,
            umask=submit.umask,
            terminal=submit.terminal,
            manifest=submit.manifest_digest,
        ),
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
        questions=submit.questions,
    )
