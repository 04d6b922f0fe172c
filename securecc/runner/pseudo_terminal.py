"""A pseudo-terminal for a compiler whose user has a terminal (pty(7)): gcc asks for its width, and uses colour if there
is one.
"""

import asyncio
import fcntl
import os
import struct
import termios

from securecc.model import limits
from securecc.model.errors import SandboxError

PTMX = "/dev/pts/ptmx"
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


class PseudoTerminal:
    """One pseudo-terminal of `columns` by `rows` character cells. Output is kept unchanged, up to `most` bytes;
    `overflowing` says whether there was more.
    """

    def __init__(self, columns: int, rows: int, most: int, multiplexer: str = PTMX) -> None:
        """Opens it; `multiplexer` is the path of ptmx.

        Raises:
            SandboxError: the system provides no pseudo-terminal.
        """
        self.captured = bytearray()
        self.slave = -1
        self._most = most
        try:
            self._master = os.open(multiplexer, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise SandboxError(f"no pseudo-terminal from {multiplexer}: {error.strerror}") from error
        try:
            fcntl.ioctl(self._master, _TIOCSPTLCK, struct.pack("i", 0))
            self.slave = fcntl.ioctl(self._master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0))
            settings = termios.tcgetattr(self.slave)
            settings[1] &= ~termios.OPOST
            settings[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
            termios.tcsetattr(self.slave, termios.TCSANOW, settings)
        except (OSError, termios.error) as error:
            for end in (self._master, self.slave):
                if end >= 0:
                    os.close(end)
            raise SandboxError(f"the pseudo-terminal cannot be set up: {error}") from error

    def attach(self) -> None:
        """Reads it on the running event loop; closes our copy of the slave, since the sandbox has its own."""
        os.close(self.slave)
        self.slave = -1
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._read)

    def overflowing(self) -> bool:
        """Whether more was written than `most` bytes."""
        return len(self.captured) > self._most

    def close(self) -> None:
        """Reads what is left, then closes it; may be called more than once."""
        if self._master < 0:
            return
        if self.slave >= 0:
            os.close(self.slave)
        else:
            while self._read():
                pass
            self._loop.remove_reader(self._master)
        os.close(self._master)
        self._master = -1

    def _read(self) -> bool:
        try:
            piece = os.read(self._master, limits.WORK_PACKET)
        except OSError:
            piece = b""
        if not piece:
            self._loop.remove_reader(self._master)
        elif not self.overflowing():
            self.captured += piece
        return bool(piece)
