"""A client that keeps to no rule of its own: authenticated as anybody else, it then says whatever it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import zstandard

from securecc.channel.dialer import dial
from securecc.channel.tls_channel import TlsChannel
from securecc.model import manifest
from securecc.model.errors import SecureccError
from securecc.model.manifest import Entry, Kind, Manifest, Role
from securecc.model.messages import (
    PROTOCOL_VERSIONS,
    Ask,
    FromClient,
    Goodbye,
    Hello,
    Invite,
    Need,
    Refuse,
    Result,
    Submit,
    Supply,
    Terminal,
    Wait,
    Welcome,
)
from securecc.wire.framing import HEADER, encode_control
from securecc.wire.session import Session
from tests.farm.farmside import Farm
from tests.waiting import CEILING_S

CWD = b"/home/mallory"
SOURCE = CWD + b"/a.c"
PREDEF = b"/usr/include/stdc-predef.h"  # gcc includes it before all else
SMALL = {SOURCE: b"int f(void) { return 3; }\n"}


class _AnythingGoes:
    """In place of a channel's session."""

    server = False

    def passed(self, *_: object) -> bool:
        return True

    received = sent = received_bulk = sent_bulk = passed


@dataclass(frozen=True)
class End:
    """How a job ended: `how` is result, refused, goodbye or lost; `code` the refusal's, `text` the reason."""

    how: str
    code: str = ""
    text: str = ""
    result: Result | None = None
    content: bytes = b""

    @property
    def ran(self) -> Result:
        """What the server says of the compile; there must have been one."""
        assert self.result is not None, self
        return self.result

    @property
    def files(self) -> dict[bytes, bytes]:
        """The outputs by path."""
        at = self.ran.stdout + self.ran.stderr
        found = {}
        for output in self.ran.outputs:
            found[output.path] = self.content[at : at + output.size]
            at += output.size
        return found

    @property
    def questions(self) -> bytes:
        """What the compile asked, if it was sent: the last of all."""
        return self.content[len(self.content) - self.ran.questions :]

    @property
    def errors(self) -> str:
        """What the compiler printed."""
        return self.content[self.ran.stdout :][: self.ran.stderr].decode(errors="replace")


