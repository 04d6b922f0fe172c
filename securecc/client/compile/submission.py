"""The exchange with a server about one placed job: submission, the files that the server lacks, the result."""

import os

from securecc.client.compile.invocation import sent_arguments
from securecc.client.execution.executor import Compile, Outcome
from securecc.client.farm.remote_job import RemoteJob
from securecc.client.inputs.compile_inputs import Inputs, compressed_manifest
from securecc.model import limits, manifest
from securecc.model.errors import ChannelError, Refused, StaysLocal
from securecc.model.manifest import INPUT, Entry, Kind
from securecc.model.messages import Invite, Need, Refuse, Result, Submit, Supply


async def submit(job: RemoteJob, compile_: Compile) -> Outcome:
    """What a server makes of a compile.

    Raises:
        ChannelError: the server has gone, or gives an unexpected answer.
        Refused: the server does not take it.
        StaysLocal: an input changed meanwhile, or the time cannot be described.
        AgentError: there is no room for the result.
    """
    invocation, inputs = compile_.invocation, compile_.inputs
    request = invocation.request
    environment = compile_.environment  # may raise StaysLocal, so before the job has a number
    if job.lease_expired:  # its slot has gone to another job
        job.mark_busy()
    sent = b"" if job.knows_manifest(inputs.digest) else compressed_manifest(inputs)
    job.send(
        Submit(
            job=job.enter(),
            toolchain=invocation.toolchain.digest,
            arguments=sent_arguments(invocation),
            cwd=request.cwd,
            environment=environment,
            umask=request.umask,
            terminal=request.terminal,
            manifest_digest=inputs.digest,
            manifest=sent,
            attempt=compile_.attempt,
            questions=compile_.questions,
        )
    )
    total = len(sent)
    while True:
        answer = await job.answer()
        if isinstance(answer, Need):
            total += await _supply(job, answer, inputs)
        elif isinstance(answer, Result):
            return Outcome(job.received(), job.server, total, job.queued)
        elif isinstance(answer, Refuse):
            raise Refused(answer.code, answer.reason)
        elif not isinstance(answer, Invite):
            raise ChannelError(f"{job.server} answered a job with {type(answer).__name__}", "see the server's log")


async def _supply(job: RemoteJob, need: Need, inputs: Inputs) -> int:
    """Sends what a Need asks for; returns the number of bytes sent.

    Raises:
        ChannelError: the server asks for something that is not in the manifest, or has gone.
        StaysLocal: an input changed meanwhile.
    """
    listed = compressed_manifest(inputs) if need.manifest else b""
    job.send(Supply(job.number, listed))
    sent = waiting = len(listed)
    for index in need.blobs:
        if not 0 <= index < len(inputs.entries) or inputs.entries[index].kind is not Kind.FILE:
            raise ChannelError(f"{job.server} asked for a file that is not in the manifest")
        entry = inputs.entries[index]
        content = inputs.standard_input if entry.path == INPUT else _read(entry)
        if manifest.digest(content) != entry.blob:
            raise StaysLocal("changed", f"{os.fsdecode(entry.path)} changed while it was being sent")
        for at in range(0, len(content), limits.FRAME_BULK):
            if waiting >= limits.FRAME_BULK:  # many small headers are sent together
                await job.drain()
                waiting = 0
            chunk = content[at : at + limits.FRAME_BULK]
            job.send_bulk(chunk)
            waiting += len(chunk)
        sent += len(content)
    await job.drain()
    return sent


def _read(entry: Entry) -> bytes:
    """The content of a file: reads one byte more than its size, to detect growth; does not block on a FIFO in its
    place.

    Raises:
        StaysLocal: it cannot be read any more.
    """
    try:
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb", buffering=0) as file:
            return file.read(entry.size + 1) or b""
    except OSError as error:
        raise StaysLocal("changed", f"{os.fsdecode(entry.path)}: {error.strerror}") from error
