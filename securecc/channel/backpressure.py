"""Room for what is written to a peer: whether it takes it, since when it does not, and who waits until it does."""

import asyncio
from collections.abc import Callable


class Backpressure:
    """Of one connection. `crowded`: more waits for the peer than `limits.WRITE_HIGH`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.crowded = False
        self._loop = loop
        self._since = 0.0
        self._waiting: list[asyncio.Future[None]] = []

    def filled(self) -> None:
        """The peer takes less than is written."""
        self.crowded = True
        self._since = self._loop.time()

    def made(self) -> None:
        """The peer has taken what was too much, or nothing more is written: nobody waits any longer."""
        self.crowded = False
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def wait(self) -> "asyncio.Future[None]":
        """Done when there is room again."""
        future = self._loop.create_future()
        self._waiting.append(future)
        return future

    def when(self, act: Callable[[], None]) -> None:
        """`act` is called, soon, when there is room again."""
        self.wait().add_done_callback(lambda _room: act())

    @property
    def crowded_for(self) -> float:
        """For how many seconds it has been `crowded`."""
        return self._loop.time() - self._since if self.crowded else 0.0
