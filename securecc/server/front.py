"""The front: the process that has the network, keytab, policy, audit and blobs, and runs no compiler."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from securecc import __version__
from securecc.channel import kerberos, tls, transport
from securecc.channel.channel import Channel
from securecc.channel.gate import Gate, Places
from securecc.compiler.ledger import NAME
from securecc.policy.force import PolicyInForce
from securecc.server import audit_record
from securecc.server.admission import Admission
from securecc.server.attendant import Attendant
from securecc.server.audit import AuditLog
from securecc.server.offering import Offering
from securecc.server.pipeline import pipeline
from securecc.server.settings import ServerSettings
from securecc.server.store import Store
from securecc.server.strangers import Tally
from securecc.server.visit import Service
from securecc.words import limits
from securecc.words.address import address
from securecc.words.errors import AuditError, CredentialError, Denied, SandboxError
from securecc.words.grant import Grant

log = logging.getLogger("securecc")

READY = "securecc: ready"
"""The line of the log that says that connections are taken."""

TOLD = "told to stop"
"""Why a front ends that was asked to."""

_HOUSEKEEPING_S = 1.0
_DRAIN_S = 5.0
_KILL_S = 2.0
_COUNTED = frozenset(
    ("acl", "cap", "cap-source", "cap-strangers", "early", "penalty", "silent", "deadline", "tls", "protocol")
)
"""What strangers cause without having proven anything: counted, not written one by one."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the front works with, opened by its parent or by itself before anything listens."""

    settings: ServerSettings
    policy: PolicyInForce
    audit: AuditLog
    store: Store
    runner: socket.socket
    nursery: socket.socket | None = None


@dataclass(frozen=True, slots=True)
class _Admitted:
    """What the judge gave a channel, and the indicators of its ticket, for when it is judged again."""

    grant: Grant
    indicators: tuple[str, ...]


