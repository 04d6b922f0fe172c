"""One channel to one server, shared by many compiles: incoming messages are passed to their jobs."""

import asyncio
import itertools
import time
from collections.abc import Callable, MutableMapping

from cachetools import LRUCache

from securecc import __version__
from securecc.channel.channel import Channel
from securecc.client.farm.remote_job import RemoteJob
from securecc.model import limits
from securecc.model.address import address
from securecc.model.errors import ChannelError, SecureccError
from securecc.model.manifest import Digest
from securecc.model.messages import (
    PROTOCOL_VERSIONS,
    Ask,
    Cancel,
    Description,
    Forget,
    FromServer,
    Goodbye,
    Hello,
    Invite,
    Need,
    Refuse,
    Result,
    SharedTree,
    Toolchain,
    Wait,
    Welcome,
)

ASK_FIRST_S = 1.0
"""For so many seconds, a server that others use too is asked for a slot before anything is sent."""

MANIFESTS = 4096
"""How many digests of sent manifests a connection remembers: as many as an agent remembers compiles."""

MISSING_TOOLCHAINS = 64
"""For how many toolchains a connection remembers why the server lacks them; a user has a few."""


class ServerConnection:
    """The jobs of one channel.

    `name` is the server's, as the user wrote it. `manifests` are the digests of those that the server was sent last.
    `missing_toolchains` has the server's explanation for each toolchain that it lacks.
    """

    def __init__(
        self, channel: Channel, on_end: Callable[["ServerConnection"], None], limit: int = 0, *, name: str = ""
    ) -> None:
        """`on_end` is called once, when the channel takes no more jobs. `limit` is how many concurrent jobs the host
        list allows here, 0 for no limit. Without a `name` the server is called by its address.
        """
        self.channel = channel
        self.limit = limit
        self.name = name or address(*channel.peer)
        self.ended: SecureccError | None = None
        self._on_end = on_end
        self._closing = ""
        self._jobs: dict[int, RemoteJob] = {}
        self._numbers = itertools.count(1)
        self._welcome: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self.toolchains: dict[bytes, Toolchain] = {}
        self.shared_trees: tuple[SharedTree, ...] = ()
        self.slots = 1
        self._busy_until = 0.0
        self._queued = 0
        self.welcome: Welcome | None = None
        self.manifests: MutableMapping[Digest, bool] = LRUCache(MANIFESTS)
        self.missing_toolchains: LRUCache[Digest, str] = LRUCache(MISSING_TOOLCHAINS)
        channel.attach(self)
        channel.send(Hello(PROTOCOL_VERSIONS, f"securecc {__version__}"))

    @property
    def load(self) -> float:
        """Jobs per slot of the server, as far as known here or as the server said recently."""
        return max(len(self._jobs), 0 if self._seems_free else self.slots + self._queued) / max(self.slots, 1)

    @property
    def _seems_free(self) -> bool:
        return time.monotonic() >= self._busy_until

    @property
    def has_room(self) -> bool:
        """Whether there seems to be a slot for one more, as far as known here and as the server last said."""
        return len(self._jobs) < self.slots and self._seems_free

    def mark_busy(self, queued: int = 0) -> None:
        """Records that the server had no slot although there seemed to be one: others use it too, and `queued` jobs
        wait in all.
        """
        self._busy_until = time.monotonic() + ASK_FIRST_S
        self._queued = queued

    @property
    def at_limit(self) -> bool:
        """Whether the host list's limit is reached."""
        return 0 < self.limit <= len(self._jobs)

    @property
    def jobs(self) -> int:
        """How many jobs have been asked for or submitted, and have not ended."""
        return len(self._jobs)

    async def welcomed(self) -> None:
        """Waits until the server has said what it offers.

        Raises:
            ChannelError: the channel ended before.
        """
        welcome = await self._welcome
        self.welcome = welcome
        self.slots = welcome.slots
        self.shared_trees = welcome.shared_trees[: limits.SHARED_TREES]
        self.toolchains = {toolchain.digest: toolchain for toolchain in welcome.toolchains}

    def ask(self, key: bytes, toolchain: bytes, size: int, description: Description | None = None) -> RemoteJob:
        """Asks for a new job. `size` is the bytes of all inputs. `description` lets a server that lacks the toolchain
        say what differs.

        Raises:
            ChannelError: the connection has ended.
        """
        if self.ended is not None:
            raise self.ended
        job = RemoteJob(self)
        self.channel.send(Ask(self.enter(job), key, toolchain, size, description=description))
        return job

    def enter(self, job: RemoteJob) -> int:
        """The job's number, assigned now if it has none; use it at once, since numbers must grow on a channel.

        Raises:
            ChannelError: the connection has ended.
        """
        if not job.number:
            if self.ended is not None:
                raise self.ended
            job.number = next(self._numbers)
            self._jobs[job.number] = job
        return job.number

    def forget(self, job: RemoteJob, *, asked_only: bool, ended: bool) -> None:
        """Drops a job; tells the server unless it has ended there. The last job of a closed connection ends it."""
        if self._jobs.pop(job.number, None) is None:
            return
        if not ended:
            self.channel.send(Forget(job.number) if asked_only else Cancel(job.number))
        self._close_if_done()

    def close(self, reason: str) -> None:
        """Takes no more jobs; closes the channel when the running ones have ended."""
        self._closing = reason
        self._end(ChannelError(f"the channel to {self.name} was closed: {reason}"))
        self._close_if_done()

    def on_message(self, message: FromServer) -> None:
        """See securecc.channel.channel.Listener."""
        if isinstance(message, Welcome):
            if not self._welcome.done():
                self._welcome.set_result(message)
        elif isinstance(message, Goodbye):
            self._end(ChannelError(f"{self.name} closes the channel: {message.reason}"))
        elif isinstance(message, Invite | Wait | Refuse | Need | Result):
            if isinstance(message, Wait):
                self.mark_busy(message.ahead + 1)
            job = self._jobs.get(message.job)
            if job is not None:
                job.put(message)

    def on_bulk(self, number: int, data: bytes) -> None:
        """See securecc.channel.channel.Listener."""
        job = self._jobs.get(number)
        if job is not None:
            job.put_bulk(data)

    def on_lost(self, error: SecureccError) -> None:
        """See securecc.channel.channel.Listener."""
        self._end(error)
        for job in tuple(self._jobs.values()):
            job.fail(error)
        self._jobs.clear()

    def _close_if_done(self) -> None:
        if self._closing and not self._jobs:
            self.channel.close(Goodbye("closing", self._closing, ""))

    def _end(self, error: SecureccError) -> None:
        if self.ended is None:
            self.ended = error
            if not self._welcome.done():
                self._welcome.set_exception(error)
                self._welcome.exception()  # raised to whoever awaits it, which may be no one
            self._on_end(self)
