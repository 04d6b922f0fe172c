"""Whether a server's result is exactly what the command makes; anything else is rejected."""

import os
from dataclasses import replace

from securecc.client.compile.invocation import Invocation, physical
from securecc.client.execution.executor import Compile, Executor, Outcome
from securecc.client.farm.received_result import ReceivedResult
from securecc.client.host.message_catalogues import SYSTEM_ERRORS
from securecc.client.inputs.spelled_paths import absolute
from securecc.client.ipc.frames import Keep
from securecc.client.ipc.launcher import MadeFile
from securecc.client.spool import Content
from securecc.compiler.command_line.compile_plan import CompilePlan
from securecc.compiler.command_line.outputs import STDOUT
from securecc.model import limits
from securecc.model.errors import StaysLocal

DIAGNOSTICS = 16 * limits.DIAGNOSTICS
"""Most bytes of standard error that are accepted, since all are held in memory, whatever a server's policy allows."""

_OWN = b"/.securecc/"
"""Begins the name of every temporary file of a job (`securecc.sandbox.mount_plan`)."""


class NotAcceptedError(StaysLocal):
    """A server's result does not match the command."""


class Accepted:
    """An executor: adds to a success the files for the launcher to write, or raises if they do not match the command. A
    failure passes unchanged.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def run(self, compile_: Compile) -> Outcome:
        """See `securecc.client.execution.executor.Executor`.

        Raises:
            NotAcceptedError: the result does not match the command exactly.
        """
        outcome = await self._executor.run(compile_)
        if outcome.received.stderr.size > DIAGNOSTICS:
            raise NotAcceptedError(
                "diagnostics", f"{outcome.server} sent {outcome.received.stderr.size} bytes of diagnostics"
            )
        return outcome if outcome.failed else replace(outcome, files=accept(compile_.invocation, outcome.received))


def accept(invocation: Invocation, received: ReceivedResult) -> tuple[MadeFile, ...]:
    """The outputs as the launcher must write them.

    Raises:
        NotAcceptedError: something else was made, an output is damaged, the object is missing, or the compiler read
        other files than expected.
    """
    plan, cwd = invocation.plan, invocation.request.cwd
    if received.result.strays:
        raise NotAcceptedError("disagreement", "the server's compiler read other files than this one would")
    if invocation.environment.locale.system:
        said = received.stderr.read()
        if any(word in said for word in SYSTEM_ERRORS):
            raise NotAcceptedError("locale", "the diagnostics have a system error, whose text differs in this locale")
    spelled = {physical(path, cwd): path for path in plan.outputs}
    made = []
    for output in received.outputs:
        name = os.fsdecode(output.announced.path)
        path = spelled.pop(output.announced.path, None)
        if path is None:
            raise NotAcceptedError("disagreement", f"the server made {name}, which was not asked for")
        if output.digest != output.announced.digest:
            raise NotAcceptedError("disagreement", f"{name} arrived damaged: its digest is not the announced one")
        if _holds_own_name(output.content):
            raise NotAcceptedError("temporary-file", f"{name} holds the name of a temporary file, which differs here")
        made.append(MadeFile(absolute(path, cwd), output.content, _keep(plan, path)))
    here = absolute(plan.output, cwd)
    if not (received.stdout.size if plan.output == STDOUT else any(file.path == here for file in made)):
        raise NotAcceptedError("disagreement", "the server's compiler made no object")
    return tuple(made)


def _holds_own_name(content: Content) -> bool:
    """Whether the name of one of the job's temporary files is anywhere in an output."""
    before = b""
    for chunk in content.chunks():
        if _OWN in chunk or _OWN in before + chunk[: len(_OWN)]:
            return True
        before = chunk[-len(_OWN) :]
    return False


def _keep(plan: CompilePlan, path: bytes) -> Keep:
    """What happens to an existing file, as observed with GCC 12, binutils 2.40 and clang 14: gcc's assembler and
    objcopy replace theirs unless it is empty, clang always replaces what it compiles.
    """
    main = path == plan.output
    if plan.family == "clang":
        return Keep.NEVER if main and plan.source_type.compiles else Keep.ALWAYS
    return Keep.IF_EMPTY if (main and not plan.assembly) or path.endswith(b".dwo") else Keep.ALWAYS
