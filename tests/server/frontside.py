"""One front with one connection: a channel without a network, a store that counts, an executor that waits."""

import asyncio
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import zstandard

from securecc.audit.records.record import Record
from securecc.model import manifest
from securecc.model.errors import AuditError, SecureccError
from securecc.model.grant import Grant
from securecc.model.manifest import Digest, Entry, Kind, Manifest
from securecc.model.messages import Ask, Hello, SharedTree, Submit, Terminal, Toolchain, Usage
from securecc.runner_protocol.messages import Made, Offer
from securecc.runner_protocol.packets import memory
from securecc.server.blobs.blob_store import BlobStore, Hold, Intake
from securecc.server.connections.client_connection import ClientConnection
from securecc.server.execution.executor import Inputs, Job, Outcome
from securecc.server.execution.pipeline import pipeline
from securecc.server.execution.toolchain_catalogue import ToolchainCatalogue
from securecc.server.jobs.fair_queue import FairQueue
from securecc.server.jobs.principal_accounts import PrincipalAccounts
from securecc.server.jobs.service import Service
from tests.channel_stub import StubChannel

GRANT = Grant(principal="alice@EXAMPLE.COM", rule="committers", revision="r1")
GCC = Offer(
    name="gcc-12",
    digest=b"g" * 32,
    target="x86_64-linux-gnu",
    called_by=(b"/usr/bin/gcc",),
    directories=(b"/usr/bin", b"/usr/lib/gcc/x86_64-linux-gnu/12"),
    include_directories=(b"/usr/include", b"/usr/lib/gcc/x86_64-linux-gnu/12/include"),
    whole=b"g" * 32,
)
CLANG = Offer("clang-14", b"c" * 32, "x86_64-linux-gnu", (b"/usr/bin/clang",), (b"/usr/bin",), ())
FIRST_NUMBER = 100
SANDBOX = ("bubblewrap", "userns")
CWD = b"/home/alice/p"
SOURCE = b"int a;\n"
HEADER = b"extern int a;\n"


def file_entry(path: bytes, content: bytes, **changes: Any) -> Entry:
    values: dict[str, Any] = {"blob": manifest.digest(content), "size": len(content), **changes}
    return Entry(path, Kind.FILE, **values)


ENTRIES = (file_entry(CWD + b"/a.c", SOURCE), file_entry(CWD + b"/a.h", HEADER))


def packed(entries: Iterable[Entry]) -> tuple[Digest, bytes]:
    """(digest, compressed) of a manifest."""
    data = manifest.encode(Manifest(tuple(entries)))
    return manifest.digest(data), zstandard.compress(data)


def submit(job: int = 1, entries: Iterable[Entry] = ENTRIES, **changes: Any) -> Submit:
    digest, compressed = packed(entries)
    values: dict[str, Any] = {
        "toolchain": GCC.digest,
        "arguments": (b"/usr/bin/gcc", b"-c", b"a.c", b"-o", b"a.o"),
        "cwd": CWD,
        "environment": {},
        "umask": 0o22,
        "terminal": Terminal(),
        "manifest_digest": digest,
        "manifest": compressed,
        **changes,
    }
    return Submit(job=job, **values)


class FrontChannel(StubChannel):
    """The front's end of a channel to a client that has said Hello, unless told otherwise."""

    def __init__(self, *, greeted: bool = True) -> None:
        super().__init__(("192.0.2.1", 4000), server=True)
        self._greeted = greeted

    def attach(self, listener: Any) -> None:
        super().attach(listener)
        if self._greeted and not self.closed:
            self.hear(Hello((1,), "test"))
            self.said.clear()


class CountingStore(BlobStore):
    """Remembers what was taken of it."""

    def __init__(self, path: Path, **bounds: int) -> None:
        super().__init__(path, **bounds)
        self.holds: list[Hold] = []
        self.intakes: list[Intake] = []

    def hold(self, principal: str, digests: Iterable[Digest], quota: int = 0) -> Hold:
        self.holds.append(super().hold(principal, digests, quota))
        return self.holds[-1]

    def intake(self, principal: str, digest: Digest, size: int, quota: int = 0) -> Intake:
        self.intakes.append(super().intake(principal, digest, size, quota))
        return self.intakes[-1]

    def all_given_back(self) -> bool:
        return not any(len(hold) for hold in self.holds) and all(intake.ended for intake in self.intakes)


