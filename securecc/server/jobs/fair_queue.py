"""Slots, and who gets the next one: fair between principals by weight, not first come, first served.

A principal that has used little comes before one that has used much (start-time fair queueing over slots taken); one
principal's own jobs keep their order. An entry is waiting, then leased (the slot is held for a moment so that the
client can send the job), then running, then over (the slot is free, the result not delivered yet), then done. A lease
that runs out lapses: the slot goes to the next entry, and a job that still arrives queues again.

However many slots are free, a principal stays within its quotas: concurrent jobs and the memory that they may use,
counted until their results are delivered, and jobs begun per second.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from enum import Enum

from securecc.model.grant import Grant
from securecc.server.jobs.token_bucket import TokenBucket


class Stage(Enum):
    """Where an entry stands."""

    WAITING = "waiting"
    LEASED = "leased"
    LAPSED = "lapsed"
    RUNNING = "running"
    OVER = "over"
    DONE = "done"


class Share:
    """What one principal has asked for and holds: jobs, leased slots included, and the memory of their limits."""

    __slots__ = ("finish", "holding", "leased", "memory", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[QueueEntry] = deque()
        self.holding = 0
        self.leased = 0
        self.memory = 0
        self.finish = 0.0

    def hold(self, entry: "QueueEntry") -> None:
        """Counts an entry that got a slot."""
        self.holding += 1
        self.leased += 1
        self.memory += entry.grant.limits.memory

    def drop(self, entry: "QueueEntry") -> None:
        """Stops counting an entry."""
        self.holding -= 1
        self.leased -= entry.stage is Stage.LEASED
        self.memory -= entry.grant.limits.memory

    def ready_in(self) -> float | None:
        """In how many seconds its next entry may have a slot; None if that does not depend on time."""
        entry = self.waiting[0]
        grant, quota = entry.grant, entry.grant.quota
        if self.holding >= grant.jobs or 0 < quota.memory < self.memory + grant.limits.memory:
            return None
        if not quota.rate or entry.starts is None:
            return 0.0
        return entry.starts.wait(self.leased + 1, quota.rate, quota.burst)


class QueueEntry:
    """One job's place, by the daemon's `number` for it. `on_lease` is called once for each lease, when a slot is held
    for it. `starts` counts the jobs that its principal begins.
    """

    __slots__ = ("_occupied", "_queue", "_timer", "grant", "number", "on_lease", "stage", "starts", "wanted")

    def __init__(
        self, queue: "FairQueue", number: int, grant: Grant, on_lease: Callable[[], None], starts: TokenBucket | None
    ) -> None:
        self._queue = queue
        self.number = number
        self._timer: asyncio.TimerHandle | None = None
        self._occupied: asyncio.Future[None] | None = None
        self.grant = grant
        self.on_lease = on_lease
        self.starts = starts
        self.stage = Stage.WAITING
        self.wanted = False

    def hold(self, seconds: float) -> None:
        """Keeps a lease for `seconds` from now; does nothing in other stages."""
        if self.stage is Stage.LEASED:
            self.stop_timer()
            self._timer = asyncio.get_running_loop().call_later(seconds, self._queue.expire, self)

    async def occupy(self) -> None:
        """Waits for the slot, which is the job's until `free` or `leave`."""
        self.wanted = True
        if self.stage is Stage.LEASED:
            self._queue.start(self)
        if self.stage is Stage.LAPSED:
            self._queue.queue(self)
        if self.stage is Stage.WAITING:
            self._occupied = asyncio.get_running_loop().create_future()
            await self._occupied

    def free(self) -> None:
        """Frees the slot of a job that has run. The job counts against its principal until `leave`."""
        self._queue.free(self)

    def leave(self) -> None:
        """Gives up the slot or the place in the queue. May be called at any stage, more than once."""
        self._queue.leave(self)

    def stop_timer(self) -> None:
        """Called by the queue when the lease can no longer run out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def granted(self) -> None:
        """Called by the queue when the slot is this entry's."""
        if self._occupied is not None and not self._occupied.done():
            self._occupied.set_result(None)

    def ended(self) -> None:
        """Called by the queue when the entry no longer holds anything."""
        self.stop_timer()
        if self._occupied is not None and not self._occupied.done():
            self._occupied.cancel()


