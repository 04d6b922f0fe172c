"""A process and its descendants, as proc(5) shows them."""

import contextlib
import os
import resource

from securecc.model import limits


def children(pid: int) -> list[int]:
    """The children of a process that has one thread; none if it has gone. One that ends meanwhile may hide another:
    call again if you need all of them.
    """
    with contextlib.suppress(OSError):
        return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]
    return []


def usage(root: int, most: int) -> tuple[float, int]:
    """Processor seconds and resident bytes of the process `root` and all below it together. At most `most` processes
    are counted, since they come and go meanwhile.
    """
    ticks, pages, todo, seen = 0, 0, [root], 0
    while todo and seen < most:
        pid = todo.pop()
        seen += 1
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
            pages += int(fields[21])
            for thread in os.listdir(f"/proc/{pid}/task"):
                todo += [int(child) for child in _read(f"/proc/{pid}/task/{thread}/children").split()]
    return ticks / os.sysconf("SC_CLK_TCK"), pages * resource.getpagesize()


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(limits.WORK_PACKET)
