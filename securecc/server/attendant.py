"""One channel's jobs at the front: from Ask to the last byte of the Result.

Each message meets the job at a known stage (`securecc.wire.session` refuses the others). What a job holds (its ticket,
its blobs, its task) is given back in one place, `_Visit.end`, however it ends.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from securecc import __version__
from securecc.channel.channel import Channel
from securecc.server import audit_record
from securecc.server.admission import Admission, Stage, Ticket
from securecc.server.audit_record import Record
from securecc.server.executor import Executor, Job, Origin, Outcome
from securecc.server.pipeline import permits
from securecc.server.reading import Manifests, Submission, read
from securecc.server.store import Hold, Intake, Store
from securecc.wire.session import agree
from securecc.words import limits
from securecc.words.errors import AuditError, Denied, PathError, Refused, SecureccError, StoreError
from securecc.words.grant import Grant
from securecc.words.manifest import Digest, Kind, Manifest
from securecc.words.messages import (
    Ask,
    Cancel,
    Forget,
    FromClient,
    Goodbye,
    Hello,
    Invite,
    Need,
    Output,
    Refuse,
    RefuseCode,
    Result,
    Submit,
    Supply,
    Toolchain,
    Wait,
    Welcome,
)
from securecc.words.work import Offer

UPLOAD_HOLDS_S = 2.0
"""A slot is kept this long for a job whose files are still arriving."""


@dataclass(frozen=True, slots=True)
class Service:
    """What all channels of one front share. `numbers` counts the daemon's jobs."""

    admission: Admission
    store: Store
    executor: Executor
    offers: Mapping[Digest, Offer]
    append: Callable[[Record], object]
    gone: Callable[["Attendant"], None]
    numbers: "itertools.count[int]"


class _Visit:
    """One job of one channel."""

    __slots__ = ("arriving", "asked", "hold", "intake", "number", "submission", "submit", "task", "ticket", "timer")

    def __init__(self, number: int, asked: Ask, ticket: Ticket) -> None:
        self.number = number
        self.asked = asked
        self.ticket = ticket
        self.submit: Submit | None = None
        self.submission: Submission | None = None
        self.hold: Hold | None = None
        self.arriving: list[tuple[Digest, int]] = []
        self.intake: Intake | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """Gives everything back; a running task is cancelled and gives back what it holds when it has ended."""
        if self.timer is not None:
            self.timer.cancel()
        if self.intake is not None:
            self.intake.abandon()
        if self.task is not None and not self.task.done():
            self.task.cancel()
            return
        if self.hold is not None:
            self.hold.release()
        self.ticket.leave()


