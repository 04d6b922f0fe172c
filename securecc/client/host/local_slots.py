"""Localhost as one more server: how many compiles that could have gone to the farm may run here at a time."""

import asyncio
import os
from collections import deque


class LocalSlots:
    """`count` slots. Work that belongs here anyway (linking, preprocessing) takes none."""

    def __init__(self, count: int) -> None:
        self._count = max(count, 1)
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, most: int = 0) -> None:
        """Takes a slot once one is free; `leave` or `leave_with` returns it. `most` replaces the count, unless 0.

        Raises:
            asyncio.CancelledError: the wait was cancelled, and no slot was taken.
        """
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
        """Returns a slot."""
        self._taken -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def leave_with(self, process: int) -> None:
        """Returns a slot when the process with this id ends."""
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
