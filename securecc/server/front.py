"""The front: the process that has the network, keytab, policy, audit and blobs, and runs no compiler."""

import asyncio
import functools
import itertools
import logging
import signal
import socket
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from securecc.audit.trail import AuditTrail
from securecc.channel.channel import Channel
from securecc.channel.server import Server
from securecc.compiler.toolchain.toolchain_list import NAME
from securecc.daemon import file_permissions
from securecc.daemon.service_manager import ServiceManager
from securecc.daemon.settings import DaemonSettings
from securecc.model import heap, limits
from securecc.model.errors import SandboxError, SecureccError
from securecc.model.redaction import Redaction
from securecc.policy.policy_in_force import PolicyInForce
from securecc.runner_protocol.messages import WorkReady
from securecc.server.blobs.blob_store import BlobStore
from securecc.server.connections.audit_events import AuditEvents
from securecc.server.connections.certificate import certificate
from securecc.server.connections.client_connection import ClientConnection
from securecc.server.connections.connection_registry import DRAIN_S, ConnectionRegistry
from securecc.server.connections.keytab import keytab
from securecc.server.connections.listener import NetworkListener
from securecc.server.execution.pipeline import pipeline
from securecc.server.execution.runner_pool import RunnerPool
from securecc.server.jobs.fair_queue import FairQueue
from securecc.server.jobs.job_session import Service

log = logging.getLogger("securecc")

READY = "securecc: ready"
"""The line of the log that says that connections are taken."""

TOLD = "told to stop"
"""Why a front ends that was asked to."""

