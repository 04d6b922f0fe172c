"""One authenticated channel at the front: greets it, admits its jobs, and hands each message to its job."""

import contextlib
import logging
import time
from collections.abc import Callable
from typing import get_args

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
    RefuseCode,
    Submit,
    Supply,
    Toolchain,
    Wait,
    Welcome,
)
from securecc.server.execution.executor import Origin
from securecc.server.execution.pipeline import permits
from securecc.server.jobs.fair_queue import Stage
from securecc.server.jobs.job_session import Host, JobSession, Service
from securecc.server.jobs.principal_accounts import PrincipalAccount
from securecc.wire.session import agree

log = logging.getLogger("securecc")

_CODES: frozenset[str] = frozenset(get_args(RefuseCode))


class ClientConnection:
    """The front's end of one channel. `grant` may be replaced while it lives: the next job runs under the new one."""

    def __init__(self, channel: Channel, grant: Grant, service: Service, account: PrincipalAccount) -> None:
        self.channel = channel
        self.grant = grant
        self.account = account
        self.draining = ""
        self._service = service
        self._visits: dict[int, JobSession] = {}
        self._lacking: set[bytes] = set()
        self._newest = 0
        self._host = Host(
            channel=channel,
            grant=lambda: self.grant,
            origin=Origin(grant.principal, address(*channel.peer), channel.reference),
            manifests=account.manifests,
            service=service,
            refuse=self._refuse,
            done=self._done,
        )

    def drain(self, code: str, reason: str) -> None:
        """Takes no more jobs; the channel closes when the running ones have ended."""
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
                if message.job > self._newest:  # nothing to choose for this client, and room as far as it knows
                    self._ask(Ask(message.job, b"", message.toolchain, 0), submitted=True)
                self._with(message.job, lambda visit: visit.submit(message))
            case Supply():
                self._with(message.job, lambda visit: visit.supply(message))
            case Forget() | Cancel():
                self._drop(message.job)
            case _:
                pass

    def on_bulk(self, job: int, data: bytes) -> None:
        """Some bytes of the blob that is arriving for a job."""
        self._with(job, lambda visit: visit.receive(data))

    def on_lost(self, error: SecureccError) -> None:
        """The client has gone: nothing of its jobs may run on."""
        self._end_all()
        self._service.gone(self, error)

    # Admission.

    def _welcome(self, hello: Hello) -> None:
        offers = self._service.offers.values()
        self.channel.send(
            Welcome(
                version=agree(hello.versions),
                software=f"secureccd {__version__}",
                principal=self.grant.principal,
                reference=self.channel.reference,
                slots=self._service.admission.slots,
                toolchains=tuple(Toolchain(o.digest, o.name, o.target) for o in offers if permits(self.grant, o.name)),
                shared_trees=tuple(self._service.shared_trees),
                time_ns=time.time_ns(),
            )
        )

    def _ask(self, ask: Ask, *, submitted: bool = False) -> None:
        self._newest = ask.job
        offer = self._service.offers.get(ask.toolchain)
        if self.draining:
            self.channel.send(Refuse(ask.job, "draining", self.draining))
        elif len(self._visits) >= limits.JOBS_PER_CHANNEL:
            self.channel.send(Refuse(ask.job, "busy", f"{limits.JOBS_PER_CHANNEL} jobs on this channel"))
        elif self._service.admission.waits(self.grant.principal) >= limits.JOBS_WAITING:
            self.channel.send(Refuse(ask.job, "busy", f"{limits.JOBS_WAITING} jobs of yours wait already"))
        elif offer is None:
            self._no_such_toolchain(ask)
        elif not permits(self.grant, offer.name):
            reason = f"rule {self.grant.rule} does not grant {offer.name}"
            self._record_refusal(next(self._service.numbers), offer.name, "denied", reason, ())
            self.channel.send(Refuse(ask.job, "denied", reason))
        elif ask.size > self.grant.limits.source:
            reason = f"{ask.size} bytes of source; rule {self.grant.rule} grants {self.grant.limits.source}"
            self._record_refusal(next(self._service.numbers), offer.name, "limit", reason, ())
            self.channel.send(Refuse(ask.job, "limit", reason))
        else:
            self._admit(ask, submitted=submitted)

    def _no_such_toolchain(self, ask: Ask) -> None:
        """Says what is nearest among those that the policy grants; each toolchain that lacks is on record once."""
        offers = [offer.description for offer in self._service.offers.values() if permits(self.grant, offer.name)]
        reason = explain_missing(ask.description, offers)
        if ask.toolchain not in self._lacking and len(self._lacking) < limits.TOOLCHAINS_LACKING:
            self._lacking.add(ask.toolchain)
            name = ask.description.name[: limits.PATH_COMPONENT] if ask.description else ""
            self._record_refusal(next(self._service.numbers), name, "toolchain", reason, ())
        self.channel.send(Refuse(ask.job, "toolchain", reason))
        self._service.lacking()

    def _admit(self, ask: Ask, *, submitted: bool) -> None:
        """Who has submitted without asking gets a slot that is free at once, or none: nothing of it waits here."""
        admission = self._service.admission
        invite = Invite(ask.job, int(admission.lease_s * 1000))
        lease = _untold if submitted else lambda: self._invite(invite)
        ticket = admission.ask(self.grant, lease, self.account.starts)
        if ticket.stage is Stage.LEASED or not submitted:
            self._visits[ask.job] = JobSession(self._host, ask, ticket)
        else:
            ticket.leave()
            self.channel.send(Refuse(ask.job, "busy", "no slot is free: ask for one"))
            return
        if ticket.stage is Stage.WAITING:
            self.channel.send(Wait(ask.job, admission.waiting - 1))

    def _invite(self, invite: Invite) -> None:
        self.channel.send(invite)
        visit = self._visits.get(invite.job)
        if visit is not None:  # there is none yet where the slot was free at once
            visit.invited()

    # One job among the others.

    def _with(self, number: int, act: Callable[[JobSession], None]) -> None:
        """Acts on a job; what the client did wrong with it ends that job alone."""
        visit = self._visits.get(number)
        if visit is None:
            return
        try:
            act(visit)
        except Refused as error:
            self._refuse(visit, error.code, error.message)
        except PathError as error:
            self._refuse(visit, "tree", error.message)
        except BlobError as error:
            self._refuse(visit, "limit", error.message)
        except StoreError as error:
            log.error("%s", error)  # noqa: TRY400 - the error says it all
            self._refuse(visit, "server", error.message)

    def _refuse(self, visit: JobSession, code: str, reason: str, told: str = "") -> None:
        """On record with its `reason`; the client is told that, or in its place `told` and where to ask."""
        known = known_code(code)
        arguments = visit.submitted.arguments if visit.submitted is not None else ()
        self._record_refusal(visit.number, visit.offer.name, known, reason, arguments)
        said = f"{told}; its administrators find why under {self.channel.reference}" if told else reason
        self.channel.send(Refuse(visit.asked.job, known, said))
        self._drop(visit.asked.job)

    def _record_refusal(
        self, number: int, toolchain: str, code: RefuseCode, reason: str, arguments: tuple[bytes, ...]
    ) -> None:
        origin = self._host.origin
        record = job_events.job_refused(
            peer=origin.peer,
            principal=origin.principal,
            rule=self.grant.rule,
            reference=origin.reference,
            job=number,
            code=code,
            reason=reason,
            toolchain=toolchain,
            arguments=arguments,
            redact=self._service.redact,
        )
        with contextlib.suppress(AuditError):  # the log says by itself that a record could not be written
            self._service.append(record)

    def _drop(self, number: int) -> None:
        visit = self._visits.pop(number, None)
        if visit is not None:
            visit.end()
            self._close_if_drained()

    def _done(self, visit: JobSession) -> None:
        if self._visits.get(visit.asked.job) is visit:
            del self._visits[visit.asked.job]
        self._close_if_drained()

    def _end_all(self) -> None:
        visits, self._visits = self._visits, {}
        for visit in visits.values():
            visit.end()

    def _close_if_drained(self) -> None:
        if self.draining and not self._visits:
            self.channel.close(None)


def _untold() -> None:
    """Who has submitted needs no invitation."""


def known_code(code: str) -> RefuseCode:
    """The protocol's word for a refusal; `server` for what it has no word for."""
    return code if code in _CODES else "server"  # type: ignore[return-value]