class Front:
    """One daemon's front. Made in a running loop."""

    def __init__(self, equipment: Equipment) -> None:
        self._settings = equipment.settings
        self._policy = equipment.policy
        self._policy.on_change = self.judge_again
        self._audit = equipment.audit
        self._store = equipment.store
        self._tally = Tally()
        self._attendants: set[Attendant] = set()
        self._stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        ledger = equipment.settings.state / NAME
        self._offering = Offering(equipment.runner, equipment.nursery, ledger, self._runner_lost)
        self._renewed = -limits.TOOLCHAIN_RENEWAL_S
        self._keytab = _Keytab(equipment.settings)
        self._service: Service

    async def run(self) -> int:
        """Serves until told to stop; the exit status. Raises what keeps it from starting."""
        ready = await self._offering.begin()
        if not ready.toolchains:
            raise SandboxError("no compiler was found", "name some under `toolchains:` in config.yaml")
        lacking = set(self._settings.sandbox_minimum) - set(ready.layers)
        if lacking:
            advice = "see docs/sandbox.md, or lower sandbox.minimum in config.yaml"
            raise SandboxError(f"this machine does not offer the sandbox layers {' '.join(sorted(lacking))}", advice)
        self._service = Service(
            admission=Admission(self._settings.slots, limits.LEASE_S),
            store=self._store,
            executor=pipeline(self._offering, self._audit.append, ready.layers),
            offers=self._offering.offers,
            append=self._audit.append,
            gone=self._attendants.discard,
            numbers=itertools.count(1),
            lacking=self._look_again,
            layers=self._offering.layers,
        )
        server = await self._listen()
        self._handle_signals()
        self._record("start", "", ready.layers)
        names = ", ".join(offer.name for offer in ready.toolchains)
        log.info("toolchains %s; sandbox %s; policy %s", names, " ".join(ready.layers), self._policy.revision)
        log.info(READY)
        tasks = [asyncio.create_task(self._policy.keep_fresh()), asyncio.create_task(self._keep_house())]
        why = await self._stop
        server.stop_listening()
        await self._drain(why)
        for task in tasks:
            task.cancel()
        await server.close()
        self._end(why)
        return 0 if why == TOLD else 1

    async def _listen(self) -> transport.Server:
        bounds = self._settings.limits
        places = Places(
            per_source=bounds.connections_per_source,
            unauthenticated=bounds.connections_unauthenticated,
            total=bounds.connections,
        )
        return await transport.serve(
            [(address, self._settings.port) for address in self._settings.listen],
            gate=Gate(self._policy.admits, places),
            acceptor=self._keytab.acceptor,
            context=tls.server_context(),
            judge=self._judge,
            on_channel=self._channel,
            notice=self._notice,
            deadline=bounds.preauth_deadline_s,
        )

    # Who comes in.

    async def _judge(self, principal: bytes, peer: transport.Peer, indicators: tuple[str, ...]) -> _Admitted:
        return _Admitted(self._policy.judge(principal, peer[0], indicators), indicators)

    def _channel(self, channel: Channel) -> Attendant:
        admitted: _Admitted = channel.grant
        grant = admitted.grant
        attendant = Attendant(channel, grant, self._service)
        self._audit.append(
            audit_record.connection(
                "allowed",
                peer=address(*channel.peer),
                principal=channel.principal,
                reference=channel.reference,
                rule=grant.rule,
                policy=grant.revision,
            )
        )
        self._attendants.add(attendant)
        log.info("%s from %s admitted by rule %s", grant.principal, address(*channel.peer), grant.rule)
        return attendant

    def _notice(self, event: str, peer: transport.Peer, detail: Mapping[str, str]) -> None:
        """What strangers cause is counted; who has proven a name and was denied is written down."""
        log.info("%s from %s: %s", event, address(*peer), detail.get("why", ""))
        if event in _COUNTED or "principal" not in detail:
            self._tally.count(peer[0], event, time.time_ns())
            return
        with contextlib.suppress(AuditError):
            self._audit.append(
                audit_record.connection(
                    "denied",
                    peer=address(*peer),
                    principal=detail["principal"],
                    reference=detail.get("reference", ""),
                    rule=detail.get("rule", ""),
                    reason=detail.get("why", ""),
                    policy=self._policy.revision,
                )
            )

    # What happens meanwhile.

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: asyncio.ensure_future(self._reload()))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._finish, TOLD)

    def _finish(self, why: str) -> None:
        if not self._stop.done():
            self._stop.set_result(why)

    def _runner_lost(self, reason: str) -> None:
        log.error("the runner has gone: %s", reason)
        self._finish("the runner has gone")

    async def _reload(self) -> None:
        self._keytab.look()
        try:
            self._audit.reopen()
        except AuditError as error:
            log.error("%s", error)  # noqa: TRY400 - the error says it all
        refused = await self._policy.reload()
        if refused is not None:
            self._record("reload-refused", refused.message)
        else:
            self._record("reload", f"revision {self._policy.revision}")
        await self._renew()

    def _look_again(self) -> None:
        """Somebody asked for a toolchain that is not here: perhaps it is by now."""
        if time.monotonic() - self._renewed >= limits.TOOLCHAIN_RENEWAL_S:
            self._renewed = time.monotonic()
            task = asyncio.ensure_future(self._renew())
            self._service.running.add(task)
            task.add_done_callback(self._service.running.discard)

    async def _renew(self) -> None:
        """Clients hear of other toolchains on a channel of their next compile's; their running jobs go on."""
        try:
            names = await self._offering.renew()
        except SandboxError as error:
            log.error("the toolchains stay as they were: %s", error)  # noqa: TRY400 - the error says it all
            self._record("reload-refused", error.message)
            return
        if names:
            log.info("toolchains %s", names)
            self._record("reload", f"toolchains {names}")
            for attendant in tuple(self._attendants):
                attendant.drain("draining", "the toolchains have changed")

    def judge_again(self) -> None:
        """After every change of the policy or of a group's members: channels that are denied now are closed, the others
        go on under their new grant.
        """
        for attendant in tuple(self._attendants):
            channel = attendant.channel
            try:
                attendant.grant = self._policy.judge(channel.principal, channel.peer[0], channel.grant.indicators)
            except Denied as error:
                self._notice("denied", channel.peer, _refusal(channel, error))
                attendant.end("denied", "the policy has changed")

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self._keytab.look()
            self._write_strangers(ending=False)
            now = time.monotonic()
            for attendant in tuple(self._attendants):
                if now >= attendant.channel.lifetime_end and not attendant.draining:
                    attendant.drain("ticket", "the ticket has ended")

    def _write_strangers(self, *, ending: bool) -> None:
        for record in self._tally.take(time.time_ns(), ending=ending):
            with contextlib.suppress(AuditError):
                self._audit.append(record)

    async def _drain(self, why: str) -> None:
        """Jobs that run may end, for a moment; then all are killed, and the end of each is on record."""
        channels = [attendant.channel for attendant in self._attendants]
        for attendant in tuple(self._attendants):
            attendant.drain("draining", f"the server stops: {why}")
        if channels and why == TOLD:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(channel.wait_closed() for channel in channels)), _DRAIN_S)
        for attendant in tuple(self._attendants):
            attendant.end("draining", why)
        if self._service.running:
            await asyncio.wait(self._service.running, timeout=_KILL_S)

    def _end(self, why: str) -> None:
        self._write_strangers(ending=True)
        self._record("stop", why)
        self._offering.close()
        self._audit.close()
        self._store.close()

    def _record(self, event: audit_record.DaemonEvent, detail: str, layers: tuple[str, ...] = ()) -> None:
        record = partial(audit_record.daemon, event, detail=detail, version=__version__, policy=self._policy.revision)
        try:
            self._audit.append(record(layers=layers))
        except AuditError as error:
            log.error("%s", error)  # noqa: TRY400 - the error says it all


