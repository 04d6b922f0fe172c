"""One channel to one server, shared by many compiles: what comes in is handed to the job that it belongs to."""

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import Callable

from securecc import __version__
from securecc.channel.channel import Channel
from securecc.model import limits
from securecc.model.address import address
from securecc.model.errors import ChannelError, ProtocolError, SecureccError
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
    Supply,
    Toolchain,
    Wait,
    Welcome,
)

ASK_FIRST_S = 1.0
"""A server that others use as well is asked for a slot before it is sent anything, for so long."""

Answer = Invite | Wait | Refuse | Need | Result


class RemoteJob:
    """One job on one conversation, from Ask or Submit to Result. `number` is 0 until one of them is said, `queued` how
    many jobs were before it when it last had to wait. Not used after `close`.
    """

    __slots__ = (
        "_answers",
        "_closed",
        "_lapses",
        "_received",
        "_result",
        "_waiter",
        "_wanted",
        "conversation",
        "number",
        "queued",
    )

    def __init__(self, conversation: "ServerConnection") -> None:
        self.conversation = conversation
        self.number = 0
        self.queued = 0
        self._lapses = math.inf
        self._answers: deque[Answer | SecureccError] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._received: list[bytes] = []
        self._wanted = 0
        self._result: Result | None = None
        self._closed = False

    @property
    def lapsed(self) -> bool:
        """Whether its invitation was not used in time: it waits for a slot again if it is submitted now."""
        return time.monotonic() >= self._lapses

    async def answer(self) -> Answer:
        """The server's next word on this job; a Result only once its bytes are here (`take`).

        Raises ChannelError when the channel is gone.
        """
        while not self._answers:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        answer = self._answers.popleft()
        if isinstance(answer, SecureccError):
            self._closed = True
            raise answer
        if isinstance(answer, Result | Refuse):
            self._closed = True
        return answer

    def take(self) -> bytes:
        """Standard output, standard error and the outputs of the Result, in one piece."""
        return b"".join(self._received)

    def put(self, answer: Answer) -> None:
        """The conversation's word; see `answer`."""
        if isinstance(answer, Result):
            wanted = answer.stdout + answer.stderr + sum(output.size for output in answer.outputs)
            if wanted > limits.RESULT:
                raise ProtocolError(f"a result of {wanted} bytes is over the limit of {limits.RESULT}")
            if wanted:
                self._result, self._wanted = answer, wanted
                return
        if isinstance(answer, Invite):
            self._lapses = time.monotonic() + answer.lease_ms / 1000
        elif isinstance(answer, Wait):
            self.queued = answer.ahead
        self._answers.append(answer)
        self._wake()

    def put_bulk(self, data: bytes) -> None:
        """The conversation's word; see `take`."""
        if self._wanted < len(data):
            raise ProtocolError("more bytes than the result announced")
        self._received.append(data)
        self._wanted -= len(data)
        if self._wanted == 0 and self._result is not None:
            self._answers.append(self._result)
            self._result = None
            self._wake()

    def fail(self, error: SecureccError) -> None:
        """The channel has gone."""
        self._answers.clear()
        self._answers.append(error)
        self._wake()

    def close(self) -> None:
        """Ends the job wherever it stands; what has ended by itself is only forgotten."""
        self.conversation.forget(self, asked_only=False, ended=self._closed)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ServerConnection:
    """The jobs of one channel. `on_end` is called once, when the channel takes no more jobs. `limit` is what the host
    list allows here at one time; 0 is no limit. `lacking` says of toolchains why the server has them not.
    """

    def __init__(self, channel: Channel, on_end: Callable[["ServerConnection"], None], limit: int = 0) -> None:
        self.channel = channel
        self.limit = limit
        self.ended: SecureccError | None = None
        self._on_end = on_end
        self._closing = ""
        self._jobs: dict[int, RemoteJob] = {}
        self._numbers = itertools.count(1)
        self._welcome: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self.toolchains: dict[bytes, Toolchain] = {}
        self.shared_trees: tuple[SharedTree, ...] = ()
        self.slots = 1
        self._crowded_until = 0.0
        self._queued = 0
        self.welcome: Welcome | None = None
        self.known: set[bytes] = set()
        self.lacking: dict[bytes, str] = {}
        self.peer = address(*channel.peer)
        channel.attach(self)
        channel.send(Hello(PROTOCOL_VERSIONS, f"securecc {__version__}"))

    @property
    def busy(self) -> float:
        """Jobs there for each slot of the server's: as far as it is known here, or as the server said lately."""
        return max(len(self._jobs), 0 if self._seems_free else self.slots + self._queued) / max(self.slots, 1)

    @property
    def _seems_free(self) -> bool:
        return time.monotonic() >= self._crowded_until

    @property
    def roomy(self) -> bool:
        """Whether there seems to be a slot for one more: as far as it is known here, and as the server said last."""
        return len(self._jobs) < self.slots and self._seems_free

    def crowded(self, queued: int = 0) -> None:
        """The server had no slot where there seemed to be one: others use it too, and `queued` jobs of all wait."""
        self._crowded_until = time.monotonic() + ASK_FIRST_S
        self._queued = queued

    @property
    def full(self) -> bool:
        """Whether the host list allows no more."""
        return 0 < self.limit <= len(self._jobs)

    @property
    def jobs(self) -> int:
        """Jobs that have been asked for, or submitted, and have not ended."""
        return len(self._jobs)

    async def welcomed(self) -> None:
        """Returns when the server has said what it offers. Raises ChannelError."""
        welcome = await self._welcome
        self.welcome = welcome
        self.slots = welcome.slots
        self.shared_trees = welcome.shared_trees[: limits.SHARED_TREES]
        self.toolchains = {toolchain.digest: toolchain for toolchain in welcome.toolchains}

    def ask(self, key: bytes, toolchain: bytes, size: int, description: Description | None = None) -> RemoteJob:
        """A new job, asked for. `description` is for a server that lacks the toolchain and shall say what differs.

        Raises ChannelError when the conversation has ended.
        """
        if self.ended is not None:
            raise self.ended
        job = RemoteJob(self)
        self.channel.send(Ask(self.enter(job), key, toolchain, size, description=description))
        return job

    def enter(self, job: RemoteJob) -> int:
        """The job's number: if it has none, the next, to be said at once, for numbers grow on a channel.

        Raises ChannelError when the conversation has ended.
        """
        if not job.number:
            if self.ended is not None:
                raise self.ended
            job.number = next(self._numbers)
            self._jobs[job.number] = job
        return job.number

    def forget(self, job: RemoteJob, *, asked_only: bool, ended: bool) -> None:
        """Drops a job; tells the server unless it has ended there. The last job of a closed conversation ends it."""
        if self._jobs.pop(job.number, None) is None:
            return
        if not ended:
            self.channel.send(Forget(job.number) if asked_only else Cancel(job.number))
        self._close_if_done()

    def close(self, reason: str) -> None:
        """No more jobs; the channel closes when the running ones have ended."""
        self._closing = reason
        self._end(ChannelError(f"the channel to {self.peer} was closed: {reason}"))
        self._close_if_done()

    # What the channel calls.

    def on_message(self, message: FromServer) -> None:
        """See securecc.channel.channel.Listener."""
        if isinstance(message, Welcome):
            if not self._welcome.done():
                self._welcome.set_result(message)
        elif isinstance(message, Goodbye):
            self._end(ChannelError(f"{self.peer} closes the channel: {message.reason}"))
        elif isinstance(message, Invite | Wait | Refuse | Need | Result):
            if isinstance(message, Wait):
                self.crowded(message.ahead + 1)
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
                self._welcome.exception()  # whoever awaits it gets it; nobody may
            self._on_end(self)

    def supply(self, job: RemoteJob, manifest: bytes) -> None:
        """Announces what a Need asked for."""
        self.channel.send(Supply(job.number, manifest))
