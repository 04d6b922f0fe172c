"""A runner of one's own for tests: started as the front's parent does, spoken to as the front does."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from securecc.model.grant import JobLimits
from securecc.model.manifest import Entry, Kind, Role
from securecc.model.messages import Terminal
from securecc.runner_protocol import packets
from securecc.runner_protocol.messages import FromRunner, Offer, WorkCancel, WorkOrder, WorkReady, WorkTree
from securecc.system.descriptors import close_all
from tests.waiting import CEILING_S

NOBODY = 64987
Content = bytes | Entry | tuple[Entry, bytes] | None


@dataclass(frozen=True)
class Outcome:
    """A report with what its descriptors held."""

    report: Any
    stdout: bytes = b""
    stderr: bytes = b""
    made: dict[bytes, bytes] = field(default_factory=dict)
    questions: bytes = b""


class Runner:
    """Use within a running event loop: `async with Runner() as runner`."""

    sandbox = ""

    def __init__(self, compilers: Iterable[str] = ("/usr/bin/gcc",), **config: Any) -> None:
        self.config: dict[str, Any] = {"compilers": list(compilers), "sandbox": self.sandbox, **config}
        if os.getuid() == 0:
            self.config = {"uid": NOBODY, "gid": NOBODY} | self.config
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.waiting: dict[int, Any] = {}  # futures
        self.lost = asyncio.Event()
        self.numbers = iter(range(1, 1 << 30))

    async def __aenter__(self) -> Self:
        ours, theirs = packets.pair()
        reading, writing = os.pipe()
        os.write(writing, json.dumps(self.config).encode())
        os.close(writing)
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __aexit__
        self.process = subprocess.Popen(  # noqa: ASYNC220 - it is there at once
            [sys.executable, "-I", "-m", "securecc.runner.runner", f"--fd={theirs.fileno()}", f"--config-fd={reading}"],
            pass_fds=(theirs.fileno(), reading),
            stderr=self.log,
            cwd="/",
        )
        os.close(reading)
        theirs.close()
        self.end = ours
        self.connection = packets.PacketConnection(
            ours, packets.from_runner, self._receive, lost=lambda _: self.lost.set(), garbage=self._garbage
        )
        self.connection.start()
        ready = asyncio.ensure_future(self.messages.get())
        gone = asyncio.ensure_future(self.lost.wait())
        await asyncio.wait({ready, gone}, timeout=CEILING_S, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not ready.done():
            ready.cancel()
            self.process.wait(CEILING_S)
            self.connection.close()
            with self.log:
                raise RuntimeError(self.said())
        self.ready: WorkReady = ready.result()
        assert isinstance(self.ready, WorkReady)
        return self

    async def __aexit__(self, *_how: object) -> None:
        self.connection.close()
        for _ in range(500):
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.01)
        else:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            raise AssertionError("the runner did not leave when the front did")
        self.log.close()

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    @property
    def toolchain(self) -> Offer:
        return self.ready.toolchains[0]

    def post(
        self,
        arguments: Iterable[bytes],
        entries: Iterable[Entry] = (),
        contents: Iterable[bytes | None] = (),
        cwd: bytes = b"/home/alice",
        **order: Any,
    ) -> Any:
        """Send an order; its future Outcome. `contents` belong to `entries`, None where there is none."""
        blobs: dict[bytes, int] = {}
        numbers = []
        for content in contents:
            numbers.append(-1 if content is None else blobs.setdefault(content, len(blobs)))
        files = [packets.memory(content) for content in blobs]
        values: dict[str, Any] = {
            "job": next(self.numbers),
            "toolchain": self.toolchain.digest,
            "arguments": tuple(arguments),
            "environment": {},
            "cwd": cwd,
            "umask": 0o022,
            "terminal": Terminal(),
            "limits": JobLimits(),
            "blobs": len(files),
        } | order
        future: Any = asyncio.get_running_loop().create_future()
        self.waiting[values["job"]] = future
        future.job = values["job"]
        packets.post_order(self.connection, WorkOrder(**values), WorkTree(tuple(entries), tuple(numbers)), files)
        close_all(files)
        return future

    async def run(
        self, arguments: Iterable[bytes], tree: Mapping[bytes, Content] | None = None, **order: Any
    ) -> Outcome:
        """`tree` as `listed` takes it; the default working directory is there."""
        given: dict[bytes, Content] = {} if "cwd" in order else {b"/home/alice": None}
        outcome: Outcome = await asyncio.wait_for(
            self.post(arguments, *listed(given | dict(tree or {})), **order), CEILING_S
        )
        return outcome

    def cancel(self, job: int) -> None:
        self.connection.send(WorkCancel(job))

    def _garbage(self, reason: str) -> None:
        for future in self.waiting.values():
            future.set_exception(AssertionError(f"the runner sent {reason}"))

    def _receive(self, message: FromRunner, descriptors: list[int]) -> None:
        if isinstance(message, WorkReady):
            self.messages.put_nowait(message)
            return
        contents = []
        for descriptor in descriptors:
            size = os.fstat(descriptor).st_size
            contents.append(os.pread(descriptor, size, 0))
            os.close(descriptor)
        outcome = Outcome(message, made={})
        if contents:
            questions = contents.pop() if message.questions else b""
            made = {made.path: content for made, content in zip(message.made, contents[2:], strict=True)}
            outcome = Outcome(message, contents[0], contents[1], made, questions)
        future = self.waiting.pop(message.job, None)
        if future is None:
            self.messages.put_nowait(outcome)
        elif not future.done():
            future.set_result(outcome)


def file(path: bytes, content: bytes, **more: Any) -> Entry:
    return Entry(path, Kind.FILE, hashlib.sha256(content).digest(), len(content), **more)


def listed(tree: Mapping[bytes, Content]) -> tuple[list[Entry], list[bytes | None]]:
    """Entries and contents of {path: bytes | Entry | (Entry, bytes) | None for a directory}, sorted by path."""
    entries: list[Entry] = []
    contents: list[bytes | None] = []
    for path, what in sorted(tree.items()):
        if what is None:
            entries.append(Entry(path, Kind.DIRECTORY, mode=0o755, mtime_ns=10**18))
            contents.append(None)
        elif isinstance(what, bytes):
            entries.append(file(path, what, mtime_ns=10**18))
            contents.append(what)
        elif isinstance(what, tuple):
            entries.append(replace_path(what[0], path))
            contents.append(what[1])
        else:
            entries.append(replace_path(what, path))
            contents.append(None)
    return entries, contents


def replace_path(entry: Entry, path: bytes) -> Entry:
    import msgspec

    return msgspec.structs.replace(entry, path=path)


def from_disk(paths: Iterable[bytes], cwd: bytes, role: Role = Role.READ) -> dict[bytes, Any]:
    """A tree of files as they lie on this machine, with the directories above them."""
    tree: dict[bytes, Any] = {cwd: None}
    for path in paths:
        status = os.stat(path)
        with open(path, "rb") as source:
            content = source.read()
        entry = file(path, content, mode=status.st_mode & 0o777, mtime_ns=status.st_mtime_ns, role=role)
        tree[path] = (entry, content)
        folder = os.path.dirname(path)
        while folder != b"/":
            tree.setdefault(folder, None)
            folder = os.path.dirname(folder)
    return tree


def headers(command: Sequence[str], cwd: bytes | Path) -> list[bytes]:
    """What gcc -M says that this command reads, normalised."""
    plain = [word for word in command if word not in ("-MD", "-o") and not word.endswith(".o")]
    listing = subprocess.run([*plain, "-M"], capture_output=True, check=True, cwd=cwd).stdout
    names = listing.replace(b"\\\n", b" ").split(b":", 1)[1].split()
    return sorted({os.path.normpath(os.path.join(os.fsencode(cwd), name)) for name in names})


def children_of(pid: int | str) -> list[str]:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as children:
        return children.read().split()
    return []


__all__ = ["Outcome", "Runner", "children_of", "file", "from_disk", "headers", "listed", "replace"]
