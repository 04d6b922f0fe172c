"""Flow control towards a peer (asyncio.BaseProtocol.pause_writing): whether it reads, since when it has not, and who is
waiting for it.
"""

import asyncio
from collections.abc import Callable


class Backpressure:
    """Flow control of one connection. `paused`: more than `limits.WRITE_HIGH` bytes wait for the peer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.paused = False
        self._loop = loop
        self._paused_at = 0.0
        self._waiting: list[asyncio.Future[None]] = []

    def pause(self) -> None:
        """The peer reads more slowly than we write."""
        self.paused = True
        self._paused_at = self._loop.time()

    def resume(self) -> None:
        """The peer has caught up, or nothing more is written: wakes everything that waits."""
        self.paused = False
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def wait(self) -> "asyncio.Future[None]":
        """Done when there is room again."""
        future = self._loop.create_future()
        self._waiting.append(future)
        return future

    def when_resumed(self, act: Callable[[], None]) -> None:
        """Schedules `act` for when there is room again."""
        self.wait().add_done_callback(lambda _resumed: act())

    @property
    def paused_for(self) -> float:
        """Seconds since it was `paused`; 0 if it is not."""
        return self._loop.time() - self._paused_at if self.paused else 0.0