def blob(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def file(path: bytes, content: bytes = b"", **fields: object) -> Entry:
    """A file's entry; `fields` say otherwise."""
    kept: dict[str, Any] = {
        "blob": blob(content),
        "size": len(content),
        "mtime_ns": 1,
        "role": Role.MAY_READ,
        **fields,
    }
    return Entry(path, Kind.FILE, **kept)


def link(path: bytes, target: bytes) -> Entry:
    return Entry(path, Kind.LINK, blob=target, role=Role.PRESENT)


def folder(path: bytes) -> Entry:
    return Entry(path, Kind.DIRECTORY, role=Role.PRESENT)


class Raw:
    """One connection: ``async with Raw(farm) as raw``."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self.messages: asyncio.Queue[object] = asyncio.Queue()
        self.bulk_in: dict[int, list[bytes]] = {}
        self.lost: asyncio.Future[SecureccError]
        self.channel: TlsChannel
        self.welcome: Welcome
        self.numbers = iter(range(1, 1 << 31))

    async def __aenter__(self) -> Self:
        await self.connect()
        self.tell(Hello(PROTOCOL_VERSIONS, "raw"))
        welcome = await self.hear()
        assert isinstance(welcome, Welcome)
        self.welcome = welcome
        return self

    async def connect(self) -> None:
        """Authenticates; says nothing."""
        self.lost = asyncio.get_running_loop().create_future()
        self.channel = await dial("localhost", self._farm.server.port, ccache=self._farm.cache)
        self.channel.session = cast("Session", _AnythingGoes())
        self.channel.attach(self)

    async def __aexit__(self, *_: object) -> None:
        self.channel.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.lost), CEILING_S)

    # What the channel calls.

    def on_message(self, message: object) -> None:
        self.messages.put_nowait(message)

    def on_bulk(self, job: int, data: bytes) -> None:
        self.bulk_in.setdefault(job, []).append(data)
        self.messages.put_nowait(data)

    def on_lost(self, error: SecureccError) -> None:
        self.lost.set_result(error)
        self.messages.put_nowait(error)

    # What a test says and hears.

    @property
    def toolchain(self) -> bytes:
        return self.welcome.toolchains[0].digest

    def tell(self, *messages: FromClient) -> None:
        for message in messages:
            self.channel.connection.write(encode_control(message))

    def frame(
        self, kind: int, payload: bytes, *, job: int = 0, flags: int = 0, length: int = -1, zero: int = 0
    ) -> None:
        """Any bytes as a frame, with any header."""
        size = len(payload) if length < 0 else length
        self.channel.connection.write(HEADER.pack(size, kind, flags, zero, job) + payload)

    def bulk(self, job: int, content: bytes, chunk: int = 256 * 1024) -> None:
        for at in range(0, len(content), chunk):
            self.frame(3, content[at : at + chunk], job=job)

    async def hear(self) -> object:
        """The next message, chunk, or the error that ended the channel."""
        async with asyncio.timeout(CEILING_S):  # wait_for would swallow a cancellation when a message is there
            return await self.messages.get()

    async def hear_of(self, job: int, *kinds: type) -> object:
        """The next word on this job; Invites and Waits only if asked for."""
        while True:
            heard = await self.hear()
            if isinstance(heard, Goodbye | SecureccError):
                return heard
            if getattr(heard, "job", None) == job and (not isinstance(heard, Invite | Wait) or type(heard) in kinds):
                return heard

    def ask(self, toolchain: bytes = b"") -> int:
        number = next(self.numbers)
        self.tell(Ask(number, b"key", toolchain or self.toolchain, 0))
        return number

    async def invited(self) -> int:
        """A job with a slot leased to it."""
        number = self.ask()
        heard = await self.hear_of(number, Invite)
        assert isinstance(heard, Invite), heard
        return number

    def submission(
        self,
        job: int,
        entries: Iterable[Entry],
        arguments: Iterable[bytes],
        driver: bytes = b"/usr/bin/gcc",
        **fields: Any,
    ) -> Submit:
        """A Submit, its manifest as it comes: neither sorted nor checked."""
        data = manifest.encode(Manifest(tuple(entries)))
        kept: dict[str, Any] = {
            "toolchain": self.toolchain,
            "arguments": (driver, *arguments),
            "cwd": CWD,
            "environment": {},
            "umask": 0o022,
            "terminal": Terminal(),
            "manifest_digest": manifest.digest(data),
            "manifest": zstandard.compress(data),
            **fields,
        }
        return Submit(job=job, **kept)

    async def run(
        self,
        arguments: Iterable[bytes] = (b"-c", b"a.c", b"-o", b"a.o"),
        contents: Mapping[bytes, bytes] | None = None,
        entries: Iterable[Entry] | None = None,
        **fields: Any,
    ) -> End:
        """A whole job. `contents` are files by path (a small source if there are none); `entries` are what the manifest
        says of them, unless that follows from them.
        """
        contents = {PREDEF: b"\n", **(SMALL if contents is None else contents)}
        listed = sorted((file(path, content) for path, content in contents.items()), key=lambda entry: entry.path)
        listed = listed if entries is None else list(entries)
        job = await self.invited()
        self.tell(self.submission(job, listed, arguments, **fields))
        by_digest = {blob(content): content for content in contents.values()}
        return await self.finish(job, listed, by_digest)

    async def finish(self, job: int, listed: list[Entry], by_digest: Mapping[bytes, bytes]) -> End:
        """Gives what is needed, and waits for the end."""
        while True:
            heard = await self.hear_of(job)
            if isinstance(heard, Need):
                self.supply(heard, listed, by_digest)
            elif isinstance(heard, Result):
                return await self._received(job, heard)
            else:
                return ending(heard)

    def supply(self, need: Need, listed: list[Entry], by_digest: Mapping[bytes, bytes]) -> None:
        """All that the server lacks, and no more: what it has depends on who was here before."""
        self.tell(Supply(need.job))
        for index in need.blobs:
            self.bulk(need.job, by_digest[listed[index].blob])

    async def _received(self, job: int, result: Result) -> End:
        wanted = result.stdout + result.stderr + sum(output.size for output in result.outputs) + result.questions
        while sum(map(len, self.bulk_in.get(job, ()))) < wanted:
            heard = await self.hear()
            if isinstance(heard, SecureccError):
                return ending(heard)
        return End("result", result=result, content=b"".join(self.bulk_in.pop(job, ())))


def ending(heard: object) -> End:
    """What was heard instead of a result."""
    if isinstance(heard, Refuse):
        return End("refused", heard.code, heard.reason)
    if isinstance(heard, Goodbye):
        return End("goodbye", heard.code, heard.reason)
    assert isinstance(heard, SecureccError), heard
    return End("lost", text=str(heard))


async def ended(raw: Raw) -> str:
    """Waits until the server has closed the channel; what it said."""
    said = []
    while True:
        heard = await raw.hear()
        if isinstance(heard, Goodbye):
            said.append(f"{heard.code}: {heard.reason}")
        if isinstance(heard, SecureccError):
            return " ".join(said)
