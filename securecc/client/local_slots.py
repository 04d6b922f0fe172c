"""Localhost as one more place to run: so many at one time of the compiles that could have gone to the farm."""

import asyncio
import os


class LocalSlots:
    """`count` places. Work that belongs here anyway (linking, preprocessing) takes none."""

    def __init__(self, count: int) -> None:
        self._places = asyncio.Semaphore(max(count, 1))

    async def enter(self) -> None:
        """Returns when a place is free; `leave` or `leave_with` gives it back."""
        await self._places.acquire()

    def leave(self) -> None:
        """Gives a place back."""
        self._places.release()

    def leave_with(self, process: int) -> None:
        """Gives a place back when that process ends."""
        try:
            descriptor = os.pidfd_open(process)
        except OSError:
            self._places.release()
            return
        asyncio.get_running_loop().add_reader(descriptor, self._ended, descriptor)

    def _ended(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        self._places.release()
