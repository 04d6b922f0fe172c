"""The servers that one person's compiles may go to, and the conversations with them.

A channel is made when the first compile asks for one and serves until the server, the ticket or idleness ends it. A
server that cannot be had is left alone for a while that doubles, so that no compile waits for a dead one.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from securecc.channel.channel import Channel
from securecc.client.farm.server_connection import RemoteJob, ServerConnection
from securecc.client.state.settings import Host
from securecc.compiler.toolchain.closure import ToolchainClosure, describe
from securecc.model import limits
from securecc.model.digest import sha256
from securecc.model.errors import AuthenticationError, ChannelError, CredentialError, Denied, Refused, SecureccError
from securecc.model.messages import Invite, Refuse, SharedTree, Wait

BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""How long a server is left alone after its n-th failure in a row."""

Dial = Callable[[Host], Awaitable[Channel]]
"""An authenticated channel to a host."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a server: `key` is the compile's (`securecc.compiler.compile_key`), `size` counts the inputs'
    bytes; `closure` is the toolchain's, for servers that lack it.
    """

    key: bytes
    toolchain: bytes
    size: int
    closure: ToolchainClosure | None = None


class Server:
    """One host and the conversation with it, if there is one."""

    def __init__(self, host: Host, dial: Dial) -> None:
        self.host = host
        self.conversation: ServerConnection | None = None
        self.trouble: SecureccError | None = None
        self._dial = dial
        self._failures = 0
        self._until = 0.0
        self._dialling: asyncio.Task[ServerConnection] | None = None

    async def connected(self) -> ServerConnection:
        """The conversation, made if need be; all who ask meanwhile wait for the same attempt.

        Raises the trouble that the last attempt met while the server is left alone.
        """
        if self.conversation is not None:
            return self.conversation
        if self.trouble is not None and time.monotonic() < self._until:
            raise self.trouble
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._connect())
        return await asyncio.shield(self._dialling)

    def retry(self) -> None:
        """Something changed (a new ticket): the next compile tries again at once."""
        self.trouble = None
        self._failures = 0

    def close(self, reason: str) -> None:
        """Ends the conversation; running jobs end within their limits."""
        if self.conversation is not None:
            self.conversation.close(reason)

    async def _connect(self) -> ServerConnection:
        try:
            conversation = ServerConnection(await self._dial(self.host), self._ended, self.host.slots)
            await _welcomed(conversation)
        except SecureccError as error:
            self._failed(error)
            raise
        finally:
            self._dialling = None
        self.trouble = None
        self._failures = 0
        self.conversation = conversation
        return conversation

    def _failed(self, error: SecureccError) -> None:
        self.trouble = error
        self._until = time.monotonic() + BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1

    def _ended(self, conversation: ServerConnection) -> None:
        if self.conversation is conversation:
            self.conversation = None