class Attendant:
    """The front's end of one authenticated channel."""

    def __init__(self, channel: Channel, grant: Grant, service: Service) -> None:
        self.channel = channel
        self.grant = grant
        self.draining = ""
        self._service = service
        self._origin = Origin(grant.principal, address_of(channel.peer), channel.reference)
        self._manifests = Manifests()
        self._visits: dict[int, _Visit] = {}

    @property
    def jobs(self) -> int:
        """Jobs that have been asked for and have not ended."""
        return len(self._visits)

    def drain(self, code: str, reason: str) -> None:
        """Takes no more jobs; the channel closes when the running ones have ended."""
        self.draining = reason
        self.channel.send(Goodbye(code, reason, self.channel.reference))
        if not self._visits:
            self.channel.close(None)

    def end(self, code: str, reason: str) -> None:
        """Ends all jobs and closes the channel."""
        self.channel.close(Goodbye(code, reason, self.channel.reference))
        self._end_all()

    def on_lost(self, error: SecureccError) -> None:  # noqa: ARG002 - why it has gone is the same to its jobs
        """The client has gone: nothing of its jobs may run on."""
        self._end_all()
        self._service.gone(self)

    def _end_all(self) -> None:
        visits, self._visits = self._visits, {}
        for visit in visits.values():
            visit.end()

    # What comes in.

    def on_message(self, message: FromClient) -> None:
        """See securecc.channel.channel.Listener."""
        match message:
            case Hello():
                self._welcome(message)
            case Ask():
                self._ask(message)
            case Submit():
                self._with(message.job, lambda visit: self._submit(visit, message))
            case Supply():
                self._with(message.job, lambda visit: self._supply(visit, message))
            case Forget() | Cancel():
                self._drop(message.job)
            case _:
                pass

    def on_bulk(self, number: int, data: bytes) -> None:
        """See securecc.channel.channel.Listener: some bytes of the blob that is arriving for a job."""
        self._with(number, lambda visit: self._receive(visit, data))

    def _with(self, number: int, act: Callable[[_Visit], None]) -> None:
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
        except StoreError as error:
            self._refuse(visit, "limit", error.message)

    def _welcome(self, hello: Hello) -> None:
        offers = self._service.offers.values()
        permitted = (Toolchain(o.digest, o.name, o.target) for o in offers if permits(self.grant, o.name))
        self.channel.send(
            Welcome(
                version=agree(hello.versions),
                software=f"secureccd {__version__}",
                principal=self.grant.principal,
                reference=self.channel.reference,
                slots=self._service.admission.slots,
                toolchains=tuple(permitted),
            )
        )

    def _ask(self, ask: Ask) -> None:
        offer = self._service.offers.get(ask.toolchain)
        if self.draining:
            self.channel.send(Refuse(ask.job, "draining", self.draining))
        elif len(self._visits) >= limits.JOBS_PER_CHANNEL:
            self.channel.send(Refuse(ask.job, "busy", f"{limits.JOBS_PER_CHANNEL} jobs on this channel"))
        elif offer is None:
            self.channel.send(Refuse(ask.job, "toolchain", "no such toolchain here"))
        elif not permits(self.grant, offer.name):
            reason = f"rule {self.grant.rule} does not grant {offer.name}"
            self.channel.send(Refuse(ask.job, "denied", reason))
        else:
            self._admit(ask)

    def _admit(self, ask: Ask) -> None:
        invite = Invite(ask.job, int(self._service.admission.lease_s * 1000))
        ticket = self._service.admission.ask(self.grant, lambda: self._invite(invite))
        self._visits[ask.job] = _Visit(next(self._service.numbers), ask, ticket)
        if ticket.stage is Stage.WAITING:
            self.channel.send(Wait(ask.job, self._service.admission.waiting - 1))

    def _invite(self, invite: Invite) -> None:
        self.channel.send(invite)

    def _submit(self, visit: _Visit, submit: Submit) -> None:
        if submit.toolchain != visit.asked.toolchain:
            raise Refused("toolchain", "the job names another toolchain than was asked for")
        visit.submit = submit
        visit.timer = asyncio.get_running_loop().call_later(limits.SUBMIT_S, self._late, visit)
        visit.ticket.hold(UPLOAD_HOLDS_S)
        if submit.manifest:
            self._read(visit, submit, self._manifests.put(submit.manifest_digest, submit.manifest))
        elif (known := self._manifests.get(submit.manifest_digest)) is not None:
            self._read(visit, submit, known)
        else:
            self.channel.send(Need(submit.job, manifest=True, blobs=()))

    def _read(self, visit: _Visit, submit: Submit, manifest: Manifest) -> None:
        submission = read(submit, self._service.offers[submit.toolchain], manifest)
        visit.submission = submission
        sizes = {entry.blob: entry.size for entry in manifest.entries if entry.kind is Kind.FILE}
        visit.hold = self._service.store.hold(self.grant.principal, sizes)
        missing = visit.hold.missing
        if not missing:
            self._run(visit)
            return
        if sum(sizes[digest] for digest in missing) > self.grant.limits.source:
            raise Refused("limit", f"more than {self.grant.limits.source} bytes of source")
        lacking = dict.fromkeys(missing)
        indices = []
        for index, entry in enumerate(manifest.entries):
            if entry.kind is Kind.FILE and entry.blob in lacking:
                del lacking[entry.blob]
                indices.append(index)
                visit.arriving.append((entry.blob, entry.size))
        visit.arriving.reverse()
        self.channel.send(Need(submit.job, manifest=False, blobs=tuple(indices)))

    def _supply(self, visit: _Visit, supply: Supply) -> None:
        if visit.submit is None:
            raise Refused("protocol", "nothing was asked for")
        if visit.submission is None:
            self._read(visit, visit.submit, self._manifests.put(visit.submit.manifest_digest, supply.manifest))
        else:
            self._next_blob(visit)

    def _receive(self, visit: _Visit, data: bytes) -> None:
        if visit.intake is None:
            raise Refused("protocol", "bytes that nobody asked for")
        visit.intake.write(data)
        if not visit.intake.lacking:
            visit.intake.finish()
            visit.intake = None
            self._next_blob(visit)

    def _next_blob(self, visit: _Visit) -> None:
        assert visit.hold is not None
        while visit.arriving:
            digest, size = visit.arriving.pop()
            visit.intake = visit.hold.intake(digest, size)
            if size:
                return
            visit.intake.finish()
            visit.intake = None
        self._run(visit)

    def _late(self, visit: _Visit) -> None:
        self._refuse(visit, "limit", f"the job's files did not arrive within {limits.SUBMIT_S:.0f} s")

    def _drop(self, number: int) -> None:
        visit = self._visits.pop(number, None)
        if visit is not None:
            visit.end()
            self._close_if_drained()

    def _close_if_drained(self) -> None:
        if self.draining and not self._visits:
            self.channel.close(None)

    # What goes out.

    def _refuse(self, visit: _Visit, code: str, reason: str) -> None:
        self._service.append(self._refusal(visit, code, reason))
        self.channel.send(Refuse(visit.asked.job, _known_code(code), reason))
        self._drop(visit.asked.job)

    def _refusal(self, visit: _Visit, code: str, reason: str) -> Record:
        offer = self._service.offers[visit.asked.toolchain]
        return audit_record.job_refused(
            peer=self._origin.peer,
            principal=self._origin.principal,
            rule=self.grant.rule,
            reference=self._origin.reference,
            job=visit.number,
            code=_known_code(code),
            reason=reason,
            toolchain=offer.name,
            arguments=visit.submit.arguments if visit.submit is not None else (),
        )

    def _run(self, visit: _Visit) -> None:
        if visit.timer is not None:
            visit.timer.cancel()
        visit.task = asyncio.create_task(self._execute(visit))

    async def _execute(self, visit: _Visit) -> None:
        assert visit.submission is not None
        number = visit.asked.job
        try:
            outcome = await self._service.executor.run(_job(visit, visit.submission, self._origin), self.grant)
            visit.ticket.leave()
            try:
                await self._send(number, outcome)
            finally:
                outcome.close()
        except Denied as error:
            self.channel.send(Refuse(number, "denied", error.message))
        except Refused as error:
            self.channel.send(Refuse(number, _known_code(error.code), error.message))
        except AuditError:
            self.channel.send(Refuse(number, "server", "the server cannot keep its record now"))
        except SecureccError as error:
            self.channel.send(Refuse(number, "server", error.message))
        finally:
            if visit.hold is not None:
                visit.hold.release()
            visit.ticket.leave()
            if self._visits.get(number) is visit:
                del self._visits[number]
            self._close_if_drained()

    async def _send(self, number: int, outcome: Outcome) -> None:
        sizes = [os.fstat(descriptor).st_size for descriptor in outcome.descriptors[:2]]
        self.channel.send(
            Result(
                job=number,
                status=outcome.status,
                limit=outcome.limit,
                stdout=sizes[0],
                stderr=sizes[1],
                outputs=tuple(
                    Output(made.path, made.size, made.mode, digest)
                    for made, digest in zip(outcome.made, outcome.digests, strict=True)
                ),
                strays=outcome.strays,
                usage=outcome.usage,
                server_s=outcome.usage.wall_s,
            )
        )
        for descriptor, size in zip(outcome.descriptors, (*sizes, *(made.size for made in outcome.made)), strict=True):
            await self._send_file(number, descriptor, size)

    async def _send_file(self, number: int, descriptor: int, size: int) -> None:
        at = 0
        while at < size:
            part = os.pread(descriptor, min(limits.FRAME_BULK, size - at), at)
            if not part:
                raise StoreError("an output became shorter than it was")
            self.channel.send_bulk(number, part)
            at += len(part)
            await self.channel.drain()


def _job(visit: _Visit, submission: Submission, origin: Origin) -> Job:
    submit = submission.submit
    return Job(
        number=visit.number,
        origin=origin,
        toolchain=submission.toolchain,
        arguments=submit.arguments,
        plan=submission.plan,
        cwd=submit.cwd,
        environment=submission.environment,
        umask=submit.umask & 0o777,
        terminal=submit.terminal,
        manifest=submission.manifest,
        manifest_digest=submit.manifest_digest,
        source=submission.manifest.source,
        occupy=visit.ticket.occupy,
    )


def address_of(peer: tuple[str, int]) -> str:
    """An address and port as the audit shows them."""
    host, port = peer
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_CODES: dict[str, RefuseCode] = {
    "busy": "busy",
    "denied": "denied",
    "toolchain": "toolchain",
    "draining": "draining",
    "option": "option",
    "tree": "tree",
    "limit": "limit",
    "protocol": "protocol",
}


def _known_code(code: str) -> RefuseCode:
    return _CODES.get(code, "server")
