"""One job at one server, from Ask or Submit to its Result."""

import asyncio
import math
import time
from collections import deque
from collections.abc import MutableMapping
from typing import Protocol

from securecc.client.farm.received_result import ReceivedResult, ResultReceiver
from securecc.model.errors import AgentError, ProtocolError, SecureccError
from securecc.model.manifest import Digest
from securecc.model.messages import FromClient, Invite, Need, Refuse, Result, Wait

Answer = Invite | Wait | Refuse | Need | Result
"""A server's answer about a job."""


class JobChannel(Protocol):
    """Where a job's messages are sent (see `securecc.channel.channel.Channel`)."""

    def send(self, message: FromClient) -> bool:
        """Sends a message; False if it is no longer of use."""

    def send_bulk(self, job: int, data: bytes) -> bool:
        """Sends bytes for a job; False if they are no longer of use."""

    async def drain(self) -> None:
        """Waits while too many bytes wait for the server."""


class JobConnection(Protocol):
    """The connection that a job is on (see `securecc.client.farm.server_connection.ServerConnection`)."""

    name: str
    manifests: MutableMapping[Digest, bool]

    @property
    def channel(self) -> JobChannel:
        """Where messages are sent."""

    @property
    def ended(self) -> SecureccError | None:
        """Why it takes no more jobs."""

    def enter(self, job: "RemoteJob") -> int:
        """The job's number, assigned now if it has none."""

    def forget(self, job: "RemoteJob", *, asked_only: bool, ended: bool) -> None:
        """Drops a job; tells the server unless it has ended there."""

    def mark_busy(self, queued: int = 0) -> None:
        """Records that the server had no slot although there seemed to be one."""


class RemoteJob:
    """One job on one connection, from Ask or Submit to Result. Not used after `close`.

    `number` is 0 until one of them is sent. `queued` is how many jobs were ahead when it last had to wait.
    """

    __slots__ = (
        "_answers",
        "_dropping",
        "_ended",
        "_lease_ends",
        "_received",
        "_receiver",
        "_waiter",
        "connection",
        "number",
        "queued",
    )

    def __init__(self, connection: JobConnection) -> None:
        self.number = 0
        self.queued = 0
        self._lease_ends = math.inf
        self.connection = connection
        self._answers: deque[Answer | SecureccError] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._receiver: ResultReceiver | None = None
        self._received: ReceivedResult | None = None
        self._ended = self._dropping = False

    @property
    def server(self) -> str:
        """The server's name, as the user wrote it."""
        return self.connection.name

    @property
    def lease_expired(self) -> bool:
        """Whether its invitation has expired: if submitted now, it waits for a slot again."""
        return time.monotonic() >= self._lease_ends

    def enter(self) -> int:
        """The job's number, assigned now if it has none; use it at once, since numbers must grow on a channel.

        Raises:
            ChannelError: the connection has ended.
        """
        return self.connection.enter(self)

    def send(self, message: FromClient) -> None:
        """Sends a message about this job."""
        self.connection.channel.send(message)

    def send_bulk(self, data: bytes) -> None:
        """Sends some of the bytes that a Need asked for."""
        self.connection.channel.send_bulk(self.number, data)

    async def drain(self) -> None:
        """Waits until the server has taken most of what was sent.

        Raises:
            ChannelError: the channel is closed.
        """
        await self.connection.channel.drain()

    def knows_manifest(self, digest: Digest) -> bool:
        """Whether this connection has sent this manifest; from now on it counts as sent."""
        known = self.connection.manifests
        if known.get(digest):
            return True
        known[digest] = True
        return False

    def mark_busy(self) -> None:
        """Records that the server had no slot although there seemed to be one."""
        self.connection.mark_busy()

    async def answer(self) -> Answer:
        """The server's next message on this job; a Result only once all its bytes have arrived (`received`).

        Raises:
            ChannelError: the channel is closed.
            AgentError: there is no room for the bytes of the result.
        """
        while not self._answers:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        answer = self._answers.popleft()
        self._ended = isinstance(answer, Result | Refuse | SecureccError) and not isinstance(answer, AgentError)
        if not isinstance(answer, SecureccError):
            return answer
        try:
            raise answer
        finally:
            del answer  # its traceback has this frame, and frames that have the result: a cycle would keep the file

    def received(self) -> ReceivedResult:
        """The Result with its bytes, once `answer` has returned it."""
        assert self._received is not None
        return self._received

    def put(self, answer: Answer) -> None:
        """Called by the connection with a message about this job; see `answer`.

        Raises:
            ProtocolError: a Result announces more than the limit.
        """
        if not isinstance(answer, Result):
            if isinstance(answer, Invite):
                self._lease_ends = time.monotonic() + answer.lease_ms / 1000
            elif isinstance(answer, Wait):
                self.queued = answer.ahead
            self._tell(answer)
            return
        try:
            self._receiver = ResultReceiver(answer)
        except AgentError as error:
            self._drop(error)
            return
        self._finish_if_complete()

    def put_bulk(self, data: bytes) -> None:
        """Called by the connection with bytes of this job's Result.

        Raises:
            ProtocolError: no Result has announced them.
        """
        if self._dropping:
            return
        if self._receiver is None:
            raise ProtocolError("bytes that no result has announced")
        try:
            self._receiver.take(data)
        except AgentError as error:
            self._drop(error)
            return
        self._finish_if_complete()

    def fail(self, error: SecureccError) -> None:
        """Called by the connection when the channel is closed."""
        self._answers.clear()
        self._tell(error)

    def close(self) -> None:
        """Ends the job in any state; one that the server has ended is only forgotten."""
        self._receiver = None
        self.connection.forget(self, asked_only=False, ended=self._ended)

    def withdraw(self) -> None:
        """Ends a job that has only been asked for."""
        self._receiver = None
        self.connection.forget(self, asked_only=True, ended=False)

    def _drop(self, error: AgentError) -> None:
        """Drops the rest of a result that there is no room for."""
        self._receiver, self._dropping = None, True
        self._tell(error)

    def _finish_if_complete(self) -> None:
        if self._receiver is not None and self._receiver.complete:
            self._received = self._receiver.received()
            self._receiver = None
            self._tell(self._received.result)

    def _tell(self, answer: Answer | SecureccError) -> None:
        self._answers.append(answer)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
