"""The process that runs compilers: ``python -I -m securecc.runner.runner --fd N --config-fd M``.

It has no network, no keytab and no access to the host's files: it finds the toolchains, copies them to a tmpfs, and
makes that its root before it takes the first order. When the front exits, it exits too, and all jobs with it.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence

from securecc.model import heap
from securecc.model.errors import ChannelError, SandboxError, SecureccError
from securecc.runner import root, toolchain_probe
from securecc.runner.config import read_config
from securecc.runner.front_connection import FrontConnection
from securecc.runner.job import JobContext
from securecc.runner.log import log
from securecc.runner.toolchain_copies import ToolchainCopy
from securecc.runner_protocol.messages import WorkReady
from securecc.runner_protocol.packets import say_once
from securecc.system.descriptors import allow_as_many_as_possible, close_all_but


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until the front has gone. Exit status 0, or 1 with one line on standard error."""
    options = argparse.ArgumentParser(prog="securecc.runner.runner")
    options.add_argument("--fd", type=int, required=True, help="the front's socketpair")
    options.add_argument("--config-fd", type=int, required=True, help="where the configuration is read from")
    chosen = options.parse_args(arguments)
    try:
        config = read_config(chosen.config_fd)
        _only(chosen.fd)
        end, contexts = socket.socket(fileno=chosen.fd), root.prepare(config)
        if contexts:
            asyncio.run(_serve(end, contexts))
        else:
            say_once(end, WorkReady((), ()))
    except SecureccError as error:
        log(str(error))
        return 1
    return 0


def _only(descriptor: int) -> None:
    """Closes every inherited descriptor except standard error and the connection to the front."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    close_all_but(descriptor)
    os.set_inheritable(descriptor, False)
    allow_as_many_as_possible()


async def _serve(end: socket.socket, contexts: Sequence[JobContext]) -> None:
    """Takes orders until the front has gone; then kills the running jobs, and waits until they have ended."""
    context, usable = await _choose(contexts)
    heap.freeze_gc()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: log(repr(context)))
    front = FrontConnection(end, context)
    front.connection.start()
    with contextlib.suppress(ChannelError):
        front.connection.send(_ready(usable, context))
    await front.gone.wait()
    for job in front.jobs.values():
        job.cancel()
    while front.tasks:
        await asyncio.wait(front.tasks)


async def _choose(contexts: Sequence[JobContext]) -> tuple[JobContext, list[ToolchainCopy]]:
    """The first program whose sandbox works, and the toolchains that run in it.

    Raises:
        SandboxError: none works.
    """
    for context in contexts:
        usable = [copy for copy in context.toolchains.values() if await _works(context, copy)]
        if usable:
            return context, usable
        log(f"no compiler runs in the sandbox made by {context.sandbox.name}")
    raise SandboxError("no compiler runs in the sandbox", "see the lines before this one")


async def _works(context: JobContext, toolchain: ToolchainCopy) -> bool:
    """Whether this compiler works in the sandbox; if not, the log says why."""
    why = await toolchain_probe.problem(context, toolchain)
    if why:
        log(f"compiler {toolchain.closure.name} does not work in the sandbox: {why}")
    return not why


def _ready(usable: Sequence[ToolchainCopy], context: JobContext) -> WorkReady:
    return WorkReady(context.layers, tuple(copy.offer for copy in usable), tuple(context.shared_trees))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main())
