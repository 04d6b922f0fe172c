"""The front: the process that has the network, keytab, policy, audit log and blobs, and runs no compiler."""

import asyncio
import functools
import logging
import signal
import socket
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from securecc.audit.signed_log import SignedAuditLog
from securecc.channel.channel import Channel
from securecc.channel.server import Server
from securecc.compiler.toolchain.toolchain_list import NAME
from securecc.daemon import file_permissions
from securecc.daemon.service_manager import ServiceManager
from securecc.daemon.settings import DaemonSettings
from securecc.model import heap, limits
from securecc.model.documentation import page
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
from securecc.server.execution.toolchain_catalogue import ToolchainCatalogue
from securecc.server.jobs.fair_queue import FairQueue
from securecc.server.jobs.service import Service

log = logging.getLogger("securecc")

READY = "securecc: ready"
"""The log line that says that connections are accepted."""

TOLD = "told to stop"
"""The reason of a front that ends because it was told to."""

_HOUSEKEEPING_S = 1.0


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the front works with, all opened before it listens."""

    settings: DaemonSettings
    policy: PolicyInForce
    audit: SignedAuditLog
    store: BlobStore
    runner: socket.socket
    spawner: socket.socket | None = None
    service_manager: ServiceManager = field(default_factory=ServiceManager)


class Front:
    """One daemon's front. Create it in a running loop. `listening` is done once it accepts connections."""

    def __init__(self, equipment: Equipment) -> None:
        self._settings = equipment.settings
        self._policy = equipment.policy
        self._audit = equipment.audit
        self._store = equipment.store
        self._events = AuditEvents(equipment.audit.append, lambda: equipment.policy.revision)
        self.connections = ConnectionRegistry(equipment.policy.judge, self._events)
        self._service_manager = equipment.service_manager
        self._policy.on_change = self.connections.judge_again
        self._stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.listening: asyncio.Future[tuple[tuple[str, int], ...]] = asyncio.get_running_loop().create_future()
        self.catalogue = ToolchainCatalogue(equipment.settings.state / NAME)
        self._pool = RunnerPool(equipment.runner, equipment.spawner, self.catalogue, self._runner_lost)
        self._renewed = -limits.TOOLCHAIN_RENEWAL_S
        self._keytab = keytab(equipment.settings)
        self._certificate = certificate(equipment.settings)
        self._listener = NetworkListener(equipment.settings, equipment.policy, equipment.service_manager.sockets)
        self._service = self._make_service()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Serves until told to stop; returns the exit status.

        Raises:
            SecureccError: the front cannot start, for this reason.
        """
        ready = await self._pool.begin()
        self._check(ready)
        server = await self._listen()
        self.listening.set_result(tuple(server.addresses))
        self._handle_signals()
        self._events.daemon("start", "", ready.layers)
        names = ", ".join(offer.name for offer in ready.toolchains)
        log.info("toolchains %s; sandbox %s; policy %s", names, " ".join(ready.layers), self._policy.revision)
        log.info(READY)
        self._service_manager.ready(self._status())
        for keep in (self._policy.keep_fresh, self._keep_house, self._stay_alive):
            self._begin(keep(), vital=True)
        why = await self._stop
        self._service_manager.stopping(why)
        server.stop_listening()
        await self.connections.end(why, self._service.running, DRAIN_S if why == TOLD else 0.0)
        for task in self._tasks:
            task.cancel()
        await server.close()
        await self.connections.end(why, self._service.running, 0.0)  # those admitted meanwhile
        self._end(why)
        return 0 if why == TOLD else 1

    def _check(self, ready: WorkReady) -> None:
        if not ready.toolchains:
            raise SandboxError("no compiler was found", "name some under `toolchains:` in config.yaml")
        lacking = set(self._settings.sandbox_minimum) - set(ready.layers)
        if lacking:
            advice = f"see {page('sandbox.md')}, or lower sandbox.minimum in config.yaml"
            raise SandboxError(f"this machine does not offer the sandbox layers {' '.join(sorted(lacking))}", advice)

    def _make_service(self) -> Service:
        redact = Redaction(self._settings.audit.redact)
        queue = FairQueue(self._settings.slots, limits.LEASE_S)
        return Service(
            queue=queue,
            store=self._store,
            executor=pipeline(self._pool, queue, self._audit.append, self._pool.sandbox, redact),
            catalogue=self.catalogue,
            append=self._audit.append,
            redact=redact,
            on_lacking=self._look_again,
        )

    async def _listen(self) -> Server:
        return await self._listener.listen(
            lambda: self._keytab.value,
            lambda: self._certificate.value,
            self.connections.judge,
            self._open,
            self._events.notice,
        )

    def _open(self, channel: Channel) -> ClientConnection:
        return self.connections.open(channel, self._service)

    # Background work.

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self.reload()))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def _begin(self, work: Coroutine[Any, Any, None], *, vital: bool = False) -> None:
        """Runs a background task. The front ends if a `vital` one fails: without it, say, a connection could outlive
        its ticket.
        """
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._done, vital=vital))

    def _done(self, task: asyncio.Task[None], *, vital: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("the front: internal error: %r", error, exc_info=error)
        if vital:
            self.stop("internal error")

    def stop(self, why: str = TOLD) -> None:
        """Stops the front: it takes no new jobs, and `run` returns."""
        if not self._stop.done():
            self._stop.set_result(why)

    def _runner_lost(self, reason: str) -> None:
        log.error("the runner has gone: %s", reason)
        self.stop("the runner has gone")

    async def reload(self) -> None:
        """Reads policy, keys and certificate again, opens the audit log again and looks for compilers again."""
        self._service_manager.reloading()
        try:
            await self._reload_all()
        finally:
            self._service_manager.ready(self._status())

    async def _reload_all(self) -> None:
        self._look_at_keys()
        try:
            file_permissions.check(self._settings)
            self._audit.reopen()
        except SecureccError as error:
            log.error("%s", error)  # noqa: TRY400 - the error says it all
            self._events.daemon("reload-refused", error.message)
        refused = await self._policy.reload()
        if refused is not None:
            self._events.daemon("reload-refused", refused.message)
        else:
            self._events.daemon("reload", f"revision {self._policy.revision}")
        await self._renew()

    def _look_at_keys(self) -> None:
        self._keytab.refresh()
        self._certificate.refresh()

    def _look_again(self) -> None:
        """Looks for a toolchain that a client asked for and is not offered: it may have been installed meanwhile."""
        if time.monotonic() - self._renewed >= limits.TOOLCHAIN_RENEWAL_S:
            self._renewed = time.monotonic()
            self._begin(self._renew())

    async def _renew(self) -> None:
        """Drains connections, so that clients learn of other toolchains when they reconnect."""
        try:
            names = await self._pool.renew()
        except SandboxError as error:
            log.error("the toolchains stay as they are: %s", error)  # noqa: TRY400 - the error says it all
            self._events.daemon("reload-refused", error.message)
            return
        if names:
            log.info("toolchains %s", names)
            self._events.daemon("reload", f"toolchains {names}")
            self.connections.drain("the toolchains have changed")

    def _status(self) -> str:
        """One line for the service manager."""
        return f"serves {len(self.catalogue.toolchains)} toolchains under policy {self._policy.revision[:12]}"

    async def _stay_alive(self) -> None:
        """Tells the service manager that the daemon is alive as long as the event loop runs."""
        while self._service_manager.notify_every_s:
            self._service_manager.alive()
            await asyncio.sleep(self._service_manager.notify_every_s)

    async def _keep_house(self) -> None:
        ended = 0
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self._look_at_keys()
            self._audit.tick()
            self._events.write_tally()
            self.connections.end_tickets(time.monotonic())
            await self._listener.keep()
            now_ended = self.connections.ended + self._events.refused
            if ended != now_ended:  # a connection's memory is scattered among that of others
                ended = now_ended
                heap.trim()

    def _end(self, why: str) -> None:
        self._events.write_tally(ending=True)
        self._events.daemon("stop", why)
        self.close()

    def close(self) -> None:
        """Closes everything that it works with, even if it never ran."""
        self._listener.close()
        self._pool.close()
        self._audit.close()
        self._store.close()
