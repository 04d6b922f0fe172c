"""What stands around one compile of the client's: a channel whose server the test plays, a launcher that only notes."""

import asyncio
import os

from securecc.client.farm.farm import Farm
from securecc.client.ipc.frames import Request
from securecc.client.ipc.launcher_connection import LauncherGoneError
from securecc.client.state.settings import Host, Settings
from securecc.model.messages import (
    Ask,
    Goodbye,
    Hello,
    Invite,
    Need,
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


class ServerChannel(StubChannel):
    """The client's end of a channel to a server that welcomes and answers as it is told."""

    def __init__(self, name="farm1", *, welcome=WELCOME, answer=None):
        super().__init__((name, 3643), server=False)
        self._welcome = welcome
        self._answer = answer

    def send(self, message):
        sent = super().send(message)
        if sent and isinstance(message, Hello):
            if self._welcome is not None:
                asyncio.get_running_loop().call_soon(self.hear, self._welcome)
        elif sent and self._answer is not None:
            asyncio.get_running_loop().call_soon(self._answer, self, message)
        return sent

    def send_bulk(self, job, data):
        sent = super().send_bulk(job, data)
        if sent and self._answer is not None:
            asyncio.get_running_loop().call_soon(self._answer, self, (job, bytes(data)))
        return sent


def result(job, stdout=0, stderr=0, outputs=(), **changes):
    values = {"status": 0, "limit": "", "strays": (), "usage": Usage(), "server_s": 0.1, **changes}
    return Result(job=job, stdout=stdout, stderr=stderr, outputs=tuple(outputs), **values)


class GoodServer:
    """Answers as a server should: invites, asks for every file, gives `results` out one after the other.

    Each of `results` is a function of the job's number and its Submit that returns (Result, bytes), or a message.
    """

    def __init__(self, *results, need=None):
        self.results = list(results)
        self.need = need
        self.submits = {}
        self.left = {}
        self.uploaded = {}

    def __call__(self, channel, message):
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

    def finish(self, channel, job):
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


def farm_of(*channels):
    """A farm whose hosts are these channels, each dialled once; an exception stands for a host that cannot be had."""
    waiting = {f"farm{number}": channel for number, channel in enumerate(channels, 1)}

    async def dial(host):
        channel = waiting[host.name]
        if isinstance(channel, Exception):
            raise channel
        return channel

    return Farm(tuple(Host(name) for name in waiting), dial)


def request(cwd, *arguments, **changes):
    words = tuple(os.fsencode(word) for word in arguments or ("gcc", "-c", "a.c", "-o", "a.o"))
    values = {
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


class NotingCaller:
    """A launcher's place in the agent: notes what it is told, answers what the test has laid ready."""

    def __init__(self, *, listed=b"", said=b"", given=None, preprocesses=0, commits=None, spawns=0):
        self.process = os.getpid()
        self.told = []
        self.printed = {1: b"", 2: b""}
        self.gone = False
        self._listed = listed
        self._said = said
        self._input = given
        self._preprocesses = preprocesses
        self._commits = commits
        self._spawns = spawns

    def order(self, frame):
        if self.gone:
            raise LauncherGoneError("gone")
        self.told.append(frame)

    def execute(self, request):
        self.order(("execute", request.arguments))

    def exit(self, status):
        self.order(("exit", status))

    def write(self, stream, content):
        if not self.gone:
            self.printed[stream] += content

    def abandon(self):
        self.told.append("abandon")

    async def capture(self, arguments):
        self.order(("capture", tuple(arguments)))
        return self._preprocesses, self._listed

    async def capture_all(self, arguments):
        self.order(("capture all", tuple(arguments)))
        return self._preprocesses, self._listed, self._said

    async def input(self):
        self.order("input")
        return self._input

    async def spawn(self, arguments):
        self.order(("spawn", tuple(arguments)))
        return self._spawns

    async def finish(self, outputs, stdout, stderr):
        self.order(("commit", tuple(outputs)))
        if self._commits is None:
            self.write(1, stdout)
            self.write(2, stderr)
            self.exit(0)
        return self._commits


GOODBYE = Goodbye("draining", "the server stops", "ref")
