"""The interface of everything that compiles: a compile in, its outcome out. Each concern is a wrapper in a
separate file, and `securecc.client.execution.pipeline` puts them together.
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
    """One compile in progress: what was asked for, by which launcher, and what it reads. `attempt` counts from 1.
    `questions` is the digest of the questions that this machine is known to answer alike, empty if there are none.
    """

    launcher: Launcher
    invocation: Invocation
    inputs: Inputs
    attempt: int = 1
    questions: Digest = b""

    @cached_property
    def environment(self) -> dict[bytes, bytes]:
        """The variables that a server runs it with.

        Raises:
            StaysLocal: the time or the time zone cannot be described to a server.
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

    `received` is the server's result, `server` its name as the user wrote it, `sent` the number of bytes sent to it,
    `queued` how many jobs were ahead in its queue when it was asked. `files` are the outputs for the launcher, once
    they have been found to match the command exactly. `local_status` is how the local compiler ended (waitpid(2)), if
    it was run because the server reported a failure.
    """

    received: ReceivedResult
    server: str
    sent: int
    queued: int = 0
    files: tuple[MadeFile, ...] = ()
    local_status: int | None = None

    @property
    def failed(self) -> bool:
        """Whether the server reported anything but success."""
        return bool(self.received.result.status or self.received.result.limit)


class Executor(Protocol):
    """Compiles."""

    async def run(self, compile_: Compile) -> Outcome:
        """The outcome of a compile.

        Raises:
            StaysLocal: it must be compiled locally.
            SecureccError: no server can do it now.
            LauncherGoneError: no one is waiting for it any more.
        """
