"""Blocking calls with a deadline, off the event loop.

The threads are daemons, so a call that never returns holds up neither the loop nor the end of the process.
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
    """One call that waits for a thread. `run` is not begun once `shed` was called; `wanted` tells whether anybody still
    waits for it.
    """

    def run(self) -> None:
        """Does it, on a thread."""

    def shed(self) -> None:
        """It will not be done."""

    def wanted(self) -> bool:
        """Whether it is still to be done."""


class Pool:
    """At most `threads` calls at one time, started as they are needed; the others wait, those of strangers last.

    At most `waiting` calls wait. In a full pool a stranger's call is shed; so is the stranger who came last, to make
    room for somebody who is none. Who is no stranger is always taken: the gate bounds how many they are.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._most = threads
        self._waiting = waiting
        self._first: deque[Call] = deque()
        self._strangers: deque[Call] = deque()
        self._work = threading.Condition()
        self.threads = 0
        self._unfinished = 0

    def submit(self, call: Call, *, stranger: bool) -> None:
        """From now on either `call.run` is called on a thread of the pool's, or `call.shed` on the caller's."""
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
        """Those whom nobody waits for any more make room first."""
        if len(self._first) + len(self._strangers) < self._waiting:
            return False
        before = len(self._first) + len(self._strangers)
        self._first = deque(call for call in self._first if call.wanted())
        self._strangers = deque(call for call in self._strangers if call.wanted())
        after = len(self._first) + len(self._strangers)
        self._unfinished -= before - after
        return after >= self._waiting

    def _start(self) -> None:
        if self._unfinished > self.threads and self.threads < self._most:
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
"""The process's, as threads are."""


async def within(
    seconds: float,
    late: SecureccError,
    function: Callable[..., _T],
    *arguments: object,
    crowded: SecureccError | None = None,
) -> _T:
    """The result of `function(*arguments)`, or its exception; raises `late` when `seconds` have passed.

    At most GSS_THREADS calls run at one time. One that is late or cancelled before its turn is not begun; one that is
    late while it runs goes on in its thread, its result unheard. `crowded` makes it a stranger's call: it is raised
    where too many wait already.
    """
    call = _Asked(functools.partial(function, *arguments), crowded)
    pool.submit(call, stranger=crowded is not None)
    try:
        async with asyncio.timeout(seconds):
            return cast("_T", await call.future)
    except TimeoutError:
        if call.future.done() and not call.future.cancelled():  # the function's own TimeoutError
            raise
        raise late from None


class _Asked:
    """A Call that an event loop waits for: `future` is settled there, and only there."""

    def __init__(self, function: Callable[[], object], crowded: SecureccError | None) -> None:
        self._function = function
        self._crowded = crowded
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[object] = self._loop.create_future()

    def wanted(self) -> bool:
        return not self.future.done()

    def shed(self) -> None:
        self._tell(None, self._crowded)

    def run(self) -> None:
        if self.future.done():
            return
        result: object = None
        failure: BaseException | None = None
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001 (it is the caller's, on the other thread)
            failure = error
        self._tell(result, failure)

    def _tell(self, result: object, failure: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._settle, result, failure)
        except RuntimeError:  # the loop was closed meanwhile: nobody listens
            return

    def _settle(self, result: object, failure: BaseException | None) -> None:
        if self.future.done():
            return
        if failure is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(failure)
