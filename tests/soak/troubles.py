"""What goes wrong in a soak: each trouble is one thing that peers, users or the machine do to a server at work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from farmside import POLICY, Farm, alive, until
from raw import PREDEF, SOURCE, Raw, blob, file

from securecc.channel import tls, transport
from securecc.words.errors import SecureccError
from securecc.words.messages import Need, Supply

Trouble = Callable[[Farm, random.Random], None]
STAGES = ("connected", "hello", "asked", "invited", "submitted", "needed", "half supplied", "supplied")
WAYS = ("FIN", "RST", "silence")
_RST = struct.pack("ii", 1, 0)  # SO_LINGER: closing is a reset
_SILENT_S = 2.0
_COMPILE = (b"-c", b"a.c", b"-o", b"a.o")


def _leave(channel_transport: asyncio.Transport, way: str) -> None:
    peer = channel_transport.get_extra_info("socket")
    if way == "RST":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    channel_transport.abort()


def disconnect(farm: Farm, chance: random.Random) -> None:
    """Somebody who is admitted goes away, at any stage of a job."""
    stage, way = chance.choice(STAGES), chance.choice(WAYS)

    async def go() -> None:
        raw = Raw(farm)
        with contextlib.suppress(SecureccError, TimeoutError, AssertionError):  # the server may be the first to go
            await _advance(raw, stage, chance)
            if way == "silence":
                await asyncio.sleep(_SILENT_S)
        if hasattr(raw, "channel"):
            _leave(raw.channel._link._transport, way)

    asyncio.run(go())


async def _advance(raw: Raw, stage: str, chance: random.Random) -> None:
    reached = STAGES.index(stage)
    if reached < 1:
        await raw.connect()
        return
    await raw.__aenter__()
    if reached == STAGES.index("asked"):
        raw.ask()
    if reached < STAGES.index("invited"):
        return
    job = await raw.invited()
    content = b"int soak%d;\n" % chance.getrandbits(60)
    listed = [file(SOURCE, content), file(PREDEF, b"\n")]
    if reached >= STAGES.index("submitted"):
        raw.tell(raw.submission(job, listed, _COMPILE))
    if reached >= STAGES.index("needed"):
        need = await raw.hear_of(job)
        if isinstance(need, Need) and reached >= STAGES.index("half supplied"):
            raw.tell(Supply(job))
            known = {blob(content): content, blob(b"\n"): b"\n"}
            data = b"".join(known[listed[index].blob] for index in need.blobs)
            raw.bulk(job, data[: len(data) // 2] if stage == "half supplied" else data)


def strange(farm: Farm, chance: random.Random) -> None:
    """Somebody without a name goes away: after TCP, after TLS, in the middle of a token."""
    stage, way = chance.choice(("tcp", "half", "tls", "token")), chance.choice(WAYS)

    async def go() -> None:
        with contextlib.suppress(SecureccError, OSError):
            if stage in {"tcp", "half"}:
                _, writer = await asyncio.open_connection("127.0.0.1", farm.server.port)
                writer.write(b"\x16\x03\x01\x02\x00" if stage == "half" else b"")
                left = writer.transport
            else:
                link = await transport._connect(tls.client_context(), "127.0.0.1", farm.server.port)
                await link.secured()
                link.write(b"\0\0\x10\0\x01\0\0\0\0\0\0\0\x01token" if stage == "token" else b"")
                left = link._transport
            if way == "silence":
                await asyncio.sleep(_SILENT_S)
            _leave(left, way)

    asyncio.run(go())


def _kill(pids: list[int], chance: random.Random) -> None:
    if pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(pids), signal.SIGKILL)


def kill_agent(farm: Farm, chance: random.Random) -> None:
    """Launchers that wait compile by themselves."""
    _kill(farm.agents(), chance)


def kill_launcher(farm: Farm, chance: random.Random) -> None:
    """One of those that wait."""
    mine = os.getpid()
    for child in Path(f"/proc/{mine}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            pids = [int(pid) for pid in child.read_text().split()]
            _kill([pid for pid in pids if _name(pid) == "securecc"], chance)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def kill_sandboxed(farm: Farm, chance: random.Random) -> None:
    """A compiler, an assembler, or the jail around them."""
    with contextlib.suppress(IndexError):
        _kill(farm.server.sandboxed, chance)


def kill_runner(farm: Farm, _: random.Random) -> None:
    """The nursery makes another, or the daemon ends and is started anew, as a service manager would."""
    server = farm.server
    with contextlib.suppress(IndexError):
        runner = server.runner
        os.kill(runner, signal.SIGKILL)
        until(lambda: not alive(runner), what="the runner's end")
        with contextlib.suppress(AssertionError):
            until(lambda: server.process.poll() is not None or _another(farm, runner), 3)
    if server.process.poll() is not None:
        _start(farm)


def _another(farm: Farm, old: int) -> bool:
    try:
        return farm.server.runner != old
    except IndexError:
        return False


def kill_front(farm: Farm, _: random.Random) -> None:
    """And it is started anew."""
    with contextlib.suppress(IndexError):
        farm.server.stop(signal.SIGKILL)
    _start(farm)


def _start(farm: Farm) -> None:
    """With a policy that is one: with another a daemon does not start, and should not."""
    (farm.server.folder / "policy.yaml").write_text(POLICY.read_text())
    farm.server.start()


def reload(farm: Farm, chance: random.Random) -> None:
    """With a policy that differs, or the same, or is none."""
    text = POLICY.read_text() + chance.choice(("", f"# {chance.random()}\n", "nonsense: [\n"))
    (farm.server.folder / "policy.yaml").write_text(text)
    farm.server.process.send_signal(signal.SIGHUP)


USUAL: tuple[Trouble, ...] = (
    disconnect, disconnect, disconnect, strange, kill_agent, kill_launcher, kill_launcher, kill_sandboxed, reload,
)  # fmt: skip
RARE: tuple[Trouble, ...] = (kill_runner, kill_front)
