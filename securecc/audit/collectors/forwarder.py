"""Forwards checkpoints to collectors once they are on disk, in its own threads: no job ever waits for it."""

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from securecc.audit.collectors.collector_connection import CollectorConnection
from securecc.model import limits

log = logging.getLogger("securecc")

_RETRY_S = 5.0
_CLOSE_S = 3.0


class CheckpointForwarder:
    """For use by one thread, which waits only in `close`. `keep` is called with each line that is on disk."""

    def __init__(self, connections: Iterable[CollectorConnection], *, host: str, keep: Callable[[str], None]) -> None:
        self._queue: queue.SimpleQueue[tuple[int, str, str] | None] = queue.SimpleQueue()
        self._keep = keep
        self._queues = [_CollectorQueue(connection, host) for connection in connections]
        self._thread = threading.Thread(target=self._run, name="audit-disk", daemon=True)
        self._thread.start()

    def put(self, descriptor: int, line: str, time: str) -> None:
        """Sends `line`, made at `time`, once the file of `descriptor` is on disk; closes the descriptor."""
        self._queue.put((descriptor, line, time))

    def close(self) -> None:
        """Waits until everything is sent, a few seconds at most."""
        ends = time.monotonic() + _CLOSE_S
        self._queue.put(None)
        self._thread.join(_CLOSE_S)
        for each in self._queues:
            each.close(max(0.0, ends - time.monotonic()))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            descriptor, line, stamp = item
            try:
                os.fdatasync(descriptor)
                self._keep(line)
            except OSError as error:
                log.error("an audit checkpoint is not on disk: %s", error.strerror)  # noqa: TRY400 - it says all
                continue
            finally:
                os.close(descriptor)
            for each in self._queues:
                each.put(line, stamp)


class _CollectorQueue:
    """The queue of one collector. A message that cannot be sent is retried; of too many the newest are kept, because
    each covers all before it.
    """

    def __init__(self, connection: CollectorConnection, host: str) -> None:
        self._connection = connection
        self._host = host
        self._waiting: deque[tuple[str, str]] = deque(maxlen=limits.AUDIT_UNSENT)
        self._changed = threading.Condition()
        self._ending = False
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="audit-send", daemon=True)
        self._thread.start()

    def put(self, line: str, stamp: str) -> None:
        with self._changed:
            self._waiting.append((line, stamp))
            self._changed.notify()

    def close(self, patience: float) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(patience)

    def _run(self) -> None:
        last = False  # whether this is the last try
        while self._next():
            line, stamp = self._waiting[0]
            try:
                self._connection.send(
                    self._connection.destination.message(line, host=self._host, time=stamp, pid=os.getpid())
                )
            except OSError as error:
                self._say(error.strerror or str(error))
                if last:
                    break
                last = self._pause()
                continue
            self._say("")
            with self._changed, contextlib.suppress(ValueError):
                self._waiting.remove((line, stamp))
        self._connection.close()

    def _next(self) -> bool:
        """Waits for something to send; False when nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            return bool(self._waiting)

    def _pause(self) -> bool:
        """Waits before the next try; True if that is the last one."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ending, _RETRY_S)

    def _say(self, trouble: str) -> None:
        """Logs a fault once, and its end."""
        if trouble == self._said:
            return
        self._said = trouble
        if trouble:
            log.error("audit checkpoints cannot be sent to %s: %s", self._connection.destination, trouble)
        else:
            log.warning("audit checkpoints are being sent to %s again", self._connection.destination)
