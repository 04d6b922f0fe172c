"""Blocking calls with a deadline, off the event loop.

The threads are daemon threads, so a call that never returns holds up neither the loop nor the end of the process.
"""

import asyncio
import functools
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from securecc.model import limits
from securecc.model.errors import SecureccError

_T = TypeVar("_T")


class Call(Protocol):
    """One call that waits for a thread. Either `run` or `shed` is called."""

    def run(self) -> None:
        """Does it, on one of the pool's threads."""

    def shed(self) -> None:
        """Drops it because the pool is full."""

    def wanted(self) -> bool:
        """Whether its result is still wanted; if not, it gives up its place."""


class Pool:
    """At most `most_threads` calls run at a time, on threads that are started as needed; others wait, those of
    unauthenticated peers ("strangers") last.

    At most `most_waiting` calls wait. When the pool is full, a stranger's call is shed; any other call sheds the latest
    stranger's to make room. Other calls are always taken: the connection gate bounds their number.
    """

    def __init__(self, most_threads: int, most_waiting: int) -> None:
        self._most_threads = most_threads
        self._most_waiting = most_waiting
        self._first: deque[Call] = deque()
        self._strangers: deque[Call] = deque()
        self._work = threading.Condition()
        self.threads = 0
        self._unfinished = 0

    def submit(self, call: Call, *, stranger: bool) -> None:
        """Calls `call.run` on one of the pool's threads, or `call.shed` on this one."""
        shed: Call | None = None
        with self._work:
            if self._is_full():
                shed = call if stranger else self._strangers.pop() if self._strangers else None
            if shed is not call:
                (self._strangers if stranger else self._first).append(call)
                self._unfinished += shed is None
                self._start()
                self._work.notify()
        if shed is not None:
            shed.shed()

    def _is_full(self) -> bool:
        """Calls whose results are no longer wanted make room first."""
        if len(self._first) + len(self._strangers) < self._most_waiting:
            return False
        before = len(self._first) + len(self._strangers)
        self._first = deque(call for call in self._first if call.wanted())
        self._strangers = deque(call for call in self._strangers if call.wanted())
        after = len(self._first) + len(self._strangers)
        self._unfinished -= before - after
        return after >= self._most_waiting

    def _start(self) -> None:
        if self._unfinished > self.threads and self.threads < self._most_threads:
            self.threads += 1
            threading.Thread(target=self._serve, name="securecc-blocking", daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._work:
                while not self._first and not self._strangers:
                    self._work.wait()
                call = self._first.popleft() if self._first else self._strangers.popleft()
            call.run()
            with self._work:
                self._unfinished -= 1


pool = Pool(limits.GSS_THREADS, limits.GSS_WAITING)
"""The process's pool."""


async def within(
    seconds: float,
    late: SecureccError,
    function: Callable[..., _T],
    *arguments: object,
    shed: SecureccError | None = None,
) -> _T:
    """The result of `function(*arguments)`.

    At most GSS_THREADS calls run at a time. A call that times out or is cancelled before its turn never starts; one
    that times out while it runs continues in its thread, and its result is dropped.

    Args:
        seconds: The deadline, including the wait for a thread.
        late: Raised at the deadline.
        function: May block; called on a daemon thread.
        arguments: Its arguments.
        shed: Makes it the call of an unauthenticated peer, and is raised if too many are waiting already.

    Raises:
        TimeoutError: only if `function` does; whatever else it raises is raised as well.
    """
    call = _PendingCall(functools.partial(function, *arguments), shed)
    pool.submit(call, stranger=shed is not None)
    try:
        async with asyncio.timeout(seconds):
            return cast("_T", await call.future)
    except TimeoutError:
        if call.future.done() and not call.future.cancelled():  # the function's own TimeoutError
            raise
        raise late from None


class _PendingCall:
    """A Call that an event loop waits for: `future` is set there, and only there."""

    def __init__(self, function: Callable[[], object], shed: SecureccError | None) -> None:
        self._function = function
        self._shed_error = shed
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[object] = self._loop.create_future()

    def wanted(self) -> bool:
        return not self.future.done()

    def shed(self) -> None:
        self._tell(None, self._shed_error)

    def run(self) -> None:
        if self.future.done():
            return
        result: object = None
        failure: BaseException | None = None
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001 (it is raised to the caller, on the other thread)
            failure = error
        self._tell(result, failure)

    def _tell(self, result: object, failure: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._settle, result, failure)
        except RuntimeError:  # the loop was closed meanwhile
            return

    def _settle(self, result: object, failure: BaseException | None) -> None:
        if self.future.done():
            return
        if failure is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(failure)
