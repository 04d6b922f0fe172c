"""One authenticated channel at the front: welcomes its client, queues its jobs and hands each message to its job."""

import contextlib
import logging
import time
from collections.abc import Callable

from securecc import __version__
from securecc.audit.records import job_events
from securecc.channel.channel import Channel
from securecc.compiler.toolchain.closest_match import explain_missing
from securecc.model import limits
from securecc.model.address import address
from securecc.model.errors import AuditError, BlobError, PathError, Refused, SecureccError, StoreError
from securecc.model.grant import Grant
from securecc.model.messages import (
    Ask,
    Cancel,
    Forget,
    FromClient,
    Goodbye,
    Hello,
    Invite,
    Refuse,
    Submit,
    Supply,
    Toolchain,
    Wait,
    Welcome,
)
from securecc.runner_protocol.messages import Offer
from securecc.server.execution.executor import Origin
from securecc.server.execution.refusal import Refusal, refusal_of
from securecc.server.jobs.fair_queue import Stage
from securecc.server.jobs.job_session import JobSession
from securecc.server.jobs.principal_accounts import PrincipalAccount
from securecc.server.jobs.service import Service
from securecc.server.jobs.validation import ManifestCache
from securecc.wire.session import agree

log = logging.getLogger("securecc")


class ClientConnection:
    """The front's end of one channel. `grant` may be replaced while it is open: the next job runs under the new one.
    `on_lost` is called once, when the channel has ended.
    """

    def __init__(
        self,
        channel: Channel,
        grant: Grant,
        service: Service,
        account: PrincipalAccount,
        on_lost: Callable[["ClientConnection", SecureccError], None],
    ) -> None:
        self.channel = channel
        self.grant = grant
        self.account = account
        self.draining = ""
        self.origin = Origin(grant.principal, address(*channel.peer), channel.reference)
        self._service = service
        self._on_lost = on_lost
        self._jobs: dict[int, JobSession] = {}
        self._lacking: set[bytes] = set()
        self._newest = 0

    @property
    def manifests(self) -> ManifestCache:
        """The manifests that its principal has sent."""
        return self.account.manifests

    @property
    def jobs(self) -> int:
        """How many of its jobs have not ended."""
        return len(self._jobs)

    def drain(self, code: str, reason: str) -> None:
        """Takes no more jobs; closes the channel when its current jobs have ended."""
        self.draining = reason
        self.channel.send(Goodbye(code, reason, self.channel.reference))
        self._close_if_drained()

    def end(self, code: str, reason: str) -> None:
        """Ends all jobs and closes the channel."""
        self._end_all()
        self.channel.close(Goodbye(code, reason, self.channel.reference))

    # What the channel calls (securecc.channel.channel.Listener).

    def on_message(self, message: FromClient) -> None:
        """One control message."""
        match message:
            case Hello():
                self._welcome(message)
            case Ask():
                self._ask(message)
            case Submit():
                if message.job > self._newest:  # from a client whose only server this is, and that saw a free slot
                    self._ask(Ask(message.job, b"", message.toolchain, 0), submitted=True)
                self._with(message.job, lambda job: job.submit(message))
            case Supply():
                self._with(message.job, lambda job: job.supply(message))
            case Forget() | Cancel():
                self._drop(message.job)
            case _:
                pass

    def on_bulk(self, number: int, data: bytes) -> None:
        """Takes some bytes of the blob that is arriving for a job."""
        self._with(number, lambda job: job.receive(data))

    def on_lost(self, error: SecureccError) -> None:
        """The client is gone: ends all its jobs."""
        self._end_all()
        self._on_lost(self, error)

    # New jobs.

    def _welcome(self, hello: Hello) -> None:
        catalogue = self._service.catalogue
        self.channel.send(
            Welcome(
                version=agree(hello.versions),
                software=f"secureccd {__version__}",
                principal=self.grant.principal,
                reference=self.channel.reference,
                slots=self._service.queue.slots,
                toolchains=tuple(Toolchain(o.digest, o.name, o.target) for o in catalogue.granted(self.grant)),
                shared_trees=tuple(catalogue.shared_trees),
                time_ns=time.time_ns(),
            )
        )

    def _ask(self, ask: Ask, *, submitted: bool = False) -> None:
        self._newest = ask.job
        offer = self._service.catalogue.get(ask.toolchain)
        if self.draining:
            self.channel.send(Refuse(ask.job, "draining", self.draining))
        elif len(self._jobs) >= limits.JOBS_PER_CHANNEL:
            self.channel.send(Refuse(ask.job, "busy", f"{limits.JOBS_PER_CHANNEL} jobs are open on this channel"))
        elif self._service.queue.waits(self.grant.principal) >= limits.JOBS_WAITING:
            self.channel.send(Refuse(ask.job, "busy", f"{limits.JOBS_WAITING} of your jobs are waiting already"))
        elif offer is None:
            self._no_such_toolchain(ask)
        elif not self.grant.covers(offer.name):
            self._refuse_ask(ask, offer, Refusal("denied", f"rule {self.grant.rule} does not grant {offer.name}"))
        elif ask.size > self.grant.limits.source:
            reason = f"{ask.size} bytes of source; rule {self.grant.rule} grants {self.grant.limits.source}"
            self._refuse_ask(ask, offer, Refusal("limit", reason))
        else:
            self._enter(ask, offer, submitted=submitted)

    def _refuse_ask(self, ask: Ask, offer: Offer, refusal: Refusal) -> None:
        self._record(next(self._service.numbers), offer.name, refusal)
        self.channel.send(Refuse(ask.job, refusal.code, refusal.reason))

    def _no_such_toolchain(self, ask: Ask) -> None:
        """Names the nearest toolchain that the policy grants; each missing toolchain is recorded once."""
        offers = [offer.description for offer in self._service.catalogue.granted(self.grant)]
        reason = explain_missing(ask.description, offers)
        if ask.toolchain not in self._lacking and len(self._lacking) < limits.TOOLCHAINS_LACKING:
            self._lacking.add(ask.toolchain)
            name = ask.description.name[: limits.PATH_COMPONENT] if ask.description else ""
            self._record(next(self._service.numbers), name, Refusal("toolchain", reason))
        self.channel.send(Refuse(ask.job, "toolchain", reason))
        self._service.on_lacking()

    def _enter(self, ask: Ask, offer: Offer, *, submitted: bool) -> None:
        """Queues a job. One that was submitted without an Ask gets a slot only if one is free at once."""
        queue = self._service.queue
        invite = Invite(ask.job, int(queue.lease_s * 1000))
        on_lease = _already_submitted if submitted else lambda: self._invite(invite)
        entry = queue.ask(next(self._service.numbers), self.grant, on_lease, self.account.starts)
        if submitted and entry.stage is not Stage.LEASED:
            entry.leave()
            self.channel.send(Refuse(ask.job, "busy", "no slot is free: ask for one"))
            return
        self._jobs[ask.job] = JobSession(self, self._service, ask, offer, entry)
        if entry.stage is Stage.WAITING:
            self.channel.send(Wait(ask.job, queue.waiting - 1))

    def _invite(self, invite: Invite) -> None:
        self.channel.send(invite)
        job = self._jobs.get(invite.job)
        if job is not None:  # not there yet if the slot was free at once
            job.invited()

    # One job among the others.

    def _with(self, number: int, act: Callable[[JobSession], None]) -> None:
        """Acts on a job; an error by the client ends only that job."""
        job = self._jobs.get(number)
        if job is None:
            return
        try:
            act(job)
        except (Refused, PathError, StoreError) as error:
            if isinstance(error, StoreError) and not isinstance(error, BlobError):
                log.error("%s", error)  # noqa: TRY400 - the error says it all
            self.refuse(job, refusal_of(error))

    # What jobs call (securecc.server.jobs.job_session.Connection).

    def refuse(self, job: JobSession, refusal: Refusal) -> None:
        """Records why a job is not taken, tells the client and ends the job."""
        arguments = job.submitted.arguments if job.submitted is not None else ()
        self._record(job.number, job.offer.name, refusal, arguments)
        self.report_refused(job, refusal)

    def report_refused(self, job: JobSession, refusal: Refusal) -> None:
        """Tells the client why a job failed (already recorded), and ends the job."""
        told = refusal.reason
        if refusal.told:
            told = f"{refusal.told}; its administrator finds the cause under reference {self.channel.reference}"
        self.channel.send(Refuse(job.asked.job, refusal.code, told))
        self._drop(job.asked.job)

    def done(self, job: JobSession) -> None:
        """Removes a job that has ended by itself."""
        if self._jobs.get(job.asked.job) is job:
            del self._jobs[job.asked.job]
        self._close_if_drained()

    def _record(self, number: int, toolchain: str, refusal: Refusal, arguments: tuple[bytes, ...] = ()) -> None:
        record = job_events.job_refused(
            peer=self.origin.peer,
            principal=self.origin.principal,
            rule=self.grant.rule,
            reference=self.origin.reference,
            job=number,
            code=refusal.code,
            reason=refusal.reason,
            toolchain=toolchain,
            arguments=arguments,
            redact=self._service.redact,
        )
        with contextlib.suppress(AuditError):  # the audit log itself reports that a record could not be written
            self._service.append(record)

    def _drop(self, number: int) -> None:
        job = self._jobs.pop(number, None)
        if job is not None:
            job.end()
            self._close_if_drained()

    def _end_all(self) -> None:
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.end()

    def _close_if_drained(self) -> None:
        if self.draining and not self._jobs:
            self.channel.close(None)


def _already_submitted() -> None:
    """A job that was submitted without an Ask needs no invitation."""
