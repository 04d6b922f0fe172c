"""Ends a remote compile that nobody waits for any more."""

import signal
from collections.abc import Callable
from typing import Protocol

from securecc.client.execution.executor import Compile, Executor, Outcome
from securecc.client.ipc.frames import Die
from securecc.client.ipc.launcher import Launcher, LauncherGoneError
from securecc.client.ipc.process_ancestry import ProcessAncestry

Orphaned = Callable[[], None]
"""Called when somebody who waits for a launcher has died."""


class Watch(Protocol):
    """See `securecc.client.ipc.process_ancestry.ProcessAncestry`."""

    def start(self) -> None:
        """Begins to watch."""

    def stop(self) -> None:
        """Ends the watch."""


class Watched:
    """An executor: when those who wait for the launcher have died, the launcher ends and the compile with it."""

    def __init__(self, executor: Executor, watch: Callable[[int, int, Orphaned], Watch] = ProcessAncestry) -> None:
        """`watch` makes the watch over a launcher's process id and its parent's."""
        self._executor = executor
        self._watch = watch

    async def run(self, compile_: Compile) -> Outcome:
        """See `securecc.client.execution.executor.Executor`."""
        launcher = compile_.launcher
        ancestry = self._watch(launcher.process, compile_.invocation.request.parent, lambda: _end(launcher))
        ancestry.start()
        try:
            return await self._executor.run(compile_)
        finally:
            ancestry.stop()


def _end(launcher: Launcher) -> None:
    try:
        launcher.command(Die(signal.SIGTERM))
    except LauncherGoneError:
        return
    launcher.abandon()
