"""What goes wrong in a soak: each trouble is one thing that peers, users or the machine do to a server at work."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from securecc.channel import dialer, tls
from securecc.model.errors import SecureccError
from securecc.model.messages import Need, Supply
from tests.attacks.raw import PREDEF, SOURCE, Raw, blob, file
from tests.farm.farmside import POLICY, Farm, alive, below, until

Trouble = Callable[[Farm, random.Random], None]
STAGES = ("connected", "hello", "asked", "invited", "submitted", "needed", "half supplied", "supplied")
WAYS = ("FIN", "RST", "silence")
_RST = struct.pack("ii", 1, 0)  # SO_LINGER: closing is a reset
_AT_ONCE = 12  # silent ones: of one source and of one principal there may be so many
_COMPILE = (b"-c", b"a.c", b"-o", b"a.o")


class _Deck:
    """Every stage with every way to leave, in any order; then all of them again."""

    def __init__(self, stages: Sequence[str]) -> None:
        self._all = list(itertools.product(stages, WAYS))
        self._left: list[tuple[str, str]] = []

    def draw(self, chance: random.Random) -> tuple[str, str]:
        if not self._left:
            self._left = chance.sample(self._all, len(self._all))
        return self._left.pop()


_admitted, _strangers = _Deck(STAGES), _Deck(("tcp", "half", "tls", "token"))
left: Counter[tuple[str, str]] = Counter()
"""How often somebody left at which stage, and how."""
_silent: deque[socket.socket] = deque()


def _leave(channel_transport: asyncio.Transport, stage: str, way: str) -> None:
    """By silence: the connection stays, and nobody reads it or answers any more."""
    left[stage, way] += 1
    peer = channel_transport.get_extra_info("socket")
    if way == "RST":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    if way == "silence":
        if len(_silent) >= _AT_ONCE:
            _silent.popleft().close()
        _silent.append(socket.socket(fileno=os.dup(peer.fileno())))
    channel_transport.abort()


def still_held() -> int:
    """How many of the silent connections the server has not ended yet. All of them are closed."""
    held = 0
    while _silent:
        with _silent.popleft() as one:
            one.setblocking(False)
            try:
                while one.recv(65536):
                    pass
            except BlockingIOError:
                held += 1
            except OSError:
                continue
    return held


def disconnect(farm: Farm, chance: random.Random) -> None:
    """Somebody who is admitted goes away, at any stage of a job."""
    stage, way = _admitted.draw(chance)

    async def go() -> None:
        raw = Raw(farm)
        with contextlib.suppress(SecureccError, TimeoutError, AssertionError):  # the server may be the first to go
            await _advance(raw, stage, chance)
        if hasattr(raw, "channel") and raw.channel.connection.transport is not None:
            _leave(raw.channel.connection.transport, stage, way)

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
    stage, way = _strangers.draw(chance)

    async def go() -> None:
        with contextlib.suppress(SecureccError, OSError):
            if stage in {"tcp", "half"}:
                _, writer = await asyncio.open_connection("127.0.0.1", farm.server.port)
                writer.write(b"\x16\x03\x01\x02\x00" if stage == "half" else b"")
                goes: asyncio.Transport | None = writer.transport  # type: ignore[assignment]  # reads as well
            else:
                link = await dialer.connect(tls.client_context(), "127.0.0.1", farm.server.port)
                await link.secured()
                link.write(b"\0\0\x10\0\x01\0\0\0\0\0\0\0\x01token" if stage == "token" else b"")
                goes = link.transport
            assert goes
            _leave(goes, stage, way)

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
    """The daemon ends, once its jobs have, and is started anew, as a service manager would."""
    server = farm.server
    os.kill(server.runner, signal.SIGKILL)
    until(lambda: server.process.poll() is not None, what="the daemon's end")
    _start(farm)


def kill_spawner(farm: Farm, _: random.Random) -> None:
    """The server goes on with the compilers that it has, through a reload as well; then it is stopped and started."""
    server = farm.server
    for pid in below(server.pid):
        if "securecc.runner.runner_spawner" in _words(pid):
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid), what="the spawner's end")  # noqa: B023 (called at once)
    server.process.send_signal(signal.SIGHUP)
    farm.run("securecctl", "doctor", cwd=farm.folder)
    if server.process.poll() is None:
        server.stop(signal.SIGTERM)
    _start(farm)


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


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
RARE: tuple[Trouble, ...] = (kill_runner, kill_front, kill_spawner)
