"""Files that only the compiler itself may open: they give their content once, or to one process alone.

Reading one before the compiler does would leave it an empty source, which compiles: bash's ``<(command)``, a FIFO.
"""

import os
import stat

from securecc.model.errors import StaysLocal

SPECIAL = "special"
"""The reason of a compile that stays local for one; the compiler must not be asked what it reads, either."""
CONSUMED = "special-taken"
"""The reason where the compiler that was asked has read a FIFO: no later run of it would find the same."""
DEV_NULL = b"/dev/null"
"""The one device that a compile may name as a header: empty here, and in every sandbox."""
PER_PROCESS = frozenset((b"/dev", b"/proc"))
"""Directories whose contents depend on the process that looks."""

_SPECIAL_TYPES = frozenset((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK))


def refuse(physical: bytes, mode: int) -> None:
    """Refuses what must not be opened. `physical` is a physical path, `mode` that of what is there, 0 for nothing.

    Raises:
        StaysLocal: it is below a directory of `PER_PROCESS`, or a FIFO, a socket or a device.
    """
    top = b"/" + physical.split(b"/", 2)[1]
    if top in PER_PROCESS and physical != DEV_NULL:
        raise StaysLocal(SPECIAL, f"the compile reads {os.fsdecode(top)}, whose contents differ on the server")
    if stat.S_IFMT(mode) in _SPECIAL_TYPES and physical != DEV_NULL:
        raise StaysLocal(SPECIAL, f"{os.fsdecode(physical)} is not a regular file")
