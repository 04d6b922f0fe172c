"""What stands around one compile of the client's: a channel whose server the test plays, a launcher that only notes."""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from securecc.channel.channel import Channel
from securecc.client.farm.farm import Farm
from securecc.client.ipc.frames import Failed, FromAgent, Request
from securecc.client.ipc.launcher import LauncherGoneError, MadeFile
from securecc.client.spool import Content
from securecc.client.state.host_list import Host
from securecc.client.state.settings import Settings
from securecc.model.messages import (
    Ask,
    Goodbye,
    Hello,
    Invite,
    Need,
    Output,
    Result,
    Submit,
    Supply,
    Terminal,
    Toolchain,
    Usage,
    Welcome,
)
from tests.channel_stub import StubChannel

GCC = Toolchain(b"g" * 32, "gcc-12", "x86_64-linux-gnu")
WELCOME = Welcome(1, "secureccd", "alice@EXAMPLE.COM", "ref", 4, (GCC,))
HOST = Host("farm1")
SETTINGS = Settings(hosts=(HOST,))
GOODBYE = Goodbye("draining", "the server stops", "ref")

Answer = Callable[["ServerChannel", Any], None]
"""What a server does with a message, or with (job, bytes)."""


class ServerChannel(StubChannel):
    """The client's end of a channel to a server that welcomes and answers as it is told."""

    def __init__(self, name: str = "farm1", *, welcome: Welcome | None = WELCOME, answer: Answer | None = None) -> None:
        super().__init__((name, 3643), server=False)
        self.answer = answer
        self._welcome = welcome

    def send(self, message: Any) -> bool:
        sent = super().send(message)
        if sent and isinstance(message, Hello):
            if self._welcome is not None:
                asyncio.get_running_loop().call_soon(self.hear, self._welcome)
        elif sent and self.answer is not None:
            asyncio.get_running_loop().call_soon(self.answer, self, message)
        return sent

    def send_bulk(self, job: int, data: bytes | memoryview) -> bool:
        sent = super().send_bulk(job, data)
        if sent and self.answer is not None:
            asyncio.get_running_loop().call_soon(self.answer, self, (job, bytes(data)))
        return sent


def result(job: int, stdout: int = 0, stderr: int = 0, outputs: Iterable[Output] = (), **changes: Any) -> Result:
    values = {"status": 0, "limit": "", "strays": (), "usage": Usage(), "server_s": 0.1, **changes}
    return Result(job=job, stdout=stdout, stderr=stderr, outputs=tuple(outputs), **values)


class GoodServer:
    """Answers as a server should: invites, asks for every file, gives `results` out one after the other.

    Each of `results` is a function of the job's number and its Submit that returns (Result, bytes), or a message.
    """

    def __init__(self, *results: Any, need: Sequence[tuple[int, int]] | None = None) -> None:
        self.results = list(results)
        self.need = need
        self.submits: dict[int, Submit] = {}
        self.left: dict[int, int] = {}
        self.uploaded: dict[int, bytes] = {}

    def __call__(self, channel: ServerChannel, message: Any) -> None:
        match message:
            case Ask():
                channel.hear(Invite(message.job, 250))
            case Submit():
                self.submits[message.job] = message
                if self.need is None:
                    self.finish(channel, message.job)
                else:
                    self.left[message.job] = sum(size for _, size in self.need)
                    channel.hear(Need(message.job, manifest=False, blobs=tuple(index for index, _ in self.need)))
            case Supply():
                if not self.left.get(message.job):
                    self.finish(channel, message.job)
            case (job, data):
                self.uploaded[job] = self.uploaded.get(job, b"") + data
                self.left[job] -= len(data)
                if not self.left[job]:
                    self.finish(channel, job)

    def finish(self, channel: ServerChannel, job: int) -> None:
        answer = self.results.pop(0)
        if callable(answer):
            answer = answer(job, self.submits[job])
        if isinstance(answer, tuple):
            message, content = answer
            channel.hear(message)
            for at in range(0, len(content), 3):
                channel.hear_bulk(job, content[at : at + 3])
        else:
            channel.hear(answer)


def farm_of(*channels: ServerChannel | Exception) -> Farm:
    """A farm whose hosts are these channels, each dialled once; an exception stands for a host that cannot be had."""
    waiting = {f"farm{number}": channel for number, channel in enumerate(channels, 1)}

    async def dial(host: Host) -> Channel:
        channel = waiting[host.name]
        if isinstance(channel, Exception):
            raise channel
        return channel

    return Farm(tuple(Host(name) for name in waiting), dial)


def request(cwd: str | os.PathLike[str], *arguments: str | bytes, **changes: Any) -> Request:
    words = tuple(os.fsencode(word) for word in arguments or ("gcc", "-c", "a.c", "-o", "a.o"))
    values: dict[str, Any] = {
        "arguments": words,
        "compiler": b"/usr/bin/gcc",
        "cwd": os.fsencode(cwd),
        "umask": 0o22,
        "environment": {b"PATH": b"/usr/bin:/bin"},
        "parent": os.getppid(),
        "terminal": Terminal(),
        **changes,
    }
    return Request(**values)


class NotingLauncher:
    """As `securecc.client.ipc.launcher.Launcher`: notes what it is told, answers what the test has laid ready."""

    def __init__(
        self,
        *,
        listed: bytes = b"",
        said: bytes = b"",
        given: bytes | None = None,
        preprocesses: int = 0,
        commits: Failed | None = None,
        spawns: int = 0,
    ) -> None:
        self.process = os.getpid()
        self.told: list[Any] = []
        self.printed = {1: b"", 2: b""}
        self.gone = False
        self.abandoned: Callable[[], object] = lambda: self.told.append("abandon")
        self._listed = listed
        self._said = said
        self._input = given
        self._preprocesses = preprocesses
        self._commits = commits
        self._spawns = spawns

    def command(self, frame: FromAgent) -> None:
        self._note(frame)

    def execute(self, request: Request) -> None:
        self._note(("execute", request.arguments))

    def exit(self, status: int) -> None:
        self._note(("exit", status))

    def write(self, stream: int, content: bytes) -> None:
        if not self.gone:
            self.printed[stream] += content

    def abandon(self) -> None:
        self.abandoned()

    async def capture(self, arguments: Sequence[bytes]) -> tuple[int, bytes]:
        self._note(("capture", tuple(arguments)))
        return self._preprocesses, self._listed

    async def capture_all(self, arguments: Sequence[bytes]) -> tuple[int, bytes, bytes]:
        self._note(("capture all", tuple(arguments)))
        return self._preprocesses, self._listed, self._said

    async def input(self) -> bytes | None:
        self._note("input")
        return self._input

    async def spawn(self, arguments: Sequence[bytes]) -> int:
        self._note(("spawn", tuple(arguments)))
        return self._spawns

    async def finish(self, outputs: Sequence[MadeFile], stdout: Sequence[Content], stderr: bytes) -> Failed | None:
        self._note(("commit", tuple(outputs)))
        if self._commits is None:
            self.write(1, b"".join(content.read() for content in stdout))
            self.write(2, stderr)
            self.exit(0)
        return self._commits

    def _note(self, what: Any) -> None:
        if self.gone:
            raise LauncherGoneError("gone")
        self.told.append(what)
