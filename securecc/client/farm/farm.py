"""The servers that one user's compiles may go to, and the connections to them.

A channel is made when the first compile asks for one and serves until the server, the ticket or idleness ends it. A
server that cannot be reached is left alone for a time that doubles, so that no compile waits for a dead one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from securecc.client.farm.remote_job import RemoteJob
from securecc.client.farm.server import Dial, Server
from securecc.client.farm.server_connection import ServerConnection
from securecc.client.state.host_list import Host
from securecc.compiler.toolchain.closure import ToolchainClosure, describe
from securecc.model.digest import sha256
from securecc.model.errors import AuthenticationError, ChannelError, CredentialError, Denied, Refused
from securecc.model.manifest import Digest
from securecc.model.messages import Invite, Refuse, SharedTree, Wait


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """What a job asks servers for: `key` is the compile's (`securecc.compiler.compile_key`), `size` the bytes of its
    inputs; `closure` is the toolchain's, for servers that lack it.
    """

    key: Digest
    toolchain: Digest
    size: int
    closure: ToolchainClosure | None = None


class Farm:
    """All servers of one host list and one credential cache."""

    ASKED_AT_ONCE = 2
    """How many servers a job asks; the first Invite wins (Sparrow's two choices)."""

    def __init__(self, hosts: tuple[Host, ...], dial: Dial) -> None:
        self.servers = tuple(Server(host, dial) for host in hosts)
        bounds = [host.slots for host in hosts]
        self._room = asyncio.Semaphore(sum(bounds)) if bounds and all(bounds) else None

    @property
    def connections(self) -> tuple[ServerConnection, ...]:
        """The channels that are open."""
        return tuple(server.connection for server in self.servers if server.connection is not None)

    @property
    def shared_trees(self) -> tuple[SharedTree, ...]:
        """Those that every connected server offers; none before a server is connected."""
        offers = [connection.shared_trees for connection in self.connections]
        return tuple(tree for tree in offers[0] if all(tree in other for other in offers)) if offers else ()

    @property
    def busy(self) -> bool:
        """Whether any job of this farm is under way."""
        return any(connection.jobs for connection in self.connections)

    @contextlib.asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """While held, counts as one of the concurrent jobs that the host list allows."""
        if self._room is None:
            yield
            return
        async with self._room:
            yield

    async def place(self, request: SlotRequest) -> RemoteJob:
        """A job with a slot leased to it; or, if there is only one server and it seems to have room, one that has not
        asked, which may be refused as `busy`.

        Raises:
            ChannelError: no server can be reached.
            CredentialError: the user has no ticket.
            AuthenticationError: the server does not prove who it is, or rejects our proof.
            Denied: no server's policy admits the user.
            Refused: no server has the toolchain, or the best one has no slot.
        """
        connections = await self._connected()
        candidates = [connection for connection in connections if request.toolchain in connection.toolchains]
        if not candidates:
            raise Refused("toolchain", await _why_all_lack(connections, request))
        if len(candidates) == 1 and candidates[0].has_room:
            return RemoteJob(candidates[0])
        candidates.sort(key=lambda it: (it.at_limit, it.load, _rendezvous(it, request.key)))
        asked = candidates[: self.ASKED_AT_ONCE]
        jobs = [connection.ask(request.key, request.toolchain, request.size) for connection in asked]
        return await _invited(jobs) if len(jobs) > 1 else await _wait_for_invite(jobs[0])

    def retry(self) -> None:
        """Something changed (a new ticket): tries all servers again."""
        for server in self.servers:
            server.retry()

    def close(self, reason: str) -> None:
        """Ends all channels."""
        for server in self.servers:
            server.close(reason)

    async def _connected(self) -> list[ServerConnection]:
        if known := self.connections:
            self._connect_others()
            return list(known)
        outcomes = await asyncio.gather(*(server.connected() for server in self.servers), return_exceptions=True)
        connections = [
            outcome for outcome in outcomes if isinstance(outcome, ServerConnection) and outcome.ended is None
        ]
        if not connections:
            raise _worst([outcome for outcome in outcomes if isinstance(outcome, BaseException)])
        return connections

    def _connect_others(self) -> None:
        for server in self.servers:
            if server.connection is None:
                task = asyncio.ensure_future(server.connected())
                task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _wait_for_invite(job: RemoteJob) -> RemoteJob:
    try:
        while True:
            answer = await job.answer()
            if isinstance(answer, Invite):
                return job
            if isinstance(answer, Refuse):
                raise Refused(answer.code, answer.reason)
            if not isinstance(answer, Wait):
                raise ChannelError(f"{job.server} answered an Ask with {type(answer).__name__}", "see the server's log")
    except BaseException:
        job.withdraw()
        raise


async def _invited(jobs: list[RemoteJob]) -> RemoteJob:
    """The first of several to be invited; the others are forgotten."""
    tasks = [asyncio.ensure_future(_wait_for_invite(job)) for job in jobs]
    chosen: RemoteJob | None = None
    trouble: BaseException | None = None
    try:
        waiting = set(tasks)
        while waiting and chosen is None:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                trouble = task.exception() or trouble
            invited = (task.result() for task in tasks if task in done and task.exception() is None)
            chosen = next(invited, None)
    finally:
        for task, job in zip(tasks, jobs, strict=True):
            task.cancel()
            if job is not chosen:
                job.withdraw()
    if chosen is None:
        raise trouble or ChannelError("no server answered")
    return chosen


def _rendezvous(connection: ServerConnection, key: Digest) -> bytes:
    """Rendezvous hashing: the same compile prefers the same server, regardless of the others."""
    return sha256(connection.name.encode(), key)


async def _why_all_lack(connections: list[ServerConnection], request: SlotRequest) -> str:
    """Why no server has the toolchain: how the server with a similar one describes the difference. Asked only once."""
    said = f"no server has exactly this compiler; offered: {_offers(connections)}"
    if request.closure is None:
        return said
    name = request.closure.name
    asked = min(connections, key=lambda it: all(offer.name != name for offer in it.toolchains.values()))
    if (known := asked.missing_toolchains.get(request.toolchain)) is not None:
        return known
    job = asked.ask(request.key, request.toolchain, request.size, describe(request.closure))
    try:
        await _wait_for_invite(job)
        job.close()  # it has the toolchain now, and offers it on its next channel
    except Refused as error:
        said = f"{said}; {asked.name}: {error.message}"
    asked.missing_toolchains[request.toolchain] = said
    return said


def _offers(connections: list[ServerConnection]) -> str:
    names = {toolchain.name for connection in connections for toolchain in connection.toolchains.values()}
    return ", ".join(sorted(names)) or "none"


def _worst(errors: list[BaseException]) -> BaseException:
    """The error that helps the user most: what they can fix comes before what they must wait for."""
    for kind in (CredentialError, Denied, AuthenticationError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0] if errors else ChannelError("no server is configured")
