"""What one compile asks of its launcher."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from securecc.client.ipc.frames import Failed, FromAgent, Keep, Request
from securecc.client.spool import Content
from securecc.model.errors import AgentError


class LauncherGoneError(AgentError):
    """The launcher has ended: nobody waits for this compile any more."""


@dataclass(frozen=True, slots=True)
class MadeFile:
    """One output as the launcher is to write it. `keep` says what becomes of a file that is there."""

    path: bytes
    content: Content
    keep: Keep


class Launcher(Protocol):
    """A launcher, as far as its compile is concerned. Wait statuses are as waitpid(2) gives them."""

    process: int
    """Its process id."""

    def command(self, frame: FromAgent) -> None:
        """Sends one command.

        Raises:
            LauncherGoneError: it has ended.
        """

    def execute(self, request: Request) -> None:
        """It becomes the compiler that it found, with the arguments that the user gave.

        Raises:
            LauncherGoneError: it has ended.
        """

    def write(self, stream: int, content: bytes) -> None:
        """Writes to the user's descriptor 1 or 2."""

    def exit(self, status: int) -> None:
        """It ends with this exit status.

        Raises:
            LauncherGoneError: it has ended.
        """

    def abandon(self) -> None:
        """Nobody waits for this compile any more."""

    async def capture(self, arguments: Sequence[bytes]) -> tuple[int, bytes]:
        """Runs a command in its place; the wait status, and what was written to standard output.

        Raises:
            LauncherGoneError: it has ended.
        """

    async def capture_all(self, arguments: Sequence[bytes]) -> tuple[int, bytes, bytes]:
        """As `capture`, and what was written to standard error, which is in English.

        Raises:
            LauncherGoneError: it has ended.
        """

    async def input(self) -> bytes | None:
        """The user's standard input to its end; None for what only the compiler itself should read. It is read once.

        Raises:
            LauncherGoneError: it has ended.
        """

    async def spawn(self, arguments: Sequence[bytes]) -> int:
        """Runs a command with the user's own descriptors; its wait status.

        Raises:
            LauncherGoneError: it has ended.
        """

    async def finish(self, outputs: Sequence[MadeFile], stdout: Sequence[Content], stderr: bytes) -> Failed | None:
        """Writes all outputs or none. When all are written, prints and ends the launcher with success; else says what
        kept them from being written, and the launcher waits for another command.

        Raises:
            LauncherGoneError: it has ended.
        """
