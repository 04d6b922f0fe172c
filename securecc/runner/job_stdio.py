"""A job's standard input, output and error."""

import os
from collections.abc import Sequence

from securecc.model import limits
from securecc.model.errors import SandboxError
from securecc.model.manifest import INPUT, Entry, Kind
from securecc.runner.pseudo_terminal import PseudoTerminal
from securecc.runner_protocol.messages import WorkOrder
from securecc.system.descriptors import close_all

_TAIL = 16 * limits.KIB  # of the diagnostics, searched for signs of a limit


class JobStdio:
    """Unnamed files on the job's tmpfs, and a pseudo-terminal if the client has a terminal."""

    def __init__(self, order: WorkOrder, root: bytes, given: int) -> None:
        """`given` is the descriptor of standard input.

        Raises:
            SandboxError: a file or the terminal cannot be made.
        """
        asked = order.terminal
        self._most = order.limits.diagnostics
        self._on_terminal = asked.error
        self._terminal: PseudoTerminal | None = None
        self.tail = b""
        self._out = _nameless(root)
        self._kept = {self._out}
        try:
            self._error = _nameless(root)
            self._kept.add(self._error)
            if asked.input or asked.error:
                self._terminal = PseudoTerminal(asked.columns, asked.rows, self._most)
        except SandboxError:
            self.close()
            raise
        slave = self._terminal.slave if self._terminal else -1
        self.descriptors = (slave if asked.input else given, self._out, slave if asked.error else self._error)

    def attach(self) -> None:
        """Starts reading the terminal, once the sandbox has been started."""
        if self._terminal:
            self._terminal.attach()

    def overflowing(self) -> bool:
        """Whether standard output or error exceeds the limit of diagnostics."""
        if self._terminal and self._terminal.overflowing():
            return True
        return any(os.fstat(file).st_size > self._most for file in self._kept)

    def finish(self) -> bytes:
        """The end of the diagnostics, once the job has ended."""
        if self._terminal:
            self._terminal.close()
            if self._on_terminal:
                os.pwrite(self._error, self._terminal.captured[: self._most + 1], 0)
        size = os.fstat(self._error).st_size
        self.tail = os.pread(self._error, _TAIL, max(0, min(size, self._most) - _TAIL))
        return self.tail

    def take(self) -> tuple[int, int]:
        """Standard output and error, each cut to its limit and rewound; the caller closes them."""
        for file in (self._out, self._error):
            if os.fstat(file).st_size > self._most:
                os.ftruncate(file, self._most)
            os.lseek(file, 0, os.SEEK_SET)
        self._kept.clear()
        return self._out, self._error

    def close(self) -> None:
        """Closes what was not taken."""
        if self._terminal:
            self._terminal.close()
        close_all(tuple(self._kept))
        self._kept.clear()


def take_input(root: int, entries: Sequence[Entry]) -> int:
    """The descriptor of the job's standard input, whose file is unlinked; -1 if it has none.

    Raises:
        SandboxError: it cannot be opened or removed.
    """
    if not any(entry.path == INPUT and entry.kind is Kind.FILE for entry in entries):
        return -1
    try:
        found = os.open(INPUT[1:], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
        os.unlink(INPUT[1:], dir_fd=root)
    except OSError as error:
        raise SandboxError(f"no file for a job's standard input: {error.strerror}") from error
    return found


def _nameless(root: bytes) -> int:
    try:
        return os.open(root, os.O_TMPFILE | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SandboxError(f"no file for a job's output: {error.strerror}") from error
