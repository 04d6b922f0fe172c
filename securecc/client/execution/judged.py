"""Lets the local compiler have the last word when a server reports a failure."""

from dataclasses import replace

from securecc.client.execution.executor import Compile, Executor, Outcome
from securecc.client.host.local_slots import LocalSlots


class Judged:
    """An executor: runs a compile that failed on a server here, with the user's own descriptors, unless that is
    forbidden.
    """

    def __init__(self, executor: Executor, slots: LocalSlots) -> None:
        self._executor = executor
        self._slots = slots

    async def run(self, compile_: Compile) -> Outcome:
        """See `securecc.client.execution.executor.Executor`.

        Raises:
            LauncherGoneError: no one is waiting for it any more.
        """
        outcome = await self._executor.run(compile_)
        request, settings = compile_.invocation.request, compile_.invocation.settings
        if not outcome.failed or not settings.fallback:
            return outcome
        await self._slots.enter(settings.local_slots)
        try:
            # The whole command: the first of several sources that fails on a server ends the others.
            status = await compile_.launcher.spawn((request.compiler, *request.arguments[1:]))
        finally:
            self._slots.leave()
        return replace(outcome, local_status=status)