class Farm:
    """All servers of one settings and one credential cache."""

    ASKED_AT_ONCE = 2
    """Servers that one job asks; the first Invite wins (Sparrow's two choices)."""

    def __init__(self, hosts: tuple[Host, ...], dial: Dial) -> None:
        self.servers = tuple(Server(host, dial) for host in hosts)
        bounds = [host.slots for host in hosts]
        self._room = asyncio.Semaphore(sum(bounds)) if bounds and all(bounds) else None

    @property
    def conversations(self) -> tuple[ServerConnection, ...]:
        """The channels that are open."""
        return tuple(server.conversation for server in self.servers if server.conversation is not None)

    @property
    def shared_trees(self) -> tuple[SharedTree, ...]:
        """What every server to which there is a channel offers; none before there is one."""
        offers = [conversation.shared_trees for conversation in self.conversations]
        return tuple(tree for tree in offers[0] if all(tree in other for other in offers)) if offers else ()

    @property
    def busy(self) -> bool:
        """Whether a job of this farm's is under way."""
        return any(conversation.jobs for conversation in self.conversations)

    @contextlib.asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """As long as it is held, this is one of the jobs that the host list's limits allow at one time."""
        if self._room is None:
            yield
            return
        async with self._room:
            yield

    async def place(self, wanted: Wanted) -> RemoteJob:
        """A job with a slot leased to it; or, where there is one server and it seems to have room, one that has not
        asked, which may be refused as `busy`. Raises what keeps it from being had: ChannelError, CredentialError,
        AuthenticationError, Denied, or Refused by the server that would have been best.
        """
        conversations = await self._conversations()
        offering = [conversation for conversation in conversations if wanted.toolchain in conversation.toolchains]
        if not offering:
            raise Refused("toolchain", await _lacking(conversations, wanted))
        if len(offering) == 1 and offering[0].roomy:
            return RemoteJob(offering[0])
        offering.sort(key=lambda it: (it.full, it.busy, _affinity(it, wanted.key)))
        asked = offering[: self.ASKED_AT_ONCE]
        jobs = [conversation.ask(wanted.key, wanted.toolchain, wanted.size) for conversation in asked]
        return await _invited(jobs) if len(jobs) > 1 else await _wait_for_invite(jobs[0])

    def retry(self) -> None:
        """Something changed (a new ticket): no server is left alone any longer."""
        for server in self.servers:
            server.retry()

    def close(self, reason: str) -> None:
        """Ends all channels."""
        for server in self.servers:
            server.close(reason)

    async def _conversations(self) -> list[ServerConnection]:
        conversations = [server.conversation for server in self.servers if server.conversation is not None]
        if conversations:
            self._connect_others()
            return conversations
        outcomes = await asyncio.gather(*(server.connected() for server in self.servers), return_exceptions=True)
        conversations = [
            outcome for outcome in outcomes if isinstance(outcome, ServerConnection) and outcome.ended is None
        ]
        if not conversations:
            raise _worst([outcome for outcome in outcomes if isinstance(outcome, BaseException)])
        return conversations

    def _connect_others(self) -> None:
        for server in self.servers:
            if server.conversation is None:
                task = asyncio.ensure_future(server.connected())
                task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _welcomed(conversation: ServerConnection) -> None:
    try:
        async with asyncio.timeout(limits.PREAUTH_DEADLINE_S):
            await conversation.welcomed()
    except TimeoutError as error:
        conversation.close("no welcome")
        raise ChannelError(f"{conversation.peer} admits us and says no more", "see the server's log") from error
    if conversation.ended is not None:
        raise conversation.ended


async def _wait_for_invite(job: RemoteJob) -> RemoteJob:
    try:
        while True:
            answer = await job.answer()
            if isinstance(answer, Invite):
                return job
            if isinstance(answer, Refuse):
                raise Refused(answer.code, answer.reason)
            if not isinstance(answer, Wait):
                raise ChannelError("the server answers an Ask with something else")
    except BaseException:
        job.conversation.forget(job, asked_only=True, ended=False)
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
                job.conversation.forget(job, asked_only=True, ended=False)
    if chosen is None:
        raise trouble or ChannelError("no server answered")
    return chosen


def _affinity(conversation: ServerConnection, key: bytes) -> bytes:
    """Rendezvous hashing: the same key prefers the same server, whichever others there are."""
    return sha256(conversation.peer.encode(), key)


async def _lacking(conversations: list[ServerConnection], wanted: Wanted) -> str:
    """Why no server has the toolchain: what the one that offers its like says of the difference. Asked once."""
    said = f"no server has this very compiler; offered: {_offers(conversations)}"
    if wanted.closure is None:
        return said
    name = wanted.closure.name
    asked = min(conversations, key=lambda it: all(offer.name != name for offer in it.toolchains.values()))
    if wanted.toolchain not in asked.lacking:
        job = asked.ask(wanted.key, wanted.toolchain, wanted.size, describe(wanted.closure))
        try:
            await _wait_for_invite(job)
            job.close()  # it has the toolchain by now, and says so on its next channel
        except Refused as error:
            said = f"{said}; {asked.peer}: {error.message}"
        asked.lacking[wanted.toolchain] = said
    return asked.lacking[wanted.toolchain]


def _offers(conversations: list[ServerConnection]) -> str:
    names = {toolchain.name for conversation in conversations for toolchain in conversation.toolchains.values()}
    return ", ".join(sorted(names)) or "none"


def _worst(errors: list[BaseException]) -> BaseException:
    """The error that tells a person most: what they can mend comes before what they must wait for."""
    for kind in (CredentialError, Denied, AuthenticationError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0] if errors else ChannelError("no server is configured")
