"""What one compile asks of its launcher."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from securecc.client.ipc.frames import Failed, FromAgent, Keep, Request
from securecc.client.spool import Content
from securecc.model.errors import AgentError


class LauncherGoneError(AgentError):
    """The launcher has ended: no one is waiting for this compile any more."""


@dataclass(frozen=True, slots=True)
class MadeFile:
    """One output for the launcher to write. `keep` says what happens to an existing file."""

    path: bytes
    content: Content
    keep: Keep


class Launcher(Protocol):
    """A launcher, as its compile sees it. Wait statuses are as from waitpid(2)."""

    process: int
    """Its process id."""

    def command(self, frame: FromAgent) -> None:
        """Sends one command.

        Raises:
            LauncherGoneError: it has ended.
        """

    def execute(self, request: Request) -> None:
        """Makes it become the compiler that it found, with the user's arguments.

        Raises:
            LauncherGoneError: it has ended.
        """

    def write(self, stream: int, content: bytes) -> None:
        """Writes to the user's descriptor 1 or 2."""

    def exit(self, status: int) -> None:
        """Ends it with this exit status.

        Raises:
            LauncherGoneError: it has ended.
        """

    def abandon(self) -> None:
        """Ends a compile that no one is waiting for any more."""

    async def capture(self, arguments: Sequence[bytes]) -> tuple[int, bytes]:
        """Runs a command in its place; returns the wait status and the standard output.

        Raises:
            LauncherGoneError: it has ended.
        """

    async def capture_all(self, arguments: Sequence[bytes]) -> tuple[int, bytes, bytes]:
        """As `capture`, with the standard error too, which is in English.

        Raises:
            LauncherGoneError: it has ended.
        """

    async def input(self) -> bytes | None:
        """All of the user's standard input; None if only the compiler itself should read it. It is read only once.

        Raises:
            LauncherGoneError: it has ended.
        """

    async def spawn(self, arguments: Sequence[bytes]) -> int:
        """Runs a command with the user's own descriptors; returns its wait status.

        Raises:
            LauncherGoneError: it has ended.
        """

    async def finish(self, outputs: Sequence[MadeFile], stdout: Sequence[Content], stderr: bytes) -> Failed | None:
        """Writes all outputs or none. When all are written, prints and ends the launcher with success; otherwise
        returns why they could not be written, and the launcher waits for another command.

        Raises:
            LauncherGoneError: it has ended.
        """
