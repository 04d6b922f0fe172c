"""Files that only the compiler itself may open: they can be read only once, or by only one process.

Reading one first would leave the compiler an empty source, which compiles: bash's ``<(command)``, a FIFO.
"""

import os
import stat

from securecc.model.errors import StaysLocal

SPECIAL = "special"
"""Why a compile that reads one stays local; the compiler must not be asked what it reads, either."""
CONSUMED = "special-taken"
"""Why a compile stays local after the compiler, when asked, read a FIFO: a later run would not find the same."""
DEV_NULL = b"/dev/null"
"""The only device that a compile may name as a header: it is empty here and in every sandbox."""
PER_PROCESS = frozenset((b"/dev", b"/proc"))
"""Directories whose contents depend on the reading process."""

_SPECIAL_TYPES = frozenset((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK))


def is_per_process(path: bytes) -> bool:
    """Whether an absolute path leads into a directory of `PER_PROCESS`."""
    return b"/" + path.split(b"/", 2)[1] in PER_PROCESS


def refuse(physical: bytes, mode: int) -> None:
    """Refuses files that must not be opened. `physical` is a physical path, `mode` the file's mode, 0 if there is none.

    Raises:
        StaysLocal: it is below a directory of `PER_PROCESS`, or a FIFO, a socket or a device.
    """
    if is_per_process(physical) and physical != DEV_NULL:
        raise StaysLocal(SPECIAL, f"the compile reads {os.fsdecode(physical)}, whose contents differ on the server")
    if stat.S_IFMT(mode) in _SPECIAL_TYPES and physical != DEV_NULL:
        raise StaysLocal(SPECIAL, f"{os.fsdecode(physical)} is not a regular file")
