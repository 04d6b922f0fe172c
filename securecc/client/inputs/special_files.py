"""Files that only the compiler itself may open: they give their content once, or to one process alone.

Whoever looked at them before it would leave it an empty source, which compiles: bash's ``<(command)``, a FIFO.
"""

import os
import stat

from securecc.model.errors import StaysLocal

REASON = "special"
TAKEN = "special-taken"
"""A FIFO that the compiler has read when it was asked what it reads: no later run of it would find the same."""
NOTHING = b"/dev/null"
"""The one device that a compile may name as a header: empty here, and in every sandbox."""
OWN = frozenset((b"/dev", b"/proc"))
"""What stands below depends on the process that looks."""

_KINDS = frozenset((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK))


def refuse(place: bytes, mode: int) -> None:
    """Raises StaysLocal for what lies in `OWN`, and for a FIFO, a socket or a device: `place` is physical, `mode` is of
    what stands there, 0 for nothing.
    """
    top = b"/" + place.split(b"/", 2)[1]
    if top in OWN and place != NOTHING:
        raise StaysLocal(REASON, f"the compile looks into {os.fsdecode(top)}, which is another one elsewhere")
    if stat.S_IFMT(mode) in _KINDS and place != NOTHING:
        raise StaysLocal(REASON, f"{os.fsdecode(place)} is no regular file")