class _Keytab:
    """The acceptor of the keytab as it is on disk: a new one takes over when the file has changed and is good.

    Kerberos opens a keytab anew for each client; it opens a copy in memory, so that a bad file spoils no keys in use.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._path = os.fspath(settings.keytab)
        self._service = settings.service
        self._cache = os.fspath(settings.state / "replay")
        self._seen = self._stamp()
        self._acceptor = self._read()

    def acceptor(self) -> kerberos.Acceptor:
        """The acceptor for the next connection."""
        return self._acceptor

    def look(self) -> None:
        """Takes a changed keytab into use, unless it is bad: then the keys in use stay."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._acceptor = self._read()
        except CredentialError as error:
            log.error("the keytab is not read again: %s", error)  # noqa: TRY400 - the error says it all
            return
        log.info("keytab %s read again", self._path)

    def _read(self) -> kerberos.Acceptor:
        kerberos.check_keytab(self._path, self._service)
        # Never closed: an acceptor knows it by its number, which must not come to mean another file.
        copy = os.memfd_create("keytab", os.MFD_CLOEXEC)
        os.fchmod(copy, 0o400)
        try:
            with open(self._path, "rb") as file:
                os.write(copy, file.read(limits.KEYTAB))
        except OSError as error:
            raise CredentialError(f"cannot read keytab {self._path}: {error.strerror}") from error
        return kerberos.Acceptor(f"/proc/self/fd/{copy}", self._service, self._cache)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            status = os.stat(self._path)
        except OSError:
            return (0, 0, 0)
        return (status.st_ino, status.st_size, status.st_mtime_ns)


def _refusal(channel: Channel, error: Denied) -> dict[str, str]:
    return {
        "principal": channel.principal.decode(errors="backslashreplace"),
        "reference": channel.reference,
        "rule": error.rule,
        "why": "denied by the policy that is in force now",
    }
