"""A process that starts a jail and is its subreaper, as the runner is: `python jailkeeper.py KIND ROOT FILTER`.

`moments` kills the outer process, then the init, at ever later moments, and prints what was left of each. `bubblewrap`
does so with the outer process of that, and without a filter. `wait` starts a jail, prints the pids of its two
processes, and waits to be killed.
"""

# ruff: noqa: T201, ASYNC110 - printing is its trade, and it has nothing else to do

import asyncio
import os
import signal
import sys
import time

from securecc.model.grant import JobLimits
from securecc.sandbox import bubblewrap, jail, namespaces, sandbox
from tests.runnerside import children_of
from tests.waiting import CEILING_S

MOMENTS = 60
STEP_S = 0.00005


def spec(root: str) -> sandbox.SandboxSpec:
    return sandbox.SandboxSpec(
        os.fsencode(root), b"/", (b"/prisoner", b"sleep", os.fsencode(root)), {}, 0o022, (0, 1, 2)
    )


async def killed(way: sandbox.Sandbox, root: str, after_s: float, *, init: bool) -> tuple[bool, int, list[str]]:
    """Whether it ran, its status, and the children that are left."""
    running = way.start(spec(root), JobLimits())
    until = time.monotonic() + after_s
    while time.monotonic() < until:
        pass
    target = running.pid
    if init:
        inside = children_of(running.pid)
        target = int(inside[0]) if inside else target
    os.kill(target, signal.SIGKILL)
    ending = await asyncio.wait_for(running.ended(), CEILING_S)
    return ending.ran, ending.status, children_of(os.getpid())


async def moments(root: str, rules: str) -> None:
    way = jail.Jail(jail.find(), os.fsencode(rules))
    for moment in range(MOMENTS):
        for init in (False, True):
            print(*await killed(way, root, moment * STEP_S, init=init), flush=True)


async def wrapped(root: str, _rules: str) -> None:
    way = bubblewrap.Bubblewrap(bubblewrap.find())
    for moment in range(MOMENTS):
        print(*await killed(way, root, moment * STEP_S, init=False), flush=True)


async def wait(root: str, rules: str) -> None:
    running = jail.Jail(jail.find(), os.fsencode(rules)).start(spec(root), JobLimits())
    while not (inside := children_of(running.pid)):
        await asyncio.sleep(0.001)
    print(running.pid, int(inside[0]), flush=True)
    ending = await running.ended()
    print(ending.ran, ending.status, children_of(os.getpid()), flush=True)


if __name__ == "__main__":
    namespaces.harden()
    namespaces.become_subreaper()
    asyncio.run({"moments": moments, "bubblewrap": wrapped, "wait": wait}[sys.argv[1]](*sys.argv[2:]))
