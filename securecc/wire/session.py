"""Which messages are legal after authentication, and when: one table, applied by both ends to all they send and
receive.

A session keeps states and counts, and never sees payloads.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from securecc.model import limits
from securecc.model.errors import ProtocolError
from securecc.model.messages import (
    PROTOCOL_VERSIONS,
    Ask,
    Cancel,
    Forget,
    FromClient,
    FromServer,
    Goodbye,
    Hello,
    Invite,
    Need,
    Ping,
    Pong,
    Refuse,
    Result,
    Submit,
    Supply,
    Wait,
    Welcome,
)

_OfJob = Invite | Wait | Refuse | Need | Result | Ask | Submit | Supply | Forget | Cancel
JOB_NUMBER: Final = 2**32 - 1


class State(Enum):
    """Where a job stands, as the wire shows it."""

    ASKED = auto()
    WAITING = auto()
    INVITED = auto()
    SUBMITTED = auto()
    NEEDING = auto()
    SUPPLIED = auto()  # blobs flow to the server; once all have arrived, the job runs
    DELIVERING = auto()  # standard output, standard error and outputs flow to the client
    DONE = auto()


TRANSITIONS: Final = {
    (State.ASKED, Invite): State.INVITED,
    (State.ASKED, Wait): State.WAITING,
    (State.ASKED, Result): State.DELIVERING,  # the server had the result under the job's key
    (State.ASKED, Refuse): State.DONE,
    (State.ASKED, Forget): State.DONE,
    (State.ASKED, Cancel): State.DONE,
    (State.WAITING, Wait): State.WAITING,
    (State.WAITING, Invite): State.INVITED,
    (State.WAITING, Result): State.DELIVERING,
    (State.WAITING, Refuse): State.DONE,
    (State.WAITING, Forget): State.DONE,
    (State.WAITING, Cancel): State.DONE,
    (State.INVITED, Submit): State.SUBMITTED,
    (State.INVITED, Refuse): State.DONE,  # the lease has run out
    (State.INVITED, Forget): State.DONE,
    (State.INVITED, Cancel): State.DONE,
    (State.SUBMITTED, Need): State.NEEDING,
    (State.SUBMITTED, Result): State.DELIVERING,
    (State.SUBMITTED, Refuse): State.DONE,
    (State.SUBMITTED, Cancel): State.DONE,
    (State.NEEDING, Supply): State.SUPPLIED,
    (State.NEEDING, Refuse): State.DONE,
    (State.NEEDING, Cancel): State.DONE,
    (State.SUPPLIED, Need): State.NEEDING,  # first the manifest, then the blobs that it names
    (State.SUPPLIED, Result): State.DELIVERING,
    (State.SUPPLIED, Refuse): State.DONE,
    (State.SUPPLIED, Cancel): State.DONE,
    (State.DELIVERING, Forget): State.DONE,  # of a job whose Result answers its Ask
    (State.DELIVERING, Cancel): State.DONE,
}
"""The messages that are legal in each state of a job, and the state after each; all others are illegal."""

_ANY_TIME: Final = frozenset({Ping, Pong, Goodbye})


def agree(versions: Iterable[int]) -> int:
    """The version that both sides speak, the newest of several.

    Raises:
        ProtocolError: they have none in common.
    """
    common = set(versions) & set(PROTOCOL_VERSIONS)
    if not common:
        theirs, ours = (" ".join(map(str, sorted(some)[:8])) or "none" for some in (versions, PROTOCOL_VERSIONS))
        raise ProtocolError(
            f"no protocol version in common: theirs {theirs}, ours {ours}", "upgrade the older side, one version a time"
        )
    return max(common)


class _Job:
    """A job's state, and the bytes of bulk that may still flow for it."""

    __slots__ = ("left", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.left = 0


class Session:
    """One channel's conversation, at either end.

    `received` and `sent` say whether a message counts: False means that its job has ended meanwhile, which is not an
    error, since either side may end a job while messages about it are on the way; the message is dropped. Job numbers
    grow on a channel, so a used number can be told from an unused one.
    """

    __slots__ = ("_hello", "_highest", "_jobs", "_welcome", "server")

    def __init__(self, *, server: bool) -> None:
        self.server = server
        self._hello = False
        self._welcome = False
        self._highest = 0
        self._jobs: dict[int, _Job] = {}

    @property
    def jobs(self) -> int:
        """How many jobs are open."""
        return len(self._jobs)

    @property
    def highest(self) -> int:
        """The highest job number used so far; the next one must be higher."""
        return self._highest

    def state(self, job: int) -> State:
        """The state of a job; DONE also for one that never existed."""
        entry = self._jobs.get(job)
        return State.DONE if entry is None else entry.state

    def passed(self, message: FromClient | FromServer) -> bool:
        """Whether a message, sent or received, counts: the same rules hold for both.

        Raises:
            ProtocolError: the message is not allowed in the state of its job, or of the channel.
        """
        kind = type(message)
        if kind in _ANY_TIME:
            return True
        if isinstance(message, Hello | Welcome):
            return self._greet(message)
        if not self._welcome:
            raise ProtocolError(f"{kind.__name__} before Hello and Welcome")
        assert not isinstance(message, Ping | Pong | Goodbye)
        if kind is Ask or (kind is Submit and message.job > self._highest):
            self._begin(message.job, State.ASKED if kind is Ask else State.SUBMITTED)
            return True
        entry = self._jobs.get(message.job)
        if entry is None:
            return self._ended(message.job, kind.__name__)
        self._advance(entry, message)
        return True

    received = passed
    sent = passed

    def _greet(self, message: Hello | Welcome) -> bool:
        if isinstance(message, Hello):
            if self._hello:
                raise ProtocolError("a second Hello")
            self._hello = True
            return True
        if self._welcome or not self._hello:
            raise ProtocolError("a Welcome that no Hello asked for")
        if message.version not in PROTOCOL_VERSIONS:
            raise ProtocolError(f"a Welcome to version {message.version}, which was not offered")
        self._welcome = True
        return True

    def _begin(self, job: int, state: State) -> None:
        if not self._highest < job <= JOB_NUMBER:
            raise ProtocolError(f"a job {job} after {self._highest}: numbers must grow, up to {JOB_NUMBER}")
        if len(self._jobs) >= limits.JOBS_PER_CHANNEL:
            raise ProtocolError(f"more than {limits.JOBS_PER_CHANNEL} jobs on a channel")
        self._highest = job
        self._jobs[job] = _Job(state)

    def _ended(self, job: int, what: str) -> bool:
        if 0 < job <= self._highest:
            return False
        raise ProtocolError(f"{what} for job {job}, which was never asked for")

    def _advance(self, entry: _Job, message: _OfJob) -> None:
        kind = type(message)
        state = TRANSITIONS.get((entry.state, kind))
        if state is None:
            raise ProtocolError(f"{kind.__name__} for job {message.job}, which is {entry.state.name.lower()}")
        if isinstance(message, Result):
            entry.left = _announced(message)
            if entry.left == 0:
                state = State.DONE
        elif isinstance(message, Supply):
            entry.left = limits.JOB_SOURCE  # the side that asked knows how much it asked for
        entry.state = state
        if state is State.DONE:
            del self._jobs[message.job]

    def received_bulk(self, job: int, size: int) -> bool:
        """Whether a chunk of `size` bytes from the peer counts; see `received`.

        Raises:
            ProtocolError: no data is due for the job, or not that much.
        """
        return self._bulk(job, size, State.SUPPLIED if self.server else State.DELIVERING)

    def sent_bulk(self, job: int, size: int) -> bool:
        """Whether a chunk of `size` bytes for the peer counts; see `sent`.

        Raises:
            ProtocolError: no data is due for the job, or not that much.
        """
        return self._bulk(job, size, State.DELIVERING if self.server else State.SUPPLIED)

    def _bulk(self, job: int, size: int, due: State) -> bool:
        entry = self._jobs.get(job)
        if entry is None:
            return self._ended(job, "a chunk")
        if entry.state is State.DELIVERING and due is State.SUPPLIED:
            return False  # the Result crossed on the way with data it makes unnecessary
        if entry.state is not due:
            raise ProtocolError(f"a chunk for job {job}, which is {entry.state.name.lower()}")
        if size > entry.left:
            raise ProtocolError(f"a chunk of {size} bytes for job {job}, of which {entry.left} were due")
        entry.left -= size
        if entry.left == 0 and due is State.DELIVERING:
            del self._jobs[job]
        return True


def _announced(result: Result) -> int:
    """The bytes that follow a Result.

    Raises:
        ProtocolError: they are more than a result may have, or negative.
    """
    sizes = (result.stdout, result.stderr, *(output.size for output in result.outputs), result.questions)
    total = sum(sizes)
    if min(sizes) < 0 or total > limits.RESULT or result.questions > limits.WITNESS:
        raise ProtocolError(f"a Result for job {result.job} that announces {total} bytes; at most {limits.RESULT}")
    return total
