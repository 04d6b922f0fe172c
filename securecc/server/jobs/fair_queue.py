"""Slots, and who gets the next one: fair between principals by weight, not first come.

A principal that has used little comes before one that has used much (start-time fair queueing over slots taken); one
principal's own jobs keep their order. A ticket is waiting, then leased (the slot is held for a moment so that the
client can send the job), then running, then over (the slot is free, the result is not delivered yet), then done. A
lease that runs out lapses: the slot goes to the next, and a job that arrives all the same queues again.

Nobody has more than its quota at one time, whatever is free: of jobs, and of the memory that they may use, until their
results are delivered; of jobs that begin in a second.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from enum import Enum

from securecc.model.grant import Grant
from securecc.server.jobs.token_bucket import TokenBucket


class Stage(Enum):
    """Where a ticket stands."""

    WAITING = "waiting"
    LEASED = "leased"
    LAPSED = "lapsed"
    RUNNING = "running"
    OVER = "over"
    DONE = "done"


class _Share:
    """What one principal has asked for and used."""

    __slots__ = ("finish", "holding", "leased", "memory", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[QueueEntry] = deque()
        self.holding = 0
        self.leased = 0
        self.memory = 0
        self.finish = 0.0

    def hold(self, ticket: "QueueEntry") -> None:
        """It has got a slot."""
        self.holding += 1
        self.leased += 1
        self.memory += ticket.grant.limits.memory

    def drop(self, ticket: "QueueEntry") -> None:
        """It holds nothing any more."""
        self.holding -= 1
        self.leased -= ticket.stage is Stage.LEASED
        self.memory -= ticket.grant.limits.memory

    def ready_in(self) -> float | None:
        """In how many seconds the next one may have a slot; None if that is no matter of time."""
        ticket = self.waiting[0]
        grant, quota = ticket.grant, ticket.grant.quota
        if self.holding >= grant.jobs or 0 < quota.memory < self.memory + grant.limits.memory:
            return None
        if not quota.rate or ticket.starts is None:
            return 0.0
        return ticket.starts.wait(self.leased + 1, quota.rate, quota.burst)


class QueueEntry:
    """One job's place. `on_lease` is called, once for each lease, when a slot is held for it. `starts` counts those of
    its principal's jobs that begin.
    """

    __slots__ = ("_admission", "_occupied", "_timer", "grant", "on_lease", "stage", "starts", "wanted")

    def __init__(
        self, admission: "FairQueue", grant: Grant, on_lease: Callable[[], None], starts: TokenBucket | None
    ) -> None:
        self._admission = admission
        self._timer: asyncio.TimerHandle | None = None
        self._occupied: asyncio.Future[None] | None = None
        self.grant = grant
        self.on_lease = on_lease
        self.starts = starts
        self.stage = Stage.WAITING
        self.wanted = False

    def hold(self, seconds: float) -> None:
        """Keeps a lease for `seconds` from now; without effect in other stages."""
        if self.stage is Stage.LEASED:
            self._stop_timer()
            self._timer = asyncio.get_running_loop().call_later(seconds, self._admission.expire, self)

    async def occupy(self) -> None:
        """Returns when the slot is the job's until `free` or `leave`."""
        self.wanted = True
        if self.stage is Stage.LEASED:
            self._admission.start(self)
        if self.stage is Stage.LAPSED:
            self._admission.queue(self)
        if self.stage is Stage.WAITING:
            self._occupied = asyncio.get_running_loop().create_future()
            await self._occupied

    def free(self) -> None:
        """The job has run: its slot is free for another. It counts among its principal's until `leave`."""
        self._admission.free(self)

    def leave(self) -> None:
        """Gives the slot or the place in the queue back. May be called at any stage, more than once."""
        self._admission.leave(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def granted(self) -> None:
        """The admission's word that the slot is this ticket's now."""
        if self._occupied is not None and not self._occupied.done():
            self._occupied.set_result(None)

    def ended(self) -> None:
        """The admission's word that the ticket holds nothing any more."""
        self._stop_timer()
        if self._occupied is not None and not self._occupied.done():
            self._occupied.cancel()


class FairQueue:
    """`slots` jobs at one time. A lease lasts `lease_s` seconds."""

    def __init__(self, slots: int, lease_s: float) -> None:
        self.slots = slots
        self.lease_s = lease_s
        self._taken = 0
        self._clock = 0.0
        self._shares: dict[str, _Share] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def taken(self) -> int:
        """Slots leased or running."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Tickets without a slot."""
        return sum(len(share.waiting) for share in self._shares.values())

    def waits(self, principal: str) -> int:
        """Tickets of one principal without a slot."""
        share = self._shares.get(principal)
        return 0 if share is None else len(share.waiting)

    def ask(self, grant: Grant, on_lease: Callable[[], None], starts: TokenBucket | None = None) -> QueueEntry:
        """A new ticket; it may be leased before this returns (its `stage` tells)."""
        ticket = QueueEntry(self, grant, on_lease, starts)
        self.queue(ticket)
        return ticket

    def queue(self, ticket: QueueEntry) -> None:
        """Puts a new or lapsed ticket behind its principal's others."""
        share = self._shares.setdefault(ticket.grant.principal, _Share())
        if not share.waiting and not share.holding:
            # Somebody who was away has saved up nothing: it starts level with those who are here.
            share.finish = max(share.finish, self._clock)
        ticket.stage = Stage.WAITING
        share.waiting.append(ticket)
        self._serve()

    def start(self, ticket: QueueEntry) -> None:
        """Turns a lease into a run."""
        ticket._stop_timer()  # noqa: SLF001 - ticket and admission are one concept
        self._shares[ticket.grant.principal].leased -= 1
        ticket.stage = Stage.RUNNING
        quota = ticket.grant.quota
        if quota.rate and ticket.starts is not None:
            ticket.starts.take(1, quota.rate, quota.burst)
        ticket.granted()

    def free(self, ticket: QueueEntry) -> None:
        """See `QueueEntry.free`."""
        if ticket.stage is Stage.RUNNING:
            ticket.stage = Stage.OVER
            self._taken -= 1
            self._serve()

    def expire(self, ticket: QueueEntry) -> None:
        """A lease has run out: its slot goes to whoever is next."""
        if ticket.stage is Stage.LEASED:
            self._release(ticket)
            ticket.stage = Stage.LAPSED
            self._serve()

    def leave(self, ticket: QueueEntry) -> None:
        """See `QueueEntry.leave`."""
        if ticket.stage is Stage.DONE:
            return
        if ticket.stage is Stage.WAITING:
            self._shares[ticket.grant.principal].waiting.remove(ticket)
        elif ticket.stage is not Stage.LAPSED:
            self._release(ticket)
        ticket.stage = Stage.DONE
        ticket.ended()
        self._forget(ticket.grant.principal)
        self._serve()

    def _release(self, ticket: QueueEntry) -> None:
        ticket._stop_timer()  # noqa: SLF001 - ticket and admission are one concept
        if ticket.stage is not Stage.OVER:
            self._taken -= 1
        self._shares[ticket.grant.principal].drop(ticket)

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
        ticket = best.waiting.popleft()
        self._clock = max(self._clock, best.finish)
        best.finish = max(best.finish, self._clock) + 1.0 / ticket.grant.weight
        best.hold(ticket)
        ticket.stage = Stage.LEASED
        return ticket

    def _look_again(self, seconds: float) -> None:
        """Slots are free, and all who wait have to wait for so long; a later look that was planned is none too many."""
        if seconds == math.inf:
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._serve_later)

    def _serve_later(self) -> None:
        self._timer = None
        self._serve()

    def _serve(self) -> None:
        while self._taken < self.slots:
            ticket = self._next()
            if ticket is None:
                return
            self._taken += 1
            if ticket.wanted:
                self.start(ticket)
            else:
                ticket.hold(self.lease_s)
                ticket.on_lease()
