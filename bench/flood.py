"""Floods of unauthenticated connections while one user compiles: silent ones and abandoned handshakes; idle channels.

Each flood is a separate process (`flood.py silent|thrown PORT AMOUNT`) and comes from all of 127.0.0.0/8 except the
user's address. Quiet and flooded periods alternate, so that a machine that slows down meanwhile is not mistaken for the
effect of a flood. The floods run on the same processors as everything else; the CPU share that they use is reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import farm
import peers
from measure import RunFailed, processor_time, resident, run, settle
from verdict import Target, judge, ms, table

from securecc.channel.dialer import dial
from securecc.model.messages import Hello

_MIB = 1024 * 1024
_ROUNDS = 3
_QUIET_S = 6.0  # of compiles before each flood
_SILENT = 10_000
_SILENT_PER_S = 1000
_THROWN_PER_S = 200
_THROWN_S = 12
_CHANNELS = 200
_BACK_S = 30.0
_HELD_S = 10.0  # the deadline for authentication
_HELLO_ALONE = 256  # bytes; a ServerHello alone is shorter, one with certificate, signature and Finished is longer


def main() -> None:
    port = int(peers.ours().environment["SECURECC_HOSTS"].partition("/")[0].rpartition(":")[2])
    front = farm.processes()["front"]
    floods = {"silent": ["silent", str(port), str(_SILENT)], "thrown": ["thrown", str(port), str(_THROWN_PER_S)]}
    with tempfile.TemporaryDirectory(prefix="securecc-bench-") as folder:
        work = Work(Path(folder), front)
        work.during(_QUIET_S)
        settle()
        memory = resident(front)
        spells = [each for _ in range(_ROUNDS) for name in floods for each in _pair(work, name, floods[name])]
    after = _back(front, memory)
    idle = asyncio.run(channels(port, front))
    _show(spells)
    by = {
        name: _p([each for named, spell in spells if named == name for each in spell.latencies], 99) for name in _KINDS
    }
    judge(
        "flood",
        [
            Target("p99, 10,000 silent connections", by["silent"] / by["before silent"], 2, " x"),
            Target("p99, 200 handshakes/s abandoned", by["thrown"] / by["before thrown"], 2, " x"),
            Target(
                "handshakes done",
                min(_done(spell) for name, spell in spells if name == "thrown"),
                190,
                "/s",
                least=True,
            ),
            Target("front afterwards", (after - memory) / _MIB, 20, " MiB more"),
            Target(f"front with {_CHANNELS} idle channels", idle / _MIB, 200, " MiB"),
        ],
    )


_KINDS = ("before silent", "silent", "before thrown", "thrown")


def _pair(work: Work, name: str, flood: list[str]) -> Iterator[tuple[str, Spell]]:
    """A quiet period, then a flooded one."""
    yield f"before {name}", work.during(_QUIET_S)
    yield name, work.under(flood)


def _show(spells: list[tuple[str, Spell]]) -> None:
    rows = []
    for name, spell in spells:
        some = spell.latencies
        row = (name, ms(_p(some, 50)), ms(_p(some, 99)), f"{len(some)}", f"{spell.front:.2f}", spell.said)
        rows.append(row)
    table("a compile, ms", ("", "median", "p99", "compiles", "front's CPU", "flood"), rows)


def _done(spell: Spell) -> float:
    return float(spell.said.partition("/s")[0])


def _p(latencies: list[float], percent: int) -> float:
    return sorted(latencies)[min(len(latencies) - 1, len(latencies) * percent // 100)]


@dataclass(frozen=True, slots=True)
class Spell:
    """Compiles over some seconds. `front` is the front's share of one processor, `said` the flood's own report."""

    latencies: list[float]
    front: float
    said: str = ""


class Work:
    """A user who compiles one file after another on the server."""

    def __init__(self, folder: Path, front: int) -> None:
        self._folder, self._front, self._number = folder, front, 0
        self._environment = peers.ours().environment

    def _latency(self) -> float:
        self._number += 1
        source = self._folder / f"w{self._number % 20}.c"
        source.write_text(f"int w{self._number};\n")
        return run(["securecc", "gcc", "-c", source.name, "-o", "w.o"], self._environment, self._folder).wall_s

    def _while(self, going: Callable[[], bool]) -> Spell:
        began, spent, latencies = time.monotonic(), processor_time(self._front), []
        while going():
            latencies.append(self._latency())
        passed = time.monotonic() - began
        return Spell(latencies, (processor_time(self._front) - spent) / passed)

    def during(self, seconds: float) -> Spell:
        """Compiles for this long."""
        end = time.monotonic() + seconds
        return self._while(lambda: time.monotonic() < end)

    def under(self, flood: list[str]) -> Spell:
        """Compiles while the flood runs. Raises RunFailed if the work went elsewhere."""
        before = farm.jobs_done()
        with subprocess.Popen([sys.executable, __file__, *flood], stdout=subprocess.PIPE, text=True) as process:
            spell = self._while(lambda: process.poll() is None)
            assert process.stdout
            said = process.stdout.read().strip()
        if process.returncode or farm.jobs_done() - before < len(spell.latencies):
            done = farm.jobs_done() - before
            raise RunFailed(f"{flood[0]}: {done} of {len(spell.latencies)} compiles ran on the server; {said}")
        return replace(spell, said=said)


def _back(front: int, memory: int) -> int:
    """The front's memory once it has shrunk back, or when that takes too long."""
    deadline = time.monotonic() + _BACK_S
    while resident(front) > memory + _MIB and time.monotonic() < deadline:
        time.sleep(0.5)
    return resident(front)


