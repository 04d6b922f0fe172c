"""Ends a remote compile that no one is waiting for any more."""

import signal
from collections.abc import Callable
from typing import Protocol

from securecc.client.execution.executor import Compile, Executor, Outcome
from securecc.client.ipc.frames import Die
from securecc.client.ipc.launcher import Launcher, LauncherGoneError
from securecc.client.ipc.process_ancestry import ProcessAncestry

Orphaned = Callable[[], None]
"""Called when a process that waits for a launcher has died."""


class Watch(Protocol):
    """See `securecc.client.ipc.process_ancestry.ProcessAncestry`."""

    def start(self) -> None:
        """Starts watching."""

    def stop(self) -> None:
        """Stops watching."""


class Watched:
    """An executor: when the processes that wait for the launcher have died, it ends the launcher and the compile."""

    def __init__(self, executor: Executor, watch: Callable[[int, int, Orphaned], Watch] = ProcessAncestry) -> None:
        """`watch` makes a watch over a launcher's process id and its parent's."""
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