class FairQueue:
    """Runs `slots` jobs at a time. A lease lasts `lease_s` seconds."""

    def __init__(self, slots: int, lease_s: float) -> None:
        self.slots = slots
        self.lease_s = lease_s
        self._taken = 0
        self._clock = 0.0
        self._shares: dict[str, Share] = {}
        self._entries: dict[int, QueueEntry] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def taken(self) -> int:
        """Slots leased or running."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Entries without a slot."""
        return sum(len(share.waiting) for share in self._shares.values())

    def waits(self, principal: str) -> int:
        """Entries of one principal without a slot."""
        return len(self.share(principal).waiting)

    def share(self, principal: str) -> Share:
        """What one principal has asked for and holds: jobs, leased slots included, and the memory of their limits."""
        return self._shares.get(principal) or Share()

    def ask(
        self, number: int, grant: Grant, on_lease: Callable[[], None], starts: TokenBucket | None = None
    ) -> QueueEntry:
        """A new entry for a job; it may be leased before this returns (its `stage` tells)."""
        entry = self._entries[number] = QueueEntry(self, number, grant, on_lease, starts)
        self.queue(entry)
        return entry

    def entry(self, number: int) -> QueueEntry:
        """The entry of a job that has asked and not left."""
        return self._entries[number]

    def queue(self, entry: QueueEntry) -> None:
        """Puts a new or lapsed entry behind its principal's others."""
        share = self._shares.setdefault(entry.grant.principal, Share())
        if not share.waiting and not share.holding:
            # A principal that was away has saved up no credit: it starts level with the others.
            share.finish = max(share.finish, self._clock)
        entry.stage = Stage.WAITING
        share.waiting.append(entry)
        self.serve()

    def start(self, entry: QueueEntry) -> None:
        """Turns a lease into a run."""
        entry.stop_timer()
        self._shares[entry.grant.principal].leased -= 1
        entry.stage = Stage.RUNNING
        quota = entry.grant.quota
        if quota.rate and entry.starts is not None:
            entry.starts.take(1, quota.rate, quota.burst)
        entry.granted()

    def free(self, entry: QueueEntry) -> None:
        """See `QueueEntry.free`."""
        if entry.stage is Stage.RUNNING:
            entry.stage = Stage.OVER
            self._taken -= 1
            self.serve()

    def expire(self, entry: QueueEntry) -> None:
        """Gives the slot of a lease that has run out to the next entry."""
        if entry.stage is Stage.LEASED:
            self._release(entry)
            entry.stage = Stage.LAPSED
            self.serve()

    def leave(self, entry: QueueEntry) -> None:
        """See `QueueEntry.leave`."""
        if entry.stage is Stage.DONE:
            return
        if entry.stage is Stage.WAITING:
            self._shares[entry.grant.principal].waiting.remove(entry)
        elif entry.stage is not Stage.LAPSED:
            self._release(entry)
        entry.stage = Stage.DONE
        del self._entries[entry.number]
        entry.ended()
        self._forget(entry.grant.principal)
        self.serve()

    def _release(self, entry: QueueEntry) -> None:
        entry.stop_timer()
        if entry.stage is not Stage.OVER:
            self._taken -= 1
        self._shares[entry.grant.principal].drop(entry)

    def _forget(self, principal: str) -> None:
        share = self._shares.get(principal)
        if share is not None and not share.waiting and not share.holding and share.finish <= self._clock:
            del self._shares[principal]

    def _next(self) -> QueueEntry | None:
        best, soonest = None, math.inf
        for share in self._shares.values():
            wait = share.ready_in() if share.waiting else None
            if wait == 0.0:
                best = share if best is None or share.finish < best.finish else best
            elif wait is not None:
                soonest = min(soonest, wait)
        if best is None:
            self._look_again(soonest)
            return None
        entry = best.waiting.popleft()
        self._clock = max(self._clock, best.finish)
        best.finish = max(best.finish, self._clock) + 1.0 / entry.grant.weight
        best.hold(entry)
        entry.stage = Stage.LEASED
        return entry

    def _look_again(self, seconds: float) -> None:
        """Serves again in so many seconds, when slots are free but every entry must wait; an earlier planned call
        stands.
        """
        if seconds == math.inf:
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._serve_in_time)

    def _serve_in_time(self) -> None:
        self._timer = None
        self.serve()

    def serve(self) -> None:
        """Gives free slots to entries that may have one now."""
        while self._taken < self.slots:
            entry = self._next()
            if entry is None:
                return
            self._taken += 1
            if entry.wanted:
                self.start(entry)
            else:
                entry.hold(self.lease_s)
                entry.on_lease()