async def channels(port: int, front: int) -> int:
    """The front's memory while `_CHANNELS` authenticated channels are open and idle. Raises RunFailed if one ends."""
    lost = []

    class Silent:
        on_message = on_bulk = lambda *_: None

        def on_lost(self, error: Exception) -> None:
            lost.append(error)

    _grant_channels(front)
    held = []
    for _ in range(_CHANNELS):
        channel = await dial("localhost", port, ccache=os.environ["KRB5CCNAME"])
        channel.attach(Silent())
        channel.send(Hello((1,), "bench"))
        held.append(channel)
    await asyncio.sleep(1)
    used = resident(front)
    if lost:
        raise RunFailed(f"{len(lost)} of {_CHANNELS} idle channels have ended: {lost[0]}")
    for channel in held:
        channel.close()
    return used


def _grant_channels(front: int) -> None:
    """Puts a policy in force that allows one principal that many connections."""
    policy = Path(os.environ["SECURECC_TESTENV"]) / "server1/policy.yaml"
    text = policy.read_text()
    policy.write_text(
        text.replace("    who: [committers]\n", f"    who: [committers]\n    quota: {{connections: {2 * _CHANNELS}}}\n")
    )
    before = farm.counts()["daemon"]
    os.kill(front, signal.SIGHUP)
    while farm.counts()["daemon"] == before:
        time.sleep(0.1)


def _somewhere() -> tuple[str, int]:
    """An address of this machine from which nobody has been admitted."""
    return f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}", 0


def silent(port: int, amount: int) -> str:
    """Opens `amount` connections, 1,000 a second, and sends nothing; each stays open until the server closes it."""
    began = time.monotonic()
    kept = sum(held > 1 for _, held in _connections(port, _SILENT_PER_S, amount, b""))
    return f"{amount} in {time.monotonic() - began:.0f} s, {kept} were held, {_own(began)}"


def thrown(port: int, rate: int, seconds: int = _THROWN_S) -> str:
    """Abandons TLS handshakes once the server has done its whole part. They all send the same ClientHello, so they cost
    the flood next to nothing. Those that the server does not accept are counted separately.
    """
    began = time.monotonic()
    answers = Counter(_has_flight(one) for one, _ in _connections(port, rate, rate * seconds, _client_hello()))
    passed = time.monotonic() - began
    done, not_taken = answers[True] / passed, answers[False] / passed
    return f"{done:.0f}/s done, {not_taken:.0f}/s turned away, {_own(began)}"


def _connections(port: int, rate: float, count: int, first: bytes) -> Iterator[tuple[socket.socket, float]]:
    """Connections, `rate` a second, that send `first`; yields each once the server answers or closes it, with the
    seconds until then. They end with a RST.
    """
    ends, waiting, begun = select.epoll(), dict[int, tuple[socket.socket, float]](), 0
    began = time.monotonic()
    while begun < count or waiting:
        due = began + begun / rate - time.monotonic() if begun < count else _HELD_S
        if due <= 0:
            begun += 1
            one = socket.create_connection(("127.0.0.1", port), source_address=_somewhere())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.send(first)
            waiting[one.fileno()] = one, time.monotonic()
            ends.register(one, select.EPOLLIN)
            continue
        for descriptor, _ in ends.poll(due):
            one, since = waiting.pop(descriptor)
            with one:
                yield one, time.monotonic() - since


def _client_hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


def _has_flight(one: socket.socket) -> bool:
    """Whether the server has answered up to its Finished: it has done key share, certificate and signature."""
    try:
        return len(one.recv(65536)) > _HELLO_ALONE
    except OSError:
        return False


def _own(began: float) -> str:
    """The share of a processor that the flood itself has used since it began."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return f"{(used.ru_utime + used.ru_stime) / (time.monotonic() - began):.2f} of a CPU for the flood itself"


if __name__ == "__main__":
    if sys.argv[1:]:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        floods: dict[str, Callable[..., object]] = {"silent": silent, "thrown": thrown}
        print(floods[sys.argv[1]](*map(int, sys.argv[2:])))
    else:
        main()