def outcome(
    stdout: bytes = b"", stderr: bytes = b"", made: Iterable[tuple[bytes, bytes]] = (), **changes: Any
) -> Outcome:
    """An Outcome with memory files; `made` are (path, content)."""
    made = tuple(made)
    listed = tuple(Made(path, len(content), 0o644) for path, content in made)
    values: dict[str, Any] = {
        "status": 0,
        "limit": "",
        "made": listed,
        "digests": tuple(manifest.digest(content) for _, content in made),
        "descriptors": tuple(map(memory, (stdout, stderr, *(content for _, content in made)))),
        "strays": (),
        "usage": Usage(wall_s=0.5),
        **changes,
    }
    return Outcome(**values)


class StubExecutor:
    """`answers` says how each job ends: an Outcome, an error, or None to run until cancelled."""

    def __init__(self, *answers: Outcome | Exception | None) -> None:
        self.answers = list(answers)
        self.jobs: list[tuple[Job, Grant]] = []
        self.cancelled = 0
        self.running = 0
        self.given: list[tuple[int, int]] = []

    async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        self.jobs.append((job, grant))
        self.running += 1
        try:
            answer = self.answers.pop(0) if self.answers else outcome(made=((CWD + b"/a.o", b"object"),))
            if answer is None:
                await asyncio.Event().wait()
                raise AssertionError
            if isinstance(answer, Exception):
                raise answer
            self.given += [(descriptor, os.fstat(descriptor).st_ino) for descriptor in answer.descriptors]
            return answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


class Front:
    """One front with one connection; all that it holds can be counted."""

    def __init__(
        self,
        folder: Path,
        *answers: Outcome | Exception | None,
        slots: int = 2,
        grant: Grant = GRANT,
        greeted: bool = True,
        offers: Sequence[Offer] = (GCC, CLANG),
        shared_trees: Iterable[SharedTree] = (),
        **bounds: int,
    ) -> None:
        self.queue = FairQueue(slots, 60)
        self.store = CountingStore(folder, **bounds)
        self.executor = StubExecutor(*answers)
        self.accounts = PrincipalAccounts()
        self.records: list[Any] = []
        self.gone: list[ClientConnection] = []
        self.catalogue = ToolchainCatalogue(folder.with_name("toolchains.json"))
        self.catalogue.replace(offers, frozenset(shared_trees))
        self.service = Service(
            queue=self.queue,
            store=self.store,
            executor=pipeline(self.executor, self.queue, self.append, lambda _job: SANDBOX),
            catalogue=self.catalogue,
            append=self.append,
            numbers=itertools.count(FIRST_NUMBER),
        )
        self.refuses_records: AuditError | None = None
        self.channel, self.connection = self.connect(grant, greeted=greeted)

    def append(self, record: Record) -> None:
        if self.refuses_records is not None:
            raise self.refuses_records
        self.records.append(record)

    def connect(self, grant: Grant = GRANT, *, greeted: bool = True) -> tuple[FrontChannel, ClientConnection]:
        channel = FrontChannel(greeted=greeted)
        account = self.accounts.open(grant.principal)
        connection = ClientConnection(channel, grant, self.service, account, self._lost)
        channel.attach(connection)
        return channel, connection

    def _lost(self, connection: ClientConnection, _error: SecureccError) -> None:
        self.gone.append(connection)

    async def all_given_back(self) -> bool:
        """Once its tasks have ended: nothing of any job is left."""
        for _ in range(20):
            await asyncio.sleep(0)
        assert (self.queue.taken, self.queue.waiting, self.executor.running) == (0, 0, 0)
        assert self.store.all_given_back()
        assert not any(is_open(descriptor, inode) for descriptor, inode in self.executor.given)
        return True

    def close(self) -> None:
        self.store.close()


def is_open(descriptor: int, inode: int) -> bool:
    """Whether this descriptor is still that file; its number may have gone to another."""
    try:
        return os.fstat(descriptor).st_ino == inode
    except OSError:
        return False


def ask(job: int = 1, toolchain: Digest = GCC.digest, size: int = 0) -> Ask:
    return Ask(job, b"key", toolchain, size)


def toolchain_of(offer: Offer) -> Toolchain:
    return Toolchain(offer.digest, offer.name, offer.target)
