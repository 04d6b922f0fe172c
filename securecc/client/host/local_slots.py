"""Localhost as one more place to run: so many at one time of the compiles that could have gone to the farm."""

import asyncio
import os
from collections import deque


class LocalSlots:
    """`count` places. Work that belongs here anyway (linking, preprocessing) takes none."""

    def __init__(self, count: int) -> None:
        self._count = max(count, 1)
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, most: int = 0) -> None:
        """Returns when a place is free; `leave` or `leave_with` gives it back. `most` is this user's own count."""
        while self._taken >= (most or self._count):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                raise
        self._taken += 1

    def leave(self) -> None:
        """Gives a place back."""
        self._taken -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def leave_with(self, process: int) -> None:
        """Gives a place back when that process ends."""
        try:
            descriptor = os.pidfd_open(process)
        except OSError:
            self.leave()
            return
        asyncio.get_running_loop().add_reader(descriptor, self._ended, descriptor)

    def _ended(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        self.leave()
