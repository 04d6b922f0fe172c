"""Strangers by the thousand while one user works: silent connections, handshakes thrown away; and idle channels.

Each flood is a process of its own (`flood.py silent|thrown PORT AMOUNT`) and comes from all of 127.0.0.0/8, but not
from the user's address. On few cores a flood's own work is felt as well: its share of the processor is told beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import farm
import peers
from measure import RunFailed, resident, run, settle
from verdict import Target, judge, ms, table

from securecc.channel.transport import dial
from securecc.words.messages import Hello

_MIB = 1024 * 1024
_COMPILES = 300
_SILENT = 10_000
_SILENT_PER_S = 1000
_THROWN_PER_S = 200
_CHANNELS = 200
_BACK_S = 30.0
_HELD_S = 10.0  # the deadline for strangers
_HELLO_ALONE = 256  # bytes; a ServerHello is shorter, one with certificate, signature and Finished is not


def main() -> None:
    where_to = int(peers.ours().environment["SECURECC_HOSTS"].partition("/")[0].rpartition(":")[2])
    front = farm.processes()["front"]
    with tempfile.TemporaryDirectory(prefix="securecc-bench-") as folder:
        work = Work(Path(folder))
        work.latencies(50)
        settle()
        memory = resident(front)
        normal = work.latencies(_COMPILES)
        silent, silent_said = under(["silent", str(where_to), str(_SILENT)], work)
        thrown, thrown_said = under(["thrown", str(where_to), str(_THROWN_PER_S)], work)
    after = _back(front, memory)
    idle = asyncio.run(channels(where_to, front))
    rows = [("normal", ms(_p(normal, 50)), ms(_p(normal, 99)), f"{len(normal)}", "")]
    rows += [("silent", ms(_p(silent, 50)), ms(_p(silent, 99)), f"{len(silent)}", silent_said)]
    rows += [("thrown away", ms(_p(thrown, 50)), ms(_p(thrown, 99)), f"{len(thrown)}", thrown_said)]
    table("a compile, ms", ("", "median", "p99", "compiles", "flood"), rows)
    judge(
        "flood",
        [
            Target("p99, 10,000 silent connections", _p(silent, 99) / _p(normal, 99), 2, " x"),
            Target(
                f"p99, handshakes thrown away, {thrown_said.partition(',')[0]}",
                _p(thrown, 99) / _p(normal, 99),
                2,
                " x",
            ),
            Target("front afterwards", (after - memory) / _MIB, 20, " MiB more"),
            Target(f"front with {_CHANNELS} idle channels", idle / _MIB, 200, " MiB"),
        ],
    )


def _p(latencies: list[float], percent: int) -> float:
    return sorted(latencies)[min(len(latencies) - 1, len(latencies) * percent // 100)]


class Work:
    """A user who compiles one file after the other, on the server."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        self._environment = peers.ours().environment

    def latency(self) -> float:
        self._number += 1
        source = self._folder / f"w{self._number % 20}.c"
        source.write_text(f"int w{self._number};\n")
        return run(["securecc", "gcc", "-c", source.name, "-o", "w.o"], self._environment, self._folder).wall_s

    def latencies(self, count: int) -> list[float]:
        return [self.latency() for _ in range(count)]


def under(flood: list[str], work: Work) -> tuple[list[float], str]:
    """Latencies while the flood runs, and what it says of itself. Raises RunFailed if the work went elsewhere."""
    before, latencies = farm.jobs_done(), []
    with subprocess.Popen([sys.executable, __file__, *flood], stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            latencies.append(work.latency())
        said = process.stdout.read().strip()
    if process.returncode or farm.jobs_done() - before < len(latencies):
        raise RunFailed(f"{flood[0]}: {farm.jobs_done() - before} of {len(latencies)} compiles on the server; {said}")
    return latencies, said


def _back(front: int, memory: int) -> int:
    """The front's memory when it is back, or when that has taken too long."""
    deadline = time.monotonic() + _BACK_S
    while resident(front) > memory + _MIB and time.monotonic() < deadline:
        time.sleep(0.5)
    return resident(front)


async def channels(port: int, front: int) -> int:
    """The front's memory while so many authenticated channels stand and say nothing."""

    class Silent:
        on_message = on_bulk = on_lost = lambda *_: None

    held = []
    for _ in range(_CHANNELS):
        channel = await dial("localhost", port, ccache=os.environ["KRB5CCNAME"])
        channel.attach(Silent())
        channel.send(Hello((1,), "bench"))
        held.append(channel)
    await asyncio.sleep(1)
    used = resident(front)
    for channel in held:
        channel.close()
    return used


def _somewhere() -> tuple[str, int]:
    """An address of this machine's that nobody has been let in from."""
    return f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}", 0


def silent(port: int, amount: int) -> str:
    """So many connections without a byte, 1,000 a second; each is held until the server has had enough of it."""
    began = time.monotonic()
    kept = sum(held > 1 for _, held in _connections(port, _SILENT_PER_S, amount, b""))
    return f"{amount} in {time.monotonic() - began:.0f} s, {kept} were held, {_own_s():.1f} s of its own"


def thrown(port: int, rate: int, seconds: int = 15) -> str:
    """TLS handshakes that are left when the server has done all its part. One ClientHello serves all of them, so that
    they cost the flood next to nothing. Those that the server does not take are counted apart.
    """
    began = time.monotonic()
    answers = Counter(_has_flight(one) for one, _ in _connections(port, rate, rate * seconds, _client_hello()))
    passed = time.monotonic() - began
    done, not_taken = answers[True] / passed, answers[False] / passed
    return f"{done:.0f}/s done, {not_taken:.0f}/s turned away, {_own_s():.1f} s of its own"


def _connections(port: int, rate: float, count: int, first: bytes) -> Iterator[tuple[socket.socket, float]]:
    """Connections, so many a second, that say `first`; each when the server has said or done something, and the seconds
    until then. They end by RST.
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
    """Whether the server answered, down to its Finished: key share, certificate and signature are behind it."""
    try:
        return len(one.recv(65536)) > _HELLO_ALONE
    except OSError:
        return False


def _own_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    if sys.argv[1:]:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        print({"silent": silent, "thrown": thrown}[sys.argv[1]](*map(int, sys.argv[2:])))
    else:
        main()
