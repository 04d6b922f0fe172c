"""A finished job's result on its way to the client: the Result, then the bytes of what was printed and made."""

import asyncio
import os
from collections.abc import Iterable

from securecc.channel.channel import Channel
from securecc.model import limits
from securecc.model.messages import Goodbye, Result
from securecc.server.execution.executor import Outcome
from securecc.server.jobs.delivery_backlog import DeliveryBacklog


async def deliver(channel: Channel, number: int, outcome: Outcome, backlog: DeliveryBacklog) -> None:
    """Sends all of it, as fast as the client reads. The caller closes the outcome.

    A file that becomes shorter meanwhile ends the channel, since its announced size cannot be taken back; so does a
    client that has not received everything within DELIVERY_S.

    Raises:
        ChannelError: the channel has ended.
        ProtocolError: the result is larger than a result may be.
    """
    printed = [os.fstat(descriptor).st_size for descriptor in outcome.descriptors[:2]]
    channel.send(
        Result(
            job=number,
            status=outcome.status,
            limit=outcome.limit,
            stdout=printed[0],
            stderr=printed[1],
            outputs=outcome.outputs,
            strays=outcome.strays,
            usage=outcome.usage,
            server_s=outcome.server_s,
            read=outcome.read,
            witness=outcome.witness,
            questions=outcome.questions,
        )
    )
    questions = (outcome.questions,) if outcome.questions else ()
    sizes = (*printed, *(made.size for made in outcome.made), *questions)
    waiting = sum(sizes)
    if not waiting:
        return
    backlog.add(channel, waiting)
    try:
        async with asyncio.timeout(limits.DELIVERY_S):
            whole = await _send_files(channel, number, outcome.descriptors, sizes)
    except TimeoutError:
        reason = f"a result was not received within {limits.DELIVERY_S:.0f} s"
        channel.close(Goodbye("limit", reason, channel.reference))
        return
    finally:
        backlog.remove(channel, waiting)
    if not whole:
        channel.close(Goodbye("server", "an output became shorter while it was sent", channel.reference))


async def _send_files(channel: Channel, number: int, descriptors: Iterable[int], sizes: Iterable[int]) -> bool:
    for descriptor, size in zip(descriptors, sizes, strict=True):
        if not await _send_file(channel, number, descriptor, size):
            return False
    return True


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
