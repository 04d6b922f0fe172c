"""The one interface of what compiles: a compile in, its outcome out. Each concern is a wrapper in a file of its own,
and `securecc.client.execution.pipeline` puts them together.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from securecc.client.compile.invocation import Invocation, environment_of, key_of
from securecc.client.farm.received_result import ReceivedResult
from securecc.client.inputs.compile_inputs import Inputs
from securecc.client.ipc.launcher import Launcher, MadeFile
from securecc.model.manifest import Digest


@dataclass(frozen=True)
class Compile:
    """One compile on its way: what was asked for, by which launcher, and what it reads. `attempt` counts from 1."""

    launcher: Launcher
    invocation: Invocation
    inputs: Inputs
    attempt: int = 1

    @cached_property
    def environment(self) -> dict[bytes, bytes]:
        """The variables that a server runs it with.

        Raises:
            StaysLocal: no server can be told the time, or the time zone.
        """
        return environment_of(self.invocation, self.inputs)

    @cached_property
    def key(self) -> Digest:
        """Its key (see `securecc.compiler.compile_key`).

        Raises:
            StaysLocal: as `environment`.
        """
        return key_of(self.invocation, self.inputs, self.environment)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a server made of a compile.

    `received` is its result, `server` its name as the user wrote it, `sent` the bytes that it was sent, `queued` how
    many jobs were before it in the queue when it was asked. `files` are the outputs for the launcher, once they were
    found to be exactly the command's. `local_status` is how the local compiler ended (waitpid(2)), where it was run
    because the server reports a failure.
    """

    received: ReceivedResult
    server: str
    sent: int
    queued: int = 0
    files: tuple[MadeFile, ...] = ()
    local_status: int | None = None

    @property
    def failed(self) -> bool:
        """Whether the server reports anything but success."""
        return bool(self.received.result.status or self.received.result.limit)


class Executor(Protocol):
    """Compiles."""

    async def run(self, compile_: Compile) -> Outcome:
        """What becomes of a compile.

        Raises:
            StaysLocal: it is to be compiled locally.
            SecureccError: no server can do it now.
            LauncherGoneError: nobody waits for it any more.
        """
