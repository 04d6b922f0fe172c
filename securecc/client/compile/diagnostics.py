"""Joins the diagnostics of one command's sources as the one command would print them."""

import re
from collections.abc import Sequence


def joined(called: bytes, parts: Sequence[bytes]) -> bytes:
    """The diagnostics of a command that was called as `called`, from those of the compiles of its sources.

    The driver's lines come first, each beginning with the name that it was called by. It comments on the command once;
    clang comments on an option's meaning (a line with the name of a warning) for each source, and at the end on options
    that no source used.
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