_HOUSEKEEPING_S = 1.0


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the front works with, opened by its parent or by itself before anything listens."""

    settings: DaemonSettings
    policy: PolicyInForce
    audit: AuditTrail
    store: BlobStore
    runner: socket.socket
    spawner: socket.socket | None = None
    supervisor: ServiceManager = field(default_factory=ServiceManager)


class Front:
    """One daemon's front. Made in a running loop."""

    def __init__(self, equipment: Equipment) -> None:
        self._settings = equipment.settings
        self._policy = equipment.policy
        self._audit = equipment.audit
        self._store = equipment.store
        self._accounting = AuditEvents(equipment.audit.append, lambda: equipment.policy.revision)
        self._channels = ConnectionRegistry(equipment.policy, self._accounting)
        self._supervisor = equipment.supervisor
        self._policy.on_change = self._channels.judge_again
        self._stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        ledger = equipment.settings.state / NAME
        self._offering = RunnerPool(equipment.runner, equipment.spawner, ledger, self._runner_lost)
        self._renewed = -limits.TOOLCHAIN_RENEWAL_S
        self._keytab = keytab(equipment.settings)
        self._certificate = certificate(equipment.settings)
        self._door = NetworkListener(equipment.settings, equipment.policy, equipment.supervisor.sockets)
        self._service: Service
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Serves until told to stop; the exit status. Raises what keeps it from starting."""
        ready = await self._offering.begin()
        self._check(ready)
        self._service = self._make_service()
        server = await self._listen()
        self._handle_signals()
        self._accounting.daemon("start", "", ready.layers)
        names = ", ".join(offer.name for offer in ready.toolchains)
        log.info("toolchains %s; sandbox %s; policy %s", names, " ".join(ready.layers), self._policy.revision)
        log.info(READY)
        self._supervisor.ready(self._status())
        going_on = (self._policy.keep_fresh, self._keep_house, self._stay_alive)
        for go_on in going_on:
            self._begin(go_on(), vital=True)
        why = await self._stop
        self._supervisor.stopping(why)
        server.stop_listening()
        await self._channels.end(why, self._service.running, DRAIN_S if why == TOLD else 0.0)
        for task in self._tasks:
            task.cancel()
        await server.close()
        await self._channels.end(why, self._service.running, 0.0)  # of those who were let in meanwhile
        self._end(why)
        return 0 if why == TOLD else 1

    def _check(self, ready: WorkReady) -> None:
        if not ready.toolchains:
            raise SandboxError("no compiler was found", "name some under `toolchains:` in config.yaml")
        lacking = set(self._settings.sandbox_minimum) - set(ready.layers)
        if lacking:
            advice = "see docs/sandbox.md, or lower sandbox.minimum in config.yaml"
            raise SandboxError(f"this machine does not offer the sandbox layers {' '.join(sorted(lacking))}", advice)

    def _make_service(self) -> Service:
        redact = Redaction(self._settings.audit.redact)
        return Service(
            admission=FairQueue(self._settings.slots, limits.LEASE_S),
            store=self._store,
            executor=pipeline(self._offering, self._audit.append, self._offering.sandbox, redact),
            offers=self._offering.offers,
            append=self._audit.append,
            gone=self._channels.gone,
            numbers=itertools.count(1),
            lacking=self._look_again,
            shared_trees=self._offering.shared_trees,
            redact=redact,
        )

    async def _listen(self) -> Server:
        return await self._door.listen(
            lambda: self._keytab.value,
            lambda: self._certificate.value,
            self._channels.judge,
            self._open,
            self._accounting.notice,
        )

    def _open(self, channel: Channel) -> ClientConnection:
        return self._channels.open(channel, self._service)

    # What happens meanwhile.

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self._reload()))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._finish, TOLD)

    def _begin(self, work: Coroutine[Any, Any, None], *, vital: bool = False) -> None:
        """Has something done beside the channels. A front without what is `vital`, which no longer ends a channel with
        its ticket, say, must not go on.
        """
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._done, vital=vital))

    def _done(self, task: asyncio.Task[None], *, vital: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("the front has met what it should never meet: %r", error, exc_info=error)
        if vital:
            self._finish("an error of its own")

    def _finish(self, why: str) -> None:
        if not self._stop.done():
            self._stop.set_result(why)

    def _runner_lost(self, reason: str) -> None:
        log.error("the runner has gone: %s", reason)
        self._finish("the runner has gone")

    async def _reload(self) -> None:
        self._supervisor.reloading()
        try:
            await self._take_anew()
        finally:
            self._supervisor.ready(self._status())

    async def _take_anew(self) -> None:
        self._look_at_keys()
        try:
            file_permissions.check(self._settings)
            self._audit.reopen()
        except SecureccError as error:
            log.error("%s", error)  # noqa: TRY400 - the error says it all
            self._accounting.daemon("reload-refused", error.message)
        refused = await self._policy.reload()
        if refused is not None:
            self._accounting.daemon("reload-refused", refused.message)
        else:
            self._accounting.daemon("reload", f"revision {self._policy.revision}")
        await self._renew()

    def _look_at_keys(self) -> None:
        self._keytab.look()
        self._certificate.look()

    def _look_again(self) -> None:
        """Somebody asked for a toolchain that is not here: perhaps it is by now."""
        if time.monotonic() - self._renewed >= limits.TOOLCHAIN_RENEWAL_S:
            self._renewed = time.monotonic()
            self._begin(self._renew())

    async def _renew(self) -> None:
        """Clients hear of other toolchains on a channel of their next compile's; their running jobs go on."""
        try:
            names = await self._offering.renew()
        except SandboxError as error:
            log.error("the toolchains stay as they were: %s", error)  # noqa: TRY400 - the error says it all
            self._accounting.daemon("reload-refused", error.message)
            return
        if names:
            log.info("toolchains %s", names)
            self._accounting.daemon("reload", f"toolchains {names}")
            self._channels.drain("the toolchains have changed")

    def _status(self) -> str:
        """One line for who looks after services."""
        return f"serves {len(self._offering.offers)} toolchains under policy {self._policy.revision[:12]}"

    async def _stay_alive(self) -> None:
        """The service manager hears of us as long as this loop turns."""
        while self._supervisor.pulse_s:
            self._supervisor.alive()
            await asyncio.sleep(self._supervisor.pulse_s)

    async def _keep_house(self) -> None:
        ended = 0
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self._look_at_keys()
            self._audit.tick()
            self._accounting.write_strangers()
            self._channels.end_tickets(time.monotonic())
            await self._door.keep()
            now_ended = self._channels.ended + self._accounting.turned_away
            if ended != now_ended:  # what a connection held lies in pieces between what others hold
                ended = now_ended
                heap.trim()

    def _end(self, why: str) -> None:
        self._accounting.write_strangers(ending=True)
        self._accounting.daemon("stop", why)
        self._door.close()
        self._offering.close()
        self._audit.close()
        self._store.close()
