"""Whether a toolchain works in the sandbox: it starts, and makes an object file of each language that it has.

The source is preprocessed text, since no client has sent a header yet.
"""

import os
from collections.abc import Iterator

from securecc.compiler.toolchain.closure import ToolchainClosure
from securecc.model import limits
from securecc.model.grant import JobLimits
from securecc.model.manifest import Entry, Kind, Role, digest
from securecc.model.messages import Terminal
from securecc.runner.job import Job, JobContext
from securecc.runner.toolchain_copies import ToolchainCopy
from securecc.runner_protocol.messages import WorkOrder, WorkTree
from securecc.runner_protocol.packets import memory
from securecc.system.descriptors import close_all

_FOLDER, _SOURCE = b"/probe", b"int securecc;\n"
_SAID = 400  # bytes of its diagnostics that are quoted
_MTIME = 10**18  # any will do: the object does not contain it
_TREE = WorkTree(
    (
        Entry(_FOLDER, Kind.DIRECTORY, mode=0o755, mtime_ns=_MTIME),
        Entry(_FOLDER + b"/a.c", Kind.FILE, digest(_SOURCE), len(_SOURCE), mtime_ns=_MTIME, role=Role.READ),
    ),
    (-1, 0),
)


async def problem(context: JobContext, toolchain: ToolchainCopy) -> str:
    """Why it does not work; empty if it does."""
    for arguments in _commands(toolchain.closure):
        order = WorkOrder(
            job=0,
            toolchain=toolchain.closure.digest,
            arguments=arguments,
            environment={b"LC_ALL": b"C"},
            cwd=_FOLDER,
            umask=0o022,
            terminal=Terminal(),
            limits=JobLimits(wall_s=limits.PROBE_S),
            blobs=1,
            questions=b"" if toolchain.witnessed else None,
        )
        job = Job(context, order, [memory(_SOURCE)])
        report, descriptors = await job.run(_TREE)
        said = os.pread(descriptors[1], _SAID, 0).decode(errors="replace") if descriptors else ""
        close_all(descriptors)
        job.close()
        toolchain.witnessed = toolchain.witnessed and bool(report.witness)
        if report.failure or report.status:
            command = b" ".join(arguments).decode(errors="replace")
            return report.failure or f"{command} ends with {report.status}: {said.strip()}"
    return ""


def _commands(closure: ToolchainClosure) -> Iterator[tuple[bytes, ...]]:
    driver = closure.called_by[0]
    yield (driver, b"-v")
    programs = {file.path.rpartition(b"/")[2] for file in closure.files}
    compiles = (b"-g", b"-c", b"a.c", b"-o", b"a.o")
    if closure.family != "other":
        yield (driver, b"-x", b"cpp-output", *compiles)
    if closure.family == "clang" or b"cc1plus" in programs:
        yield (driver, b"-x", b"c++-cpp-output", *compiles)
