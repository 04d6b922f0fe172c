"""What is said of one job that has a place: its submission, the files that the server lacks, and its result."""

import os
from dataclasses import dataclass

from securecc.client.compile.invocation import Invocation, environment_of, sent_arguments
from securecc.client.farm.server_connection import RemoteJob
from securecc.client.inputs.compile_inputs import Inputs, compressed_manifest
from securecc.model import limits, manifest
from securecc.model.errors import ChannelError, Refused, StaysLocal
from securecc.model.manifest import INPUT, Entry, Kind
from securecc.model.messages import Invite, Need, Output, Refuse, Result, Submit


@dataclass(frozen=True, slots=True)
class Remote:
    """What a server made of a compile, and how many jobs were before it in the queue when it was asked."""

    result: Result
    stdout: bytes
    stderr: bytes
    files: tuple[tuple[Output, bytes], ...]
    server: str
    sent: int
    queued: int = 0


async def submit(job: RemoteJob, order: Invocation, inputs: Inputs, attempt: int = 1) -> Remote:
    """What a server makes of it, at the first or a later `attempt`. Raises ChannelError, Refused, or StaysLocal when an
    input changed meanwhile.
    """
    request = order.request
    channel = job.conversation.channel
    sent = b"" if inputs.digest in job.conversation.known else compressed_manifest(inputs)
    if job.lapsed:  # its slot is another's by now
        job.conversation.crowded()
    environment = environment_of(order, inputs)  # or StaysLocal, before the job has a number
    channel.send(
        Submit(
            job=job.conversation.enter(job),
            toolchain=order.toolchain.digest,
            arguments=sent_arguments(order),
            cwd=request.cwd,
            environment=environment,
            umask=request.umask,
            terminal=request.terminal,
            manifest_digest=inputs.digest,
            manifest=sent,
            attempt=attempt,
        )
    )
    job.conversation.known.add(inputs.digest)
    total = len(sent)
    while True:
        answer = await job.answer()
        if isinstance(answer, Need):
            total += await _supply(job, answer, inputs)
        elif isinstance(answer, Result):
            return _split(answer, job.take(), job.conversation.peer, total, job.queued)
        elif isinstance(answer, Refuse):
            raise Refused(answer.code, answer.reason)
        elif not isinstance(answer, Invite):
            raise ChannelError(f"{job.conversation.peer} answers a job with something else")


async def _supply(job: RemoteJob, need: Need, inputs: Inputs) -> int:
    channel = job.conversation.channel
    listed = compressed_manifest(inputs) if need.manifest else b""
    job.conversation.supply(job, listed)
    sent = waiting = len(listed)
    for index in need.blobs:
        if not 0 <= index < len(inputs.entries) or inputs.entries[index].kind is not Kind.FILE:
            raise ChannelError(f"{job.conversation.peer} asks for a file that is not in the manifest")
        entry = inputs.entries[index]
        content = inputs.standard_input if entry.path == INPUT else _read(entry)
        if manifest.digest(content) != entry.blob:
            raise StaysLocal("changed", f"{os.fsdecode(entry.path)} changed while it was being sent")
        for at in range(0, len(content), limits.FRAME_BULK):
            if waiting >= limits.FRAME_BULK:  # many small headers go in one piece
                await channel.drain()
                waiting = 0
            chunk = content[at : at + limits.FRAME_BULK]
            channel.send_bulk(job.number, chunk)
            waiting += len(chunk)
        sent += len(content)
    await channel.drain()
    return sent


def _read(entry: Entry) -> bytes:
    """One byte more than its size is asked for, so that a file that grew shows; a FIFO in its place holds nobody up."""
    try:
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb", buffering=0) as file:
            return file.read(entry.size + 1) or b""
    except OSError as error:
        raise StaysLocal("changed", f"{os.fsdecode(entry.path)}: {error.strerror}") from error


def _split(result: Result, content: bytes, server: str, sent: int, queued: int = 0) -> Remote:
    at = result.stdout + result.stderr
    files = []
    for output in result.outputs:
        files.append((output, content[at : at + output.size]))
        at += output.size
    return Remote(
        result,
        content[: result.stdout],
        content[result.stdout : result.stdout + result.stderr],
        tuple(files),
        server,
        sent,
        queued,
    )
