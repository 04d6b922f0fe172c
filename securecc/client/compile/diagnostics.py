"""What the compiles of one command's sources say, put together as one command says it."""

import re
from collections.abc import Sequence


def joined(called: bytes, parts: Sequence[bytes]) -> bytes:
    """The diagnostics of a command that was `called` so, from those of the compiles of its sources.

    A driver speaks first, each line of it begun by the name that it was called by. It speaks of the command once; clang
    of an option's meaning (a line with the name of a warning) for each source, and at the end of what no source used.
    """
    if len(parts) == 1:
        return parts[0]
    name = re.escape(called.rpartition(b"/")[2])
    own = re.compile(rb"(?:(?:\x1b\[[0-9;]*[mK])*" + name + rb":.*\n)*")
    drivers = [match[0] for part in parts if (match := own.match(part))]
    lines = [line for said in drivers for line in said.splitlines(keepends=True)]
    each = [line for line in lines if b"[-W" in line and b"[-Wunused-command-line-argument" not in line]
    once = dict.fromkeys(line for line in lines if line not in each)
    return b"".join([*each, *once, *(part[len(said) :] for part, said in zip(parts, drivers, strict=True))])
