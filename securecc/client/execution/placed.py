"""Gives a compile to a server of the user's farm."""

from collections.abc import Callable

from securecc.client.compile.submission import submit
from securecc.client.execution.executor import Compile, Outcome
from securecc.client.farm.farm import Farm, SlotRequest
from securecc.client.ipc.frames import Request
from securecc.client.state.settings import Settings
from securecc.model.errors import Refused, StaysLocal

_OF_ONE_COMPILE = frozenset(("tree", "option", "limit"))
"""Refusals that say nothing about the farm: shown by `securecctl why`, not on the terminal."""


class Placed:
    """An executor: asks the farm for a slot and submits the compile there."""

    def __init__(self, farm: Callable[[Settings, Request], Farm]) -> None:
        """`farm` returns the farm for a launcher's settings and environment."""
        self._farm = farm

    async def run(self, compile_: Compile) -> Outcome:
        """See `securecc.client.execution.executor.Executor`.

        Raises:
            StaysLocal: an input has changed meanwhile, or the server does not take this one compile.
            ChannelError: no server can be reached, or the one that had the compile has gone.
            CredentialError: the user has no ticket.
            AuthenticationError: the server or the user cannot prove who they are.
            Denied: no server admits the user.
            Refused: no server takes the compile now.
        """
        invocation = compile_.invocation
        toolchain = invocation.toolchain
        farm = self._farm(invocation.settings, invocation.request)
        request = SlotRequest(compile_.key, toolchain.digest, compile_.inputs.size, toolchain)
        async with farm.room():
            while True:
                job = await farm.place(request)
                asked = job.number > 0
                try:
                    return await submit(job, compile_)
                except Refused as error:
                    if error.code in _OF_ONE_COMPILE and invocation.settings.fallback:
                        raise StaysLocal(f"refused-{error.code}", error.message) from error
                    if asked or error.code != "busy":
                        raise
                    job.mark_busy()
                finally:
                    job.close()
