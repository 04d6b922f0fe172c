"""Blocking calls with a deadline, off the event loop.

The threads are daemons, so a call that never returns holds up neither the loop nor the end of the process.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from securecc.words import limits
from securecc.words.errors import SecureccError

_T = TypeVar("_T")
_work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
_lock = threading.Lock()
_threads = 0
_unfinished = 0


async def within(seconds: float, late: SecureccError, function: Callable[..., _T], *arguments: object) -> _T:
    """The result of `function(*arguments)`, or its exception; raises `late` when `seconds` have passed.

    At most GSS_THREADS calls run at one time. One that is late or cancelled before its turn is not begun; one that is
    late while it runs goes on in its thread, its result unheard.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def run() -> None:
        if future.done():
            return
        result: _T | None = None
        failure: BaseException | None = None
        try:
            result = function(*arguments)
        except BaseException as error:  # noqa: BLE001 (it is the caller's, on the other thread)
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:  # the loop was closed meanwhile: nobody listens
            return

    _submit(run)
    try:
        async with asyncio.timeout(seconds):
            return await future
    except TimeoutError:
        if future.done() and not future.cancelled():  # the function's own TimeoutError
            raise
        raise late from None


def _submit(run: Callable[[], None]) -> None:
    global _threads, _unfinished  # noqa: PLW0603 (the pool is the process's, as threads are)
    with _lock:
        _unfinished += 1
        if _unfinished > _threads and _threads < limits.GSS_THREADS:
            _threads += 1
            threading.Thread(target=_worker, name="securecc-blocking", daemon=True).start()
    _work.put(run)


def _worker() -> None:
    global _unfinished  # noqa: PLW0603
    while True:
        _work.get()()
        with _lock:
            _unfinished -= 1
