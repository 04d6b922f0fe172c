"""A finished job's way back to the client: the Result, then the bytes of what was printed and made."""

import os

from securecc.channel.channel import Channel
from securecc.server.executor import Outcome
from securecc.words import limits
from securecc.words.messages import Goodbye, Output, Result


async def deliver(channel: Channel, number: int, outcome: Outcome) -> None:
    """Sends all of it, as fast as the client takes it. The outcome stays the caller's to close.

    A file that the runner cuts short meanwhile ends the channel: what was announced cannot be taken back.
    """
    printed = [os.fstat(descriptor).st_size for descriptor in outcome.descriptors[:2]]
    channel.send(
        Result(
            job=number,
            status=outcome.status,
            limit=outcome.limit,
            stdout=printed[0],
            stderr=printed[1],
            outputs=tuple(
                Output(made.path, made.size, made.mode, digest)
                for made, digest in zip(outcome.made, outcome.digests, strict=True)
            ),
            strays=outcome.strays,
            usage=outcome.usage,
            server_s=outcome.usage.wall_s,
            read=outcome.read,
        )
    )
    sizes = (*printed, *(made.size for made in outcome.made))
    for descriptor, size in zip(outcome.descriptors, sizes, strict=True):
        if not await _send_file(channel, number, descriptor, size):
            channel.close(Goodbye("server", "an output became shorter than it was", channel.reference))
            return


async def _send_file(channel: Channel, number: int, descriptor: int, size: int) -> bool:
    at = 0
    while at < size:
        part = os.pread(descriptor, min(limits.FRAME_BULK, size - at), at)
        if not part:
            return False
        channel.send_bulk(number, part)
        at += len(part)
        await channel.drain()
    return True
